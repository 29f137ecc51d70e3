import type { LetterFilter } from '../letters/filter.ts';

/** What a redrive may be asked for, as people write it. */
export interface RedriveRequest {
  /** Letters of that time or later: an ISO 8601 time, or how long ago: `90m`, `2h`, `3d`. */
  readonly since?: string;
  /** Letters of before that time, in the same form. */
  readonly until?: string;
  /** A stage (`decode`, `view`, `rejected`), or Lambda's condition. */
  readonly cause?: string;
  readonly table?: string;
  /** The greatest number of letters to try. Default: all. */
  readonly limit?: number;
  /** Report what would be done, and change nothing. Default: false. */
  readonly dryRun?: boolean;
}

const TYPES = { since: 'string', until: 'string', cause: 'string', table: 'string', limit: 'number', dryRun: 'boolean' } as const;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * @param request untrusted input. A scheduled event selects every letter.
 * @throws TypeError with every fault, because a misspelt field must not widen what is redriven.
 */
export function parseRequest(request: unknown, now: Date): { filter: LetterFilter; limit?: number; dryRun: boolean } {
  if (request === undefined || request === null || isScheduled(request)) return { filter: {}, dryRun: false };
  if (typeof request !== 'object' || Array.isArray(request))
    throw new TypeError('the request is not an object: give {} to redrive all letters');
  const faults: string[] = [];
  for (const [name, value] of Object.entries(request)) {
    const type = Object.hasOwn(TYPES, name) ? TYPES[name as keyof typeof TYPES] : undefined;
    if (!type) faults.push(`${name} is unknown: use ${Object.keys(TYPES).join(', ')}`);
    else if (value !== undefined && typeof value !== type) faults.push(`${name} is not a ${type}`);
  }
  const { since, until, cause, table, limit, dryRun = false } = request as RedriveRequest;
  const timeOf = (name: string, text: unknown): Date | undefined => {
    const time = typeof text === 'string' ? parseTime(text, now) : undefined;
    if (typeof text === 'string' && !time) faults.push(`${name} is "${text}": give a time like 2026-11-22T03:00:00Z, or 90m, 2h or 3d ago`);
    return time;
  };
  const filter = { since: timeOf('since', since), until: timeOf('until', until), cause, table };
  if (filter.since && filter.until && filter.since >= filter.until) faults.push('since is not before until: no letter is between them');
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1)) faults.push(`limit is ${limit}: give a positive integer`);
  if (faults.length > 0) throw new TypeError(`the request is wrong: ${faults.join('; ')}`);
  return { filter, limit, dryRun };
}

/** An event of an EventBridge rule. A schedule of EventBridge Scheduler sends what its template says. */
function isScheduled(request: unknown): boolean {
  return typeof request === 'object' && request !== null && 'detail-type' in request;
}

function parseTime(text: string, now: Date): Date | undefined {
  const [, amount, unit] = text.match(/^(\d{1,6})([mhd])$/) ?? [];
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const time = unit ? now.getTime() - Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS] : isTime ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : new Date(time);
}
