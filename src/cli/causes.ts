import { type Cause, type PlainCause, plainCause } from '../cause.ts';

/** Fields that a line names. */
const MOST_FIELDS = 5;

/** A cause as plain data, with the fields of the item that the schema refuses. */
export interface CauseFacts extends PlainCause {
  /** Paths of the fields, such as `items[0].size`. Absent if the cause is no issue of a schema. */
  readonly fields?: readonly string[];
}

export function causeFacts(cause: Cause): CauseFacts {
  const fields = issuesOf(cause.error).map(({ field }) => field);
  return { ...plainCause(cause), ...(fields.length > 0 && { fields }) };
}

/** One line a cause. Causes that differ in the view alone share a line. */
export function causeLines(causes: readonly Cause[]): readonly string[] {
  const viewsOf = new Map<string, string[]>();
  for (const { stage, view, error } of causes) {
    const message = messageOf(error, view);
    const line = stage === 'view' ? message : `${stage}: ${message}`;
    viewsOf.set(line, [...(viewsOf.get(line) ?? []), ...(view === undefined ? [] : [view])]);
  }
  return [...viewsOf].map(([line, views]) => (views.length > 0 ? `${views.join(', ')}: ${line}` : line));
}

/** The message without the view, and with whole paths of fields: a log has only their first names. */
function messageOf(error: Error, view: string | undefined): string {
  const prefix = `view ${view?.split('@')[0]} `;
  const message = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
  const issues = issuesOf(error);
  if (issues.length === 0) return message;
  const more = issues.length > MOST_FIELDS ? [`and ${issues.length - MOST_FIELDS} more`] : [];
  const reasons = issues.slice(0, MOST_FIELDS).map(({ field, fault }) => `${field} ${fault}`);
  return `${message.slice(0, message.lastIndexOf(': '))}: ${[...reasons, ...more].join(', ')}`;
}

interface Issue {
  readonly field: string;
  readonly fault: string;
}

/** The issues of zod, or of another schema library with paths. */
function issuesOf({ cause }: Error): readonly Issue[] {
  try {
    const { issues } = cause as { issues?: unknown };
    return Array.isArray(issues) ? issues.map(issueOf) : [];
  } catch {
    // Anything can be thrown, even an object whose properties throw.
    return [];
  }
}

/** Messages of issues are left out, because they may quote values. */
function issueOf({ path, expected, format }: { path?: unknown; expected?: unknown; format?: unknown }): Issue {
  const wanted = [expected, format].find((word) => typeof word === 'string' && /^[\w-]{1,40}$/.test(word));
  return { field: pathText(path) || 'the item', fault: wanted === undefined ? 'is not valid' : `is not a valid ${wanted}` };
}

/** Only names like those of a schema's fields are shown. Another name below the first may be a key of a record, and so a value of the item. */
function pathText(path: unknown): string {
  const parts = (Array.isArray(path) ? path : []).map((part) =>
    typeof part === 'object' && part !== null && 'key' in part ? part.key : part,
  );
  return parts
    .map((part, i) => {
      if (i === 0) return String(part);
      if (typeof part === 'number') return `[${part}]`;
      return typeof part === 'string' && /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : '[…]';
    })
    .join('');
}
