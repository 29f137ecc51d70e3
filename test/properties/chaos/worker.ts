import type { MemoryStream } from '../../../src/testing/index.ts';
import { Life, type Saved } from './life.ts';
import type { World } from './world.ts';

/** An event source mapping that is killed and goes on, with the checkpoints that survive it. */
export class Worker {
  readonly stream: MemoryStream;
  readonly #world: World;
  /** What was ever saved, the newest last. */
  readonly #saved: Saved[];
  #life: Life | undefined;
  #restarting: Promise<void> = Promise.resolve();

  constructor(world: World, stream: MemoryStream, saved: Saved = new Map()) {
    this.stream = stream;
    this.#world = world;
    this.#saved = [saved];
    this.start();
  }

  start(): void {
    if (!this.#life && this.ago(0).size === 0) this.#world.journal.loseTrimmed();
    this.#life ??= new Life(this.#world, this.stream, this.#saved);
  }

  /**
   * The process dies. The next one goes on from so many checkpoints ago, and those that were saved since are forgotten: a replay that is begun is brought to
   * its end. Else what it brought back after an eviction would stay.
   */
  kill(stale: number): void {
    this.#life?.end();
    this.#life = undefined;
    this.#saved.splice(Math.max(1, this.#saved.length - stale));
  }

  beginAnew(): void {
    this.kill(0);
    this.#saved.splice(0, Infinity, new Map());
    this.start();
  }

  /** So many checkpoints ago: all that was saved at one time. */
  ago(stale: number): Saved {
    return this.#saved[Math.max(0, this.#saved.length - 1 - stale)] as Saved;
  }

  /** In order, and begun again. */
  restart(): void {
    this.#restarting = this.#restart();
  }

  async #restart(): Promise<void> {
    const life = this.#life;
    await life?.stop();
    if (this.#life !== life) return;
    this.kill(0);
    this.start();
  }

  async drained(): Promise<void> {
    await this.#restarting;
    this.start();
    await this.#life?.drained();
  }
}
