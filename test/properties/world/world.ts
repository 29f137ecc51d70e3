import type { CacheClient, Found, Lease, LeaseTarget } from '../../../src/cache.ts';
import { itemOf } from '../../../src/change.ts';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { type StreamAnswer, streamHandler } from '../../../src/handlers/stream-handler.ts';
import type { Report } from '../../../src/sync/sync.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import type { View } from '../../../src/view.ts';
import type { Opened } from './backend.ts';
import type { DeliverStep, Fate, History, Step } from './history.ts';
import { type Key, lineAfter, lineKey, orderAfter, orderKey, show, strangerAfter } from './items.ts';
import { pick } from './pick.ts';
import { Shard } from './shard.ts';
import { type Image, Table, type Written } from './table.ts';
import { Tally } from './tally.ts';
import { buggyViews, worldViews } from './views.ts';

const SILENT = { info() {}, warn() {}, error() {} };

/** A reader between its lease and its settling. */
interface Reader {
  readonly lease: Lease;
  found?: Found;
}

/** One table, its streams, their shards, the handler, a cache, and readers. A history moves them step by step. */
export class World {
  readonly table: Table;
  tally: Tally;
  readonly bug = { mended: false };
  /** The name of a letter for each item and view that could not be projected, until the bug is mended. */
  readonly letters = new Set<string>();
  /** The clock of the newest change of each item that the handler has reported as done. */
  readonly acknowledged = new Map<string, number>();
  /** Faults of the handler that do not show in the cache. */
  readonly misdeeds: string[] = [];
  readonly story: string[] = [];
  readonly #views: readonly View[];
  readonly #shards = new Map<string, Shard>();
  readonly #readers: Reader[] = [];
  readonly #history: History;
  readonly #opened: Opened;

  constructor(history: History, opened: Opened, tally: Tally) {
    this.#history = history;
    this.#opened = opened;
    this.tally = tally;
    const views: readonly View[] = worldViews[history.views];
    this.table = new Table(views, history.numbering);
    this.#views = buggyViews(views, this.bug);
  }

