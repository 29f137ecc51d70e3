import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../../backoff.ts';
import { type Deadline, remaining } from './deadline.ts';

const FIRST_MS = 25;
const LONGEST_MS = 500;

/**
 * A pause of all calls while the service cannot be reached. The SDK opens a new connection for each call that finds the last one broken,
 * without a pause; calls that are sent together share one.
 */
export class SharedPause {
  #failures = 0;
  /** By the clock of `performance.now()`, ms. */
  #until = -Infinity;

  /**
   * Call when the service could not be reached. The pause doubles with each failure. Calls that were sent before a pause do not prolong it.
   *
   * @param sentAt by the clock of `performance.now()`, ms
   */
  begin(sentAt: number): void {
    if (sentAt < this.#until) return;
    this.#until = performance.now() + fullJitter(this.#failures, FIRST_MS, LONGEST_MS);
    this.#failures += 1;
  }

  /** Call when the service was reached. */
  end(): void {
    [this.#failures, this.#until] = [0, -Infinity];
  }

  /** Waits until the pause is over. Returns false at once if it does not end before the deadline. */
  async wait(deadline: Deadline): Promise<boolean> {
    const ms = this.#until - performance.now();
    if (ms <= 0) return true;
    if (ms >= remaining(deadline)) return false;
    await sleep(ms);
    return true;
  }
}
