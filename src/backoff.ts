export interface RetryOptions {
  /** Whether the fault may pass. All may, unless told otherwise. */
  isTransient?(error: unknown): boolean;
  /** ms that are left for an attempt to begin in. */
  remainingMs(): number;
  /** Told of each attempt that failed and is followed by another one. */
  onRetry?(error: unknown, delayMs: number): void;
  /** The longest wait before the second attempt, ms; it doubles from attempt to attempt. */
  readonly baseMs?: number;
  /** The longest wait of all, ms. */
  readonly capMs?: number;
  sleep?(ms: number): Promise<void>;
  /** From 0 to 1. */
  random?(): number;
}

/**
 * Attempts until one works, or until the next one could not begin in time: then it throws what the last one threw. Between attempts it waits any time
 * up to a limit that doubles ("full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog), so that many who failed together do
 * not come back together. There is always a first attempt.
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
