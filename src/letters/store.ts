/**
 * A place where dead letters lie: a folder, a bucket. A letter is one JSON text, in the format that Lambda writes to an S3 on-failure
 * destination. Every method throws when the place gives no answer; a call that threw may have taken effect, and can be repeated.
 */
export interface LetterStore {
  /** Durable once it resolves. A letter of that name is replaced. */
  put(name: string, text: string): Promise<void>;

  /** Names that begin with `prefix` (all, if absent), in ascending order of their bytes. Letters that come or go meanwhile may or may not be told. */
  names(prefix?: string): AsyncIterable<string>;

  /** `undefined`: there is no such letter. */
  get(name: string): Promise<string | undefined>;

  /** No error when there is no such letter. */
  delete(name: string): Promise<void>;

  /** Ends connections. No call may follow. */
  close(): Promise<void>;
}
