import { CacheUnavailableError } from '../errors.ts';

/** Calls in a row without an answer after which the breaker opens. */
const MOST_FAILURES = 5;
/** How long an open breaker keeps all calls from the cache, ms. Then one call tries. */
const OPEN_MS = 1_000;

/** Calls a cache that may be slow or down: an answer in time, or none. */
export interface CacheGuard {
  /** Calls without an answer, and calls that were not made because the breaker was open. */
  readonly unanswered: number;
  /**
   * @returns `undefined` when the cache gives no answer within the deadline, or none was awaited because the breaker is open
   * @throws what the call throws, except `CacheUnavailableError`
   */
  call<T extends object>(send: () => Promise<T>): Promise<T | undefined>;
}

export function cacheGuard(deadlineMs: number): CacheGuard {
  let failures = 0;
  let closedFrom = 0;
  let unanswered = 0;

  return {
    get unanswered() {
      return unanswered;
    },
    async call(send) {
      const now = performance.now();
      if (failures >= MOST_FAILURES) {
        if (now < closedFrom) {
          unanswered += 1;
          return undefined;
        }
        // The others wait for what this call finds.
        closedFrom = now + OPEN_MS;
      }
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), deadlineMs);
      });
      try {
        const answer = await Promise.race([send(), late]);
        if (answer !== undefined) {
          failures = 0;
          return answer;
        }
      } catch (error) {
        if (!(error instanceof CacheUnavailableError)) throw error;
      } finally {
        clearTimeout(timer);
      }
      unanswered += 1;
      failures += 1;
      if (failures >= MOST_FAILURES) closedFrom = performance.now() + OPEN_MS;
      return undefined;
    },
  };
}
