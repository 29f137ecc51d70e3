import type { ChangeLines } from './change-lines.ts';

/** A call that takes longer is reported, ms. */
const SLOW_MS = 1_500;

/**
 * Wraps the calls of a service: prints a line when the calls begin to fail, and another when the service answers again. The handler itself
 * reports late, because it first repeats a failing call until its time is nearly over.
 */
export function outageLines(lines: Pick<ChangeLines, 'outage'>, service: string): <T>(call: () => Promise<T>) => Promise<T> {
  /** The reasons printed in the present outage. Each is printed once, because reasons may alternate. */
  const printed = new Set<string>();
  const fails = (reason: string): void => {
    if (!printed.has(reason)) lines.outage(service, reason);
    printed.add(reason);
  };
  return async (call) => {
    const slow = setTimeout(() => {
      if (printed.size === 0) fails(`no answer in ${SLOW_MS / 1_000} s`);
    }, SLOW_MS);
    try {
      const answer = await call();
      if (printed.size > 0) lines.outage(service, undefined);
      printed.clear();
      return answer;
    } catch (error) {
      fails((error as Error).message);
      throw error;
    } finally {
      clearTimeout(slow);
    }
  };
}
