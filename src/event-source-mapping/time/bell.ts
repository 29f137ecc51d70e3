import type { Clock } from './clock.ts';

/** Wakes the one task that waits for it. A ring while no task waits wakes the next one at once. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    if (this.#wake) this.#wake();
    else this.#rung = true;
  }

  /** Resolves when the bell rings, or after `ms` on the clock. */
  async heard(clock?: Clock, ms?: number): Promise<void> {
    if (this.#rung) {
      this.#rung = false;
      return;
    }
    const ring = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (clock === undefined || ms === undefined) await ring;
    else {
      const over = new AbortController();
      await Promise.race([ring, clock.sleep(ms, over.signal)]);
      over.abort('rung');
    }
    this.#wake = undefined;
  }
}
