import type { Lease, LeaseTarget } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { itemOf } from '../../src/change.ts';
import { attributesOf, hintOf } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { parseLetter } from '../../src/letters/letter.ts';
import type { Mutation } from '../../src/mutation.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import type { TableReader } from '../../src/table.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import type { View } from '../../src/view.ts';
import { lambdaLetter, lambdaName, type MemoryStore, memoryStore } from '../letters/letters.ts';
import type { OrderStep } from './world/history.ts';
import { MAX_VALUE_BYTES, orderAfter, orderKey, show } from './world/items.ts';
import { pick } from './world/pick.ts';
import { Table, type Written } from './world/table.ts';
import { Tally } from './world/tally.ts';
import { buggyViews, worldViews } from './world/views.ts';

type Fate = 'none' | 'before' | 'after' | 'part';

/** A number chooses one of the things that exist at that time, modulo their count. */
export type RedriveStep =
  | OrderStep
  /** The stream delivers the next records of an item. */
  | { readonly type: 'deliver'; readonly item: number; readonly count: number; readonly fate: Fate }
  /** Lambda discards the next records of some items into a letter. The first `applied` of them may have been applied in part. */
  | { readonly type: 'discard'; readonly items: readonly number[]; readonly applied: number }
  | { readonly type: 'replay'; readonly item: number; readonly back: number }
  | { readonly type: 'evict'; readonly target: number }
  /** An order changes, the stream delivers the change, and everything in the cache is evicted. */
  | { readonly type: 'overtake'; readonly change: OrderStep }
  | { readonly type: 'lease'; readonly list: number }
  | { readonly type: 'settle'; readonly lease: number }
  | {
      readonly type: 'redrive';
      /** The letters to redrive, in order. */
      readonly letters: readonly number[];
      /** What happens after each read of the table and before and after each write of the cache. */
      readonly during: readonly (readonly RedriveStep[])[];
      readonly fates: readonly Fate[];
      readonly storeFails: readonly boolean[];
      /** The run ends at this hook. */
      readonly killedAt: number | undefined;
    };

/** The records of an item. One batch at a time is under way. */
interface Queue {
  readonly records: Written[];
  at: number;
  busy: boolean;
}

type Redrive = Extract<RedriveStep, { readonly type: 'redrive' }>;

const SILENT = { info() {}, warn() {}, error() {} };

/** One table, its stream, the worker, letters of Lambda and of the worker, and redrives between and during all steps. */
export class RedriveWorld {
  readonly table: Table;
  readonly store: MemoryStore = memoryStore();
  readonly cache: MemoryCache = memoryCache({ maxValueBytes: MAX_VALUE_BYTES });
  readonly bug = { mended: false };
  readonly story: string[] = [];
  readonly tally = new Tally();
  /** The views without the bug. */
  readonly views: readonly View[] = worldViews.all;
  readonly #buggy: readonly View[];
  readonly #queues = new Map<string, Queue>();
  readonly #leases: { readonly list: string; readonly lease: Lease; readonly newest: Members }[] = [];
  #discarded = 0;

  readonly #lossless: boolean;

  /** `lossless`: nothing is evicted. */
  constructor(lossless: boolean) {
    this.#lossless = lossless;
    this.table = new Table(this.views, { from: 999_999_999_999_999_999_990n, digits: 0 });
    this.#buggy = buggyViews(this.views, this.bug);
  }

