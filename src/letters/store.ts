/**
 * A place where dead letters lie: a folder, a bucket. A letter is one JSON text, in the format that Lambda writes to an S3 on-failure
 * destination. Every method throws when the place gives no answer. A call that threw may have taken effect, and can be repeated.
 */
export interface LetterStore {
  /** Durable once it resolves. Replaces a letter of that name. */
  put(name: string, text: string): Promise<void>;

  /**
   * The names that begin with `prefix` (default: all), in ascending order of their bytes. A letter that is added or removed meanwhile may or may not
   * be among them.
   */
  names(prefix?: string): AsyncIterable<string>;

  /**
   * `undefined`: there is no such letter.
   *
   * @param maximumBytes a larger letter should not be loaded, since it may be anything. Default: no limit.
   * @throws MalformedLetterError when the letter is larger, or when the place will never give it. This is an answer, unlike other errors.
   */
  get(name: string, maximumBytes?: number): Promise<string | undefined>;

  /** Succeeds when there is no such letter. */
  delete(name: string): Promise<void>;

  /** Ends connections. No call may follow. */
  close(): Promise<void>;
}
