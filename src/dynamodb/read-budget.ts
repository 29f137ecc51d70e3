/** A budget of read units, shared by all calls that take from it. */
export interface ReadBudget {
  /**
   * Waits until the units that were taken so far are paid for, and takes the units that a call is expected to use.
   *
   * @returns what to call once with the units that the call has used
   * @throws the signal's reason when the signal ends the wait
   */
  take(expected: number, signal: AbortSignal): Promise<(used: number) => void>;
}

/** Timers of Node take no longer time than this, and a command shall end soon after a signal, ms. */
const LONGEST_PAUSE_MS = 1_000;

/** @param unitsPerSecond on average, over all calls */
export function readBudget(
  unitsPerSecond: number,
  { sleep = wait, now = Date.now }: { sleep?(ms: number): Promise<void>; readonly now?: () => number } = {},
): ReadBudget {
  /** When the units that were taken are paid for, ms since the epoch. */
  let free = 0;
  const take = (units: number): void => {
    free = Math.max(free, now()) + (units * 1_000) / unitsPerSecond;
  };
  return {
    async take(expected, signal) {
      signal.throwIfAborted();
      // Several callers wait here. The first one that goes on takes its units, and the others wait for these, too.
      for (let pauseMs = free - now(); pauseMs > 0; pauseMs = free - now()) {
        await sleep(Math.min(pauseMs, LONGEST_PAUSE_MS));
        signal.throwIfAborted();
      }
      take(expected);
      return (used) => {
        if (used > expected) take(used - expected);
        else free -= ((expected - used) * 1_000) / unitsPerSecond;
      };
    },
  };
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
