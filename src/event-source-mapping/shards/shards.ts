import { asError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { Gap } from '../events.ts';
import type { Run } from '../run.ts';
import type { Shard } from '../streams/reader.ts';
import { Bell } from '../time/bell.ts';
import { discover } from './discovery.ts';
import { ShardPoller } from './poller.ts';

/** How often the shards of the stream are listed, ms. They are also listed whenever a shard ends. */
const DISCOVERY_MS = 10_000;

/** All shards of a stream: finds them, and follows each one once its parent has ended. */
export class Shards {
  readonly #run: Run;
  /** Pollers of shards that have not ended. */
  readonly #pollers = new Map<string, ShardPoller>();
  /** Shards whose pollers have not started. */
  readonly #waiting = new Map<string, Shard>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #bell = new Bell();
  /** Checkpoints by shard. Only the `ended` entries are kept current. */
  #checkpoints = new Map<string, Checkpoint>();
  readonly #reportedGaps = new Set<string>();
  #first = false;
  #askedAt: number | undefined;
  #listing: Promise<unknown> = Promise.resolve();

  constructor(run: Run) {
    this.#run = run;
    run.onStop(() => this.#bell.ring());
  }

  /** Loads the checkpoints and starts following. Rejects when the checkpoints or the shards cannot be read; may be called again then. */
  async open(): Promise<void> {
    this.#checkpoints = new Map(await this.#run.settings.checkpoints.load());
    // A failed `open` may have saved checkpoints. They are this mapping's own, so `#first` stays true.
    this.#first ||= this.#checkpoints.size === 0;
    await this.#list();
    this.#start(() => this.#discover());
  }

  /** Resolves when all records that are in the stream now are done. */
  async caughtUp(): Promise<void> {
    const shards = await this.#listUntilItSucceeds();
    await Promise.all(shards.map(({ id, closed }) => this.#pollers.get(id)?.caughtUp(closed)));
  }

  /** Resolves when no task is running, or the mapping is killed. */
  async ended(): Promise<void> {
    while (this.#tasks.size > 0 && !this.#run.killed) await Promise.race([Promise.all(this.#tasks), this.#run.death]);
  }

  #start(task: () => Promise<void>): void {
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

  /** Lists the shards after every earlier call has finished. */
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
    // Gaps are reported before the checkpoints that reveal them are deleted. A mapping that dies in between finds them again.
    for (const gap of found.gaps) this.#reportOnce(gap);
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
      this.#pollers.set(shard.id, new ShardPoller(this.#run, shard.id, from, !before.has(shard.id), () => this.#listUntilItSucceeds()));
      this.#waiting.set(shard.id, shard);
    }
    this.#followReady();
    return shards;
  }

  /** A shard with a poller is left out: its own cursor reports the gap. */
  #reportOnce(gap: Gap): void {
    if (this.#pollers.has(gap.shardId) || this.#reportedGaps.has(gap.shardId)) return;
    this.#reportedGaps.add(gap.shardId);
    this.#run.emit(gap);
  }

  async #forget(id: string): Promise<void> {
    if (this.#run.killed || this.#pollers.has(id)) return;
    await this.#run.settings.checkpoints.delete(id);
    this.#checkpoints.delete(id);
  }

  /** Follows each waiting shard whose parent has ended, or was never known. */
  #followReady(): void {
    for (const [id, { parent }] of this.#waiting) {
      // The poller of a parent counts, not the list: DynamoDB may remove a shard while its last records are being delivered.
      if ((parent !== undefined && this.#pollers.has(parent)) || this.#run.stopping.aborted) continue;
      this.#waiting.delete(id);
      this.#start(() => this.#follow(id));
    }
  }

  async #follow(id: string): Promise<void> {
    if (!(await this.#pollers.get(id)?.follow())) return;
    this.#checkpoints.set(id, { type: 'ended', at: this.#run.settings.clock.now() });
    this.#pollers.delete(id);
    this.#followReady();
    this.#bell.ring();
  }
}
