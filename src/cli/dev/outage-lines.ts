import type { ChangeLines } from './change-lines.ts';

/** A call may take a while; but whoever watches is told that it does, ms. */
const SLOW_MS = 1_500;

/**
 * Calls a service, and tells when it begins to fail and when it answers again. The handler repeats calls that fail until its time is nearly
 * over, and reports only then.
 */
export function outageLines(lines: Pick<ChangeLines, 'outage'>, service: string): <T>(call: () => Promise<T>) => Promise<T> {
  /** Of the outage that is under way; each is told once, for some take turns. */
  const told = new Set<string>();
  const fails = (reason: string): void => {
    if (!told.has(reason)) lines.outage(service, reason);
    told.add(reason);
  };
  return async (call) => {
    const slow = setTimeout(() => {
      if (told.size === 0) fails(`no answer in ${SLOW_MS / 1_000} s`);
    }, SLOW_MS);
    try {
      const answer = await call();
      if (told.size > 0) lines.outage(service, undefined);
      told.clear();
      return answer;
    } catch (error) {
      fails((error as Error).message);
      throw error;
    } finally {
      clearTimeout(slow);
    }
  };
}
