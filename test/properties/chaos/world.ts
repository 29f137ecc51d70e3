import type { CacheClient, LeaseTarget } from '../../../src/cache.ts';
import type { MappingEvent } from '../../../src/testing/index.ts';
import type { View } from '../../../src/view.ts';
import { pick } from '../world/pick.ts';
import type { Tally } from '../world/tally.ts';
import type { OpenCache } from './backends.ts';
import { Chance } from './chance.ts';
import type { WorldClock } from './clock.ts';
import type { Act, History, Step } from './history.ts';
import { Journal } from './journal.ts';
import { Lambda } from './lambda.ts';
import { LetterShelf } from './letter-shelf.ts';
import { Readers } from './readers.ts';
import { Redrives } from './redrives.ts';
import { Source } from './source.ts';
import type { Table } from './table.ts';
import { viewSets } from './views.ts';
import { Weathers } from './weathers.ts';
import { Worker } from './worker.ts';

/** More workers find no further faults. */
const MOST_WORKERS = 3;
const HOUR_MS = 3_600_000;
/** How long DynamoDB keeps stream records. */
const RETENTION_HOURS = 24;

export interface Circumstances {
  readonly clock: WorldClock;
  readonly cache: OpenCache;
  readonly tally: Tally;
  /** Called with each event, for a story. */
  readonly tell?: ((what: string | MappingEvent) => void) | undefined;
}

/** One table, its streams, their mappings, the function, a cache, letters, redrives and readers. A history moves them step by step. */
export class World {
  readonly history: History;
  readonly clock: WorldClock;
  readonly cache: OpenCache;
  readonly tally: Tally;
  readonly tell: Circumstances['tell'];
  readonly chance: Chance;
  readonly views: readonly View[];
  readonly weathers: Weathers;
  readonly journal = new Journal();
  readonly source: Source;
  readonly letters: LetterShelf;
  readonly lambda: Lambda;
  readonly redrives: Redrives;
  readonly readers: Readers;
  readonly workers: Worker[] = [];
  readonly bug = { mended: false };
  /** Faults that do not show in the cache. */
  readonly misdeeds: string[] = [];

  constructor(history: History, { clock, cache, tally, tell }: Circumstances) {
    this.history = history;
    this.clock = clock;
    this.cache = cache;
    this.tally = tally;
    this.tell = tell;
    this.chance = new Chance(history.seed);
    this.views = viewSets[history.views];
    this.weathers = new Weathers(clock, this.chance, tally);
    this.source = new Source(this);
    this.letters = new LetterShelf(this);
    this.lambda = new Lambda(this);
    this.redrives = new Redrives(this);
    this.readers = new Readers(this);
    this.workers.push(new Worker(this, this.source.stream));
  }

  get table(): Table {
    return this.source.table;
  }

  /** Whether nothing is under way except the workers. */
  get isIdle(): boolean {
    return this.source.isIdle && this.weathers.late === 0 && this.lambda.isIdle && this.redrives.isIdle && this.readers.isIdle;
  }

  readonly misdeed = (what: string): void => {
    this.misdeeds.push(what);
  };

  /** That of some process. */
  client(): CacheClient {
    return this.chance.of(this.cache.clients) as CacheClient;
  }

  async take(step: Step): Promise<void> {
    this.tell?.(`${this.clock.now()} ${JSON.stringify(step)}`);
    await this.#do(step);
    await this.clock.advance(step.passMs);
  }

  /**
   * Whether there are no ghosts: calls that nothing waits for any more. A ghost may write an old value after the newer entry was evicted with its version,
   * and the newer change does not come again. The law cannot prevent that, so nothing is evicted while there are ghosts.
   */
  get isFreeOfGhosts(): boolean {
    return !this.lambda.hasGhosts && this.weathers.late === 0;
  }

  async evict(target: LeaseTarget | undefined, part: number): Promise<void> {
    if (!target || !this.isFreeOfGhosts) return;
    this.tally.add('evictions');
    this.tell?.(`  evicted: ${JSON.stringify(target)}`);
    await this.clock.until(this.clock.outside(this.cache.evict(target, part)), 0);
  }

  async flush(): Promise<void> {
    this.tally.add('flushes');
    await this.clock.until(this.clock.outside(this.cache.flush()), 0);
  }

  async #do(act: Act): Promise<void> {
    const { clock, tally } = this;
    switch (act.type) {
      case 'order':
      case 'line':
      case 'stranger':
      case 'garbage':
        return this.source.write(act);
      case 'weather':
        return this.weathers.set(act.of, act.is);
      case 'kill': {
        // A worker that lost its checkpoints cannot know which trimmed records it missed.
        const stale = this.source.isWhole ? act.stale : 0;
        tally.add(stale > 0 ? 'workers killed, going on from an old checkpoint' : 'workers killed');
        const worker = this.#worker(act.worker);
        worker?.kill(stale);
        await clock.advance(act.downMs);
        return worker?.start();
      }
      case 'restart':
        tally.add('workers stopped and started');
        return this.#worker(act.worker)?.restart();
      case 'replay':
        if (!this.source.isWhole) return;
        tally.add('replays from TRIM_HORIZON');
        return this.#worker(act.worker)?.beginAnew();
      case 'second':
        if (this.workers.length >= MOST_WORKERS) return;
        tally.add('second workers');
        this.workers.push(new Worker(this, this.source.stream, this.workers.at(-1)?.ago(act.stale)));
        return;
      case 'deploy': {
        tally.add(`deployments of ${act.code} code`);
        const view = pick(this.views, act.view)?.name ?? '';
        return this.lambda.deploy(act.code === 'limping' ? { kind: act.code, view } : { kind: act.code });
      }
      case 'mend':
        // A ghost would write an item that was poison before.
        if (this.isFreeOfGhosts) this.bug.mended = true;
        return;
      case 'redrive':
        void this.redrives.run(act.limit, act.dieAfterMs);
        return;
      case 'evict':
        return await this.evict(this.#target(act), act.part);
      case 'flush':
        return this.isFreeOfGhosts ? await this.flush() : undefined;
      case 'fill': {
        const target = this.#target(act);
        if (target) void this.readers.fill(target, act.readMs, act.settleMs);
        return;
      }
      case 'split':
      case 'roll':
        return this.source.close(act.type, act.shard);
      case 'renew':
        if (this.workers.length >= MOST_WORKERS) return;
        this.source.renew();
        this.workers.push(new Worker(this, this.source.stream));
        return;
      case 'expire-iterators':
        return this.source.stream.expireIterators();
      case 'night': {
        tally.add(`nights of ${act.hours} hours`);
        for (const worker of this.workers) worker.kill(0);
        await clock.advance(act.hours * HOUR_MS);
        if (act.hours > RETENTION_HOURS) {
          this.source.trim();
          this.journal.trim();
        }
        for (const worker of this.workers) worker.start();
      }
    }
  }

  #worker(n: number): Worker | undefined {
    return pick(this.workers, n);
  }

  #target({ list, target }: { readonly list: boolean; readonly target: number }): LeaseTarget | undefined {
    const kind = list ? 'list' : 'document';
    return pick(
      this.table.targets.filter((it) => it.kind === kind),
      target,
    );
  }
}