  get cache(): CacheClient {
    return this.#opened.cache;
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case 'order':
        return this.#write(orderKey(step), (old) => orderAfter(step, old, this.table.clock, this.#history.plain));
      case 'line':
        return this.#write(lineKey(step), () => lineAfter(step, this.table.clock, this.#history.plain), step.how === 'expire');
      case 'stranger': {
        const item = strangerAfter(step.n, this.table.clock);
        return this.#write(item, () => item);
      }
      case 'deliver': {
        const shards = [this.#shard(step.shard), step.beside === undefined ? undefined : this.#shard(step.beside)];
        await Promise.all([...new Set(shards)].map((shard) => shard && this.#deliver(shard, step)));
        return;
      }
      case 'replay':
        return this.#replay(this.#shard(step.shard), step.back);
      case 'straggle':
        return this.#straggle(this.#shard(step.shard), step.index);
      case 'renew':
        this.story.push('the stream is disabled and enabled');
        return this.table.renewStream();
      case 'evict':
        return this.#evict(this.#target(step), step.key);
      case 'flush':
        this.story.push('flush');
        return this.#opened.flush();
      case 'lease':
        return this.#lease(this.#target(step), step.read);
      case 'read':
        return this.#read(pick(this.#readers, step.lease));
      case 'settle': {
        const reader = pick(this.#readers, step.lease);
        if (!reader) return;
        this.#read(reader);
        if (!reader.found) return;
        this.#readers.splice(this.#readers.indexOf(reader), 1);
        await this.settle(reader.lease, reader.found);
      }
    }
  }

  /** Delivers every record, and ends the readers that have read. */
  async comeToRest(): Promise<void> {
    for (const shard of this.#shards.values()) {
      while (!shard.drained) {
        const before = shard.at;
        await this.#deliver(shard, { size: 4, fates: [], first: undefined, setAsideFails: false });
        if (shard.at > before) continue;
        this.misdeeds.push(`a shard does not go on from ${shard.records[before]?.number}`);
        return;
      }
    }
    for (const { lease, found } of this.#readers.splice(0)) if (found) await this.settle(lease, found);
  }

  /** Mends the bug of the views, and reads the streams again from the beginning. Later events are not counted. */
  mendAndReplay(): void {
    this.story.push('the views are mended, and all is replayed');
    this.bug.mended = true;
    this.tally = new Tally();
    this.letters.clear();
    for (const shard of this.#shards.values()) shard.at = 0;
  }

  async lease(target: LeaseTarget): Promise<Lease> {
    return await leaseOn(this.cache, target);
  }

  /** What the table has now. `undefined`: the projection of the reader throws. */
  find(target: LeaseTarget): Found | undefined {
    return this.table.find(target, ({ cursed }, view) => !this.bug.mended && cursed.has(view));
  }

  async settle(lease: Lease, found: Found): Promise<'settled' | 'lost'> {
    const outcome = await settleOn(this.cache, lease, found);
    this.story.push(`settle ${nameOf(lease.target)} with ${JSON.stringify(found)}: ${outcome}`);
    this.tally.add(outcome);
    return outcome;
  }

  #write({ pk, sk }: Key, after: (old: Image | undefined) => Image | undefined, expires = false): void {
    const image = after(this.table.rows.get(itemOf({ pk, sk }))?.image);
    const written = this.table.write({ pk, sk }, image, expires ? 'ttl' : 'user');
    if (!written) return;
    const fork = this.#history.mode === 'forked' ? `${written.stream} ` : '';
    const name = `${fork}${[...written.item].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % this.#history.shards}`;
    const shard = this.#shards.get(name) ?? new Shard();
    this.#shards.set(name, shard);
    shard.records.push(written);
    this.story.push(
      `${written.clock}: ${written.event.eventName} ${written.item}, number ${written.number}, shard ${name}: ${show(image)}`,
    );
  }

  async #deliver(shard: Shard, how: Pick<DeliverStep, 'size' | 'fates' | 'first' | 'setAsideFails'>): Promise<void> {
    const batch = shard.batch(how.size);
    if (batch.length === 0) return;
    const first = how.first === undefined ? undefined : pick(batch, how.first)?.item;
    const shuffled = [...batch.filter(({ item }) => item === first), ...batch.filter(({ item }) => item !== first)];
    const answer = await this.#invoke(shuffled, how.fates, how.setAsideFails);
    shard.settle(batch, answer);
    const done = shard.records.slice(0, shard.at);
    for (const { item, clock } of done) this.acknowledged.set(item, Math.max(clock, this.acknowledged.get(item) ?? 0));
    this.story.push(
      `deliver ${shuffled.map(({ clock }) => clock)} with ${JSON.stringify(how.fates.map(({ kind }) => kind))}: ${JSON.stringify(answer)}`,
    );
  }

  async #invoke(batch: readonly Written[], fates: readonly Fate[], setAsideFails: boolean): Promise<StreamAnswer | 'thrown'> {
    const handler = streamHandler({
      views: this.#views,
      cache: this.#unreliable(fates),
      // Only the stream retries here.
      retries: { forMs: 0 },
      setAside: async (letter) => {
        if (setAsideFails) throw new Error('the place for letters is away');
        for (const cause of letter.causes)
          if (cause.stage === 'view') this.letters.add(letterOf(letter.change?.item, cause.view?.split('@')[0]));
      },
      logger: SILENT,
      onReport: (report) => this.#count(report),
    });
    try {
      const answer = await handler({ Records: batch.map(({ event }) => event) as StreamRecord[] });
      if (answer.batchItemFailures.length > 1) this.misdeeds.push(`more than one failure is reported: ${JSON.stringify(answer)}`);
      return answer;
    } catch (error) {
      this.story.push(`the handler throws: ${error}`);
      return 'thrown';
    }
  }

  /** The cache of one invocation. It fails before, after or amid a call, and checks the order of the records of each item. */
  #unreliable(fates: readonly Fate[]): CacheClient {
    const { cache } = this;
    const busy = new Set<string>();
    const stopped = new Set<string>();
    let calls = 0;
    return {
      ...cache,
      apply: async (mutations) => {
        const fate = fates[calls++];
        const items = [...new Set(mutations.map(({ version }) => this.table.written.get(version)?.item ?? '?'))];
        for (const item of items) {
          if (stopped.has(item)) this.misdeeds.push(`item ${item} goes on after its failed record`);
          if (busy.has(item)) this.misdeeds.push(`two records of item ${item} are applied at once`);
          busy.add(item);
        }
        try {
          for (let n = 0; n < (fate?.wait ?? 0); n++) await undefined;
          if (fate?.kind === 'before') throw new CacheUnavailableError('before it was applied');
          const some = fate?.kind === 'part' ? mutations.slice(0, 1 + (fate.part % mutations.length)) : mutations;
          const outcomes = await cache.apply(some);
          if (fate && fate.kind !== 'none') throw new CacheUnavailableError('after it was applied');
          return outcomes;
        } catch (error) {
          for (const item of items) stopped.add(item);
          this.tally.add('retried');
          throw error;
        } finally {
          for (const item of items) busy.delete(item);
        }
      },
    };
  }

  #count({ records }: Report): void {
    for (const { applied, stale, rejected, causes } of records) {
      this.tally.add('applied', applied);
      this.tally.add('stale', stale);
      this.tally.add('rejected', rejected);
      this.tally.add('poison', causes.filter(({ stage }) => stage === 'view').length);
    }
  }

  #shard(n: number): Shard | undefined {
    return pick([...this.#shards.values()], n);
  }

  #replay(shard: Shard | undefined, back: number): void {
    if (!shard) return;
    shard.at -= Math.min(shard.at, back);
    this.story.push(`replay from ${shard.records[shard.at]?.clock}`);
  }

  /** Delivers an old record once more, alone. */
  async #straggle(shard: Shard | undefined, index: number): Promise<void> {
    const record = pick(shard?.records.slice(0, shard.furthest) ?? [], index);
    if (!record) return;
    this.story.push(`straggler ${record.clock}`);
    await this.#invoke([record], [], false);
  }

  #target({ list, target }: { readonly list: boolean; readonly target: number }): LeaseTarget | undefined {
    const kind = list ? 'list' : 'document';
    const targets = this.table.targets.filter((it) => it.kind === kind);
    return pick(targets, target);
  }

  async #evict(target: LeaseTarget | undefined, key: number): Promise<void> {
    if (!target) return;
    this.story.push(`evict ${nameOf(target)}`);
    this.tally.add('evicted');
    await this.#opened.evict(target, key);
  }

  async #lease(target: LeaseTarget | undefined, read: boolean): Promise<void> {
    if (!target) return;
    this.story.push(`lease ${nameOf(target)}`);
    const reader = { lease: await this.lease(target) };
    this.#readers.push(reader);
    if (read) this.#read(reader);
  }

  #read(reader: Reader | undefined): void {
    if (!reader || reader.found) return;
    reader.found = this.find(reader.lease.target);
    if (reader.found) this.story.push(`read ${nameOf(reader.lease.target)}`);
  }
}

export function letterOf(item: string | undefined, view: string | undefined): string {
  return `${view} ${item}`;
}

function nameOf(target: LeaseTarget): string {
  return target.kind === 'document' ? target.key : target.list;
}
