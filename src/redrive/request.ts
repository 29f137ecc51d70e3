import { tableNameIn } from '../dynamodb/record.ts';
import type { Letter } from '../letters/letter.ts';

/** Which letters are meant. */
export interface LetterFilter {
  /** Of records that were written at that time or after. */
  readonly since?: Date;
  /** Before. */
  readonly until?: Date;
  /** A stage of the worker's causes (`decode`, `view`, `rejected`), or Lambda's condition (`RetryAttemptsExhausted`, `RecordAgeExceeded`, …). */
  readonly cause?: string;
  readonly table?: string;
}

/** What a redrive may be asked for, as people write it. */
export interface RedriveRequest {
  /** An ISO 8601 time, or how long ago: `90m`, `2h`, `3d`. */
  readonly since?: string;
  readonly until?: string;
  readonly cause?: string;
  readonly table?: string;
  /** Letters to be tried at the most. */
  readonly limit?: number;
  /** Say what would be done, and change nothing. */
  readonly dryRun?: boolean;
}

const TYPES = { since: 'string', until: 'string', cause: 'string', table: 'string', limit: 'number', dryRun: 'boolean' } as const;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * @param request of anywhere. What a schedule sends asks for nothing.
 * @throws TypeError with every fault: a field that is misspelt must not widen what is redriven.
 */
export function parseRequest(request: unknown, now: Date): { filter: LetterFilter; limit?: number; dryRun: boolean } {
  if (request === undefined || request === null || isScheduled(request)) return { filter: {}, dryRun: false };
  if (typeof request !== 'object' || Array.isArray(request))
    throw new TypeError('the request is no object: give {} to redrive all letters');
  const faults: string[] = [];
  for (const [name, value] of Object.entries(request)) {
    const type = Object.hasOwn(TYPES, name) ? TYPES[name as keyof typeof TYPES] : undefined;
    if (!type) faults.push(`${name} is unknown: use ${Object.keys(TYPES).join(', ')}`);
    else if (value !== undefined && typeof value !== type) faults.push(`${name} is no ${type}`);
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

/** An event of an EventBridge rule; a schedule of EventBridge Scheduler sends what its template says. */
function isScheduled(request: unknown): boolean {
  return typeof request === 'object' && request !== null && 'detail-type' in request;
}

function parseTime(text: string, now: Date): Date | undefined {
  const [, amount, unit] = text.match(/^(\d{1,6})([mhd])$/) ?? [];
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const time = unit ? now.getTime() - Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS] : isTime ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : new Date(time);
}

/** `since` and `until` are a matter of names, see `oldestFirst`. A text that is no letter, `undefined`, may be of any table. */
export function isMeant({ cause, table }: Pick<LetterFilter, 'cause' | 'table'>, letter: Letter | undefined): boolean {
  if (!letter) return cause === undefined;
  // A letter that does not tell its table is for whoever looks.
  const its = tableOf(letter);
  if (table !== undefined && its !== undefined && its !== table) return false;
  return cause === undefined || letter.condition === cause || letter.causes.some(({ stage }) => stage === cause);
}

function tableOf({ streamArn }: Letter): string | undefined {
  return tableNameIn(streamArn);
}