  async take(step: RedriveStep, depth = 0): Promise<void> {
    this.tally.add(step.type);
    switch (step.type) {
      case 'order':
        return this.#write(step);
      case 'deliver':
        return this.#deliver(pick([...this.#queues.keys()], step.item), step.count, step.fate);
      case 'discard':
        return this.#discard(step.items, step.applied);
      case 'replay': {
        const queue = pick([...this.#queues.values()], step.item);
        if (queue && !queue.busy) queue.at -= Math.min(queue.at, step.back);
        return;
      }
      case 'evict': {
        const target = pick(this.table.targets, step.target);
        if (target) this.#evict(target);
        return;
      }
      case 'overtake': {
        const item = itemOf({ ...orderKey(step.change) });
        this.#write(step.change);
        await this.#deliver(item, Infinity, 'none');
        const queue = this.#queues.get(item);
        if (!queue?.busy && queue?.at === queue?.records.length) for (const target of this.table.targets) this.#evict(target);
        return;
      }
      case 'lease': {
        const [list, { view, keep }] = pick([...this.table.lists], step.list) ?? ['', { view: '', keep: 0 }];
        if (keep === 0) return;
        const lease = await leaseOn(this.cache, { kind: 'list', list, keep });
        const newest = this.table.membersOf(list);
        // Otherwise the projection of the reader would throw.
        if (!newest.some(({ row }) => row.cursed.has(view))) this.#leases.push({ list, lease, newest });
        return;
      }
      case 'settle': {
        const reader = pick(this.#leases, step.lease);
        if (!reader) return;
        this.#leases.splice(this.#leases.indexOf(reader), 1);
        return this.#settle(reader);
      }
      case 'redrive': {
        const names = [...this.store.texts.keys()];
        const some = [...new Set(step.letters.flatMap((n) => pick(names, n) ?? []))];
        if (some.length === 0 || depth >= 2) return;
        // Only a redrive that runs alone fails here, because two that overlap and fail could leave an outdated entry.
        const alone = depth === 0 && !step.during.flat().some(({ type }) => type === 'redrive');
        await this.#redrive(some, alone ? step : { ...step, storeFails: [], killedAt: undefined }, depth);
      }
    }
  }

  #evict(target: LeaseTarget): void {
    if (this.#lossless) return;
    this.cache.evict(target);
    this.story.push(`evict ${target.kind === 'list' ? target.list : target.key}`);
  }

  /** The items of the letters in the store. */
  get waiting(): ReadonlySet<string> {
    const events = [...this.store.texts.values()].map((text) => parseLetter(text).event);
    return new Set(events.flatMap(({ Records }) => Records.map((record, i) => hintOf(record, i).item)));
  }

  /** Delivers every record, and redrives all letters as long as that removes any. */
  async comeToRest(): Promise<void> {
    for (const [item, queue] of this.#queues) while (queue.at < queue.records.length) await this.#deliver(item, 1, 'none');
    for (const reader of this.#leases.splice(0)) await this.#settle(reader);
    for (let left = Infinity; this.store.texts.size > 0 && this.store.texts.size < left; ) {
      left = this.store.texts.size;
      await this.#redrive([...this.store.texts.keys()], undefined, 0);
    }
  }

  #write(step: OrderStep): void {
    const key = orderKey(step);
    const image = orderAfter(step, this.table.rows.get(itemOf({ ...key }))?.image, this.table.clock, false);
    const written = this.table.write(key, image);
    if (!written) return;
    const queue = this.#queues.get(written.item) ?? { records: [], at: 0, busy: false };
    this.#queues.set(written.item, queue);
    queue.records.push(written);
    this.story.push(`${written.clock}: ${written.event.eventName} ${written.item}: ${show(image)}`);
  }

  async #deliver(item: string | undefined, count: number, fate: Fate): Promise<void> {
    const queue = this.#queues.get(item ?? '');
    if (!queue || queue.busy) return;
    const batch = queue.records.slice(queue.at, queue.at + count);
    if (batch.length === 0) return;
    queue.busy = true;
    const fates = [fate];
    const handler = streamHandler({
      views: this.#buggy,
      cache: { ...this.cache, apply: (mutations) => this.#apply(mutations, fates.pop() ?? 'none') },
      letters: this.store,
      logger: SILENT,
      retries: { forMs: 0 },
      poisonRunLimit: 0,
    });
    const { batchItemFailures: failures } = await handler({ Records: batch.map(({ event }) => event) });
    const failed = batch.findIndex(({ number }) => number === failures[0]?.itemIdentifier);
    queue.at += failed === -1 ? batch.length : failed;
    queue.busy = false;
    this.story.push(`deliver ${batch.map(({ clock }) => clock)}${failed === -1 ? '' : `, failed from ${batch[failed]?.clock}`}`);
  }

  async #discard(items: readonly number[], applied: number): Promise<void> {
    const waiting = [...this.#queues.values()].filter(({ records, at, busy }) => at < records.length && !busy);
    const queues = new Set(items.flatMap((n) => pick(waiting, n) ?? []));
    const batch = [...queues].flatMap((queue) => queue.records.slice(queue.at, queue.at + 1));
    if (batch.length === 0) return;
    for (const queue of queues) queue.busy = true;
    for (const [i, { event }] of batch.entries()) {
      // Each attempt may have applied a part of the record before the cache gave no answer.
      const cache = { ...this.cache, apply: (mutations: readonly Mutation[]) => this.#apply(mutations, i < applied ? 'part' : 'before') };
      const options = { logger: SILENT, retries: { forMs: 0 }, poisonRunLimit: 0 };
      await streamHandler({ ...options, views: this.#buggy, cache, letters: memoryStore() })({ Records: [event] });
    }
    for (const queue of queues) {
      queue.at += 1;
      queue.busy = false;
    }
    this.#discarded += 1;
    this.store.texts.set(lambdaName(this.#discarded), lambdaLetter(batch.map(({ event }) => event)));
    this.story.push(`discard ${batch.map(({ clock }) => clock)}`);
  }

  async #apply(mutations: readonly Mutation[], fate: Fate) {
    if (fate === 'before') throw new CacheUnavailableError('before it was applied');
    const outcomes = await this.cache.apply(fate === 'part' ? mutations.slice(0, 1) : mutations);
    if (fate !== 'none') throw new CacheUnavailableError('after it was applied');
    return outcomes;
  }

  async #redrive(names: readonly string[], how: Redrive | undefined, depth: number): Promise<void> {
    const fates = [...(how?.fates ?? [])];
    const during = [...(how?.during ?? [])];
    const storeFails = [...(how?.storeFails ?? [])];
    const killed = new AbortController();
    let hooks = 0;
    const hook = async () => {
      hooks += 1;
      if (hooks === how?.killedAt) killed.abort();
      for (const step of during.shift() ?? []) await this.take(step, depth + 1);
    };
    const alive = () => {
      if (killed.signal.aborted) throw new Error('killed');
    };
    const table: TableReader = {
      read: async (_, keys) => {
        const found = keys.map((key) => ({ item: this.table.rows.get(itemOf(attributesOf(key)))?.image }));
        await hook();
        return found;
      },
    };
    const writing = async <T>(write: () => Promise<T>): Promise<T> => {
      alive();
      if (storeFails.shift()) throw new Error('the store of letters is away');
      return await write();
    };
    const left = [...names];
    const { letters } = await redrive({
      views: this.#buggy,
      cache: {
        ...this.cache,
        apply: async (mutations) => {
          await hook();
          alive();
          const outcomes = await this.#apply(mutations, fates.shift() ?? 'none');
          await hook();
          return outcomes;
        },
      },
      table,
      store: {
        ...this.store,
        // The order of this step, not that of the age.
        async *names() {
          yield* left;
        },
        put: (name, text) => writing(() => this.store.put(name, text)),
        delete: (name) => writing(() => this.store.delete(name)),
      },
      filter: {},
      signal: killed.signal,
    });
    for (const { status, causes } of letters) {
      this.tally.add(status);
      for (const { stage } of causes) this.tally.add(stage);
    }
    this.story.push(
      `redrive ${JSON.stringify(letters.map(({ status, causes }) => [status, ...causes.map(({ stage, error }) => `${stage}: ${error.message}`)]))}`,
    );
  }

  async #settle({ list, lease, newest }: { readonly list: string; readonly lease: Lease; readonly newest: Members }): Promise<void> {
    const keep = this.table.lists.get(list)?.keep ?? 0;
    const found = newest.slice(0, keep).map(({ member, score, json }) => ({ member, score, json }));
    this.tally.add(await settleOn(this.cache, lease, { kind: 'list', newest: found, next: newest[keep]?.score }));
  }
}

type Members = ReturnType<Table['membersOf']>;
