export interface RetryOptions {
  /** Whether a later attempt may succeed. Default: always. */
  isTransient?(error: unknown): boolean;
  /** The time in which a further attempt may begin, ms. */
  remainingMs(): number;
  /** Called for each failed attempt that is followed by another one. */
  onRetry?(error: unknown, delayMs: number): void;
  /** The longest pause before the second attempt, ms. It doubles with each attempt. Default: 100. */
  readonly baseMs?: number;
  /** The longest pause of all, ms. Default: 5,000. */
  readonly capMs?: number;
  sleep?(ms: number): Promise<void>;
  /** Returns a number from 0 to below 1. Default: `Math.random`. */
  random?(): number;
}

/**
 * Repeats an attempt until it succeeds, or until the next one could not begin in time. There is always a first attempt. Pauses follow `fullJitter`.
 *
 * @throws what the last attempt threw.
 */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { isTransient = () => true, remainingMs, onRetry, baseMs = 100, capMs = 5_000, sleep = wait, random = Math.random } = options;
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      const delayMs = Math.ceil(fullJitter(failures, baseMs, capMs, random));
      if (!isTransient(error) || delayMs >= remainingMs()) throw error;
      onRetry?.(error, delayMs);
      await sleep(delayMs);
    }
  }
}

/**
 * A pause after `failures` failures before this one: any time up to a limit that doubles with each failure ("full jitter": M. Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog), so that callers who failed together do not come back together.
 *
 * @param baseMs the limit after the first failure
 * @param capMs the highest limit
 */
export function fullJitter(failures: number, baseMs: number, capMs: number, random: () => number = Math.random): number {
  return random() * Math.min(capMs, baseMs * 2 ** failures);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
