/** A stream record cannot be decoded. A retry cannot decode it either, so the record is set aside. */
export class MalformedRecordError extends Error {
  override readonly name = 'MalformedRecordError';
}

/** A text is not a dead letter, or the letter has no records. */
export class MalformedLetterError extends Error {
  override readonly name = 'MalformedLetterError';
}

/** A view threw, or gave an entry that no cache can hold. */
export class ViewError extends Error {
  override readonly name = 'ViewError';
}

/** The cache gave no answer, so the outcome of the call is unknown. Repeat the call: applying a mutation again is harmless. */
export class CacheUnavailableError extends Error {
  override readonly name = 'CacheUnavailableError';
}

/** The table gave no answer, for example because it is throttled. A later read may succeed. */
export class TableUnavailableError extends Error {
  override readonly name: string = 'TableUnavailableError';
}

/** The table refuses a read, and will refuse it again until somebody mends what the message names: a permission, a name, a view's `from`. */
export class TableRefusalError extends Error {
  override readonly name = 'TableRefusalError';
}

/** A reader has used up its read units for now (`readUnitsPerSecond`), so it did not ask the table. */
export class ReadBudgetError extends TableUnavailableError {
  override readonly name = 'ReadBudgetError';
}

/** The cache does not hold all of a list's page, and no query of the table can give the page. */
export class IncompleteListError extends Error {
  override readonly name = 'IncompleteListError';
}

/** The environment is wrong. The message lists every fault with the way out. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

const MOST_QUOTED = 60;

/** Untrusted text for a message, in quotes and at most 60 characters of it; of anything else its kind, since it may have no text. */
export function quoted(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > MOST_QUOTED ? `${value.slice(0, MOST_QUOTED)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return `"${String(value)}"`;
}

/** The thrown value as an Error, because anything can be thrown. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  try {
    return new Error(String(thrown));
  } catch {
    return new Error('something without a text was thrown');
  }
}

/**
 * A faulty value as a message shows it. A value that may be a secret or contain one is described instead: somebody may have put a URL, a password
 * or a token into the wrong variable.
 */
export function shownValue(value: string): string {
  if (/^[a-z ._-]{1,16}$/i.test(value) || /^[-+\d., ]{1,16}[a-z]{0,2}$/i.test(value) || value.length <= 4) return `"${value}"`;
  const [, scheme, host, rest = ''] = /^([a-z][a-z\d+.-]{0,15}):(?:\/\/([^/?#]*))?(.*)$/is.exec(value) ?? [];
  if (scheme === undefined) return 'a text that is not shown, because it may be a secret';
  if (value.includes('@') || /^(valkey|redis)s?$/i.test(scheme)) return 'a URL that is not shown, because it may contain a password';
  const path = /^(\/[a-z._-]{0,16})*$/i.test(rest) ? rest : '…';
  return `"${scheme}:${host === undefined ? '' : `//${host}`}${path}"`;
}
