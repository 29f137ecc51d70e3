import type { Clock } from './clock.ts';

/** One waits, others ring. A ring that nobody waits for is kept for the next who does. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    if (this.#wake) this.#wake();
    else this.#rung = true;
  }

  /** Resolves when it rings, or after `ms` of the clock. */
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
