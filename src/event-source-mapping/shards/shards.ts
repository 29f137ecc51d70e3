import { asError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { Gap } from '../events.ts';
import type { Run } from '../run.ts';
import type { Shard } from '../streams/reader.ts';
import { Bell } from '../time/bell.ts';
import { discover } from './discovery.ts';
import { ShardPoller } from './poller.ts';

/** How often the stream is asked for new shards, ms. It is also asked whenever one ends. */
const DISCOVERY_MS = 10_000;

/** All shards of a stream: finds them, and has each followed once its parent has ended. */
export class Shards {
  readonly #run: Run;
  /** Of shards that have not ended. */
  readonly #pollers = new Map<string, ShardPoller>();
  /** Not begun yet. */
  readonly #waiting = new Map<string, Shard>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #bell = new Bell();
  /** Of these, only which have ended is kept up to date. */
  #checkpoints = new Map<string, Checkpoint>();
  readonly #told = new Set<string>();
  #first = false;
  #askedAt: number | undefined;
  #listing: Promise<unknown> = Promise.resolve();

  constructor(run: Run) {
    this.#run = run;
    run.onStop(() => this.#bell.ring());
  }

  /** Loads the checkpoints and begins. Throws when they, or the shards, cannot be read. */
  async open(): Promise<void> {
    this.#checkpoints = new Map(await this.#run.settings.checkpoints.load());
    // What a start that failed has saved is of this mapping.
    this.#first ||= this.#checkpoints.size === 0;
    await this.#list();
    this.#do(() => this.#discover());
  }

  /** Resolves when all that is in the stream now is done. */
  async caughtUp(): Promise<void> {
    const shards = await this.#listUntilItSucceeds();
    await Promise.all(shards.map(({ id, closed }) => this.#pollers.get(id)?.caughtUp(closed)));
  }

  /** Resolves when nothing is under way any more, or nobody waits for it. */
  async ended(): Promise<void> {
    while (this.#tasks.size > 0 && !this.#run.killed) await Promise.race([Promise.all(this.#tasks), this.#run.death]);
  }

  #do(task: () => Promise<void>): void {
    const guarded = task()
      .catch((error) => this.#run.fail(error))
      .finally(() => this.#tasks.delete(guarded));
    this.#tasks.add(guarded);
  }

  async #discover(): Promise<void> {
    while (!this.#run.stopping.aborted) {
      await this.#bell.heard(this.#run.settings.clock, DISCOVERY_MS);
      await this.#listUntilItSucceeds();
    }
  }

  async #listUntilItSucceeds(): Promise<readonly Shard[]> {
    for (let failures = 1; !this.#run.stopping.aborted; failures += 1) {
      try {
        return await this.#list();
      } catch (error) {
        const delayMs = this.#run.settings.backoffMs(failures);
        this.#run.emit({ type: 'read-failed', error: asError(error), delayMs });
        await this.#run.pause(delayMs);
      }
    }
    return [];
  }

  /** One at a time. */
  #list(): Promise<readonly Shard[]> {
    const listing = this.#listing.then(() => this.#listNow());
    this.#listing = listing.catch(() => {});
    return listing;
  }

  async #listNow(): Promise<readonly Shard[]> {
    const { reader, clock, checkpoints, startingPosition } = this.#run.settings;
    const now = clock.now();
    const shards = await reader.shards();
    const [first, askedAt] = [this.#first, this.#askedAt];
    const found = discover(shards, { checkpoints: this.#checkpoints, first, startingPosition, now, askedAt });
    if (this.#run.stopping.aborted) return [];
    // Before what follows makes them unknown.
    for (const gap of found.gaps) this.#tellOnce(gap);
    for (const [id, checkpoint] of found.checkpoints) {
      if (this.#run.killed) return [];
      await checkpoints.save(id, checkpoint);
    }
    if (this.#run.stopping.aborted) return [];
    const before = this.#checkpoints;
    this.#checkpoints = new Map([...before, ...found.checkpoints]);
    [this.#first, this.#askedAt] = [false, now];
    for (const id of found.obsolete) await this.#forget(id);
    for (const shard of shards) {
      const from = this.#checkpoints.get(shard.id);
      if (!from || from.type === 'ended' || this.#pollers.has(shard.id)) continue;
      this.#pollers.set(shard.id, new ShardPoller(this.#run, shard.id, from, !before.has(shard.id)));
      this.#waiting.set(shard.id, shard);
    }
    this.#followThoseThatMay();
    return shards;
  }

  /** A shard that is followed finds out for itself that it is gone. */
  #tellOnce(gap: Gap): void {
    if (this.#pollers.has(gap.shardId) || this.#told.has(gap.shardId)) return;
    this.#told.add(gap.shardId);
    this.#run.emit(gap);
  }

  async #forget(id: string): Promise<void> {
    if (this.#run.killed || this.#pollers.has(id)) return;
    await this.#run.settings.checkpoints.delete(id);
    this.#checkpoints.delete(id);
  }

  #followThoseThatMay(): void {
    for (const [id, { parent }] of this.#waiting) {
      // The stream may have removed the parent while its last records are under way here.
      if ((parent !== undefined && this.#pollers.has(parent)) || this.#run.stopping.aborted) continue;
      this.#waiting.delete(id);
      this.#do(() => this.#follow(id));
    }
  }

  async #follow(id: string): Promise<void> {
    if (!(await this.#pollers.get(id)?.follow())) return;
    this.#checkpoints.set(id, { type: 'ended', at: this.#run.settings.clock.now() });
    this.#pollers.delete(id);
    this.#followThoseThatMay();
    this.#bell.ring();
  }
}
