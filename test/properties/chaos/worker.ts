import type { MemoryStream } from '../../../src/testing/index.ts';
import { Life, type Saved } from './life.ts';
import type { World } from './world.ts';

/** An event source mapping that is killed and goes on, with the checkpoints that survive it. */
export class Worker {
  readonly stream: MemoryStream;
  readonly #world: World;
  /** All saved checkpoints, the newest last. */
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
   * The process dies. The next one goes on from the checkpoint `stale` saves ago, and later checkpoints are forgotten. So a replay that has begun
   * comes to its end. Otherwise an old value that the replay restored after an eviction would stay.
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

  /** The checkpoints as they were `stale` saves ago. */
  ago(stale: number): Saved {
    return this.#saved[Math.max(0, this.#saved.length - 1 - stale)] as Saved;
  }

  /** Stops in order, and starts again. */
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
