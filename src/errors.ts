/** A stream record that cannot be understood. It will not be understood next time either, so it is set aside. */
export class MalformedRecordError extends Error {
  override readonly name = 'MalformedRecordError';
}

/** A text that is no dead letter, or a dead letter without its records. */
export class MalformedLetterError extends Error {
  override readonly name = 'MalformedLetterError';
}

/** A view's projection threw, or gave entries that no cache can hold. */
export class ViewError extends Error {
  override readonly name = 'ViewError';
}

/** The cache did not say what became of a call. Repeat it: applying a mutation again is harmless. */
export class CacheUnavailableError extends Error {
  override readonly name = 'CacheUnavailableError';
}

/** The environment is wrong. The message lists every fault. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
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
