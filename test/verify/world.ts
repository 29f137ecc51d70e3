import { marshall } from '@aws-sdk/util-dynamodb';
import type { CacheClient, LeaseTarget, PageMember } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { type Attributes, itemOf } from '../../src/change.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { found } from '../../src/fill/found.ts';
import type { Sample } from '../../src/handlers/sampler.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import {
  type EventSourceMapping,
  eventSourceMapping,
  type LambdaHandler,
  type MemoryStream,
  memoryStream,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts';
import type { Subject } from '../../src/verify/observation.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import type { Violation } from '../../src/verify/verifier.ts';
import { type VerifyInput, verification } from '../../src/verify/verify.ts';
import { documentView, entity, keyOf, listView } from '../../src/view.ts';
import { randomOf } from '../backfill/orders.ts';
import { type QueriedSource, queriedSource } from './source.ts';

interface Item {
  readonly pk: string;
  readonly sk: string;
  readonly id: string;
  readonly owner: string;
  readonly rank: number;
  readonly text: string;
}

const things = entity<Item>({ name: 'thing', owns: ({ sk }) => sk === 'thing', schema: { parse: (item) => item as Item } });
const lines = entity<Item>({ name: 'line', owns: ({ sk }) => String(sk).startsWith('line#'), schema: { parse: (item) => item as Item } });

const detail = documentView({
  name: 'detail',
  revision: 1,
  entity: things,
  project: ({ id, text, rank }) => [{ key: id, value: { id, text, rank } }],
  from: (id) => ({ pk: `thing#${id}`, sk: 'thing' }),
});
/** Lists that no query gives. The members have the names of their items. */
const ranking = listView({
  name: 'ranking',
  revision: 1,
  keep: 60,
  entity: things,
  project: ({ owner, rank, text, id }) => [
    { list: 'all', score: rank, value: { id, text } },
    { list: `owner:${owner}`, score: rank, value: { id, text } },
  ],
});
/** Lists that a query gives. The members have other names than their items. */
const cart = listView({
  name: 'cart',
  revision: 1,
  keep: 60,
  entity: lines,
  project: ({ pk, id, rank, text }) => [{ list: pk, member: id, score: rank, value: { text } }],
  from: (list) => ({ partition: { name: 'pk', value: list }, sort: { name: 'sk', beginsWith: 'line#' } }),
});

export const WORLD_VIEWS = [detail, ranking, cart] as const;
const KEY_TYPES = { pk: 'S', sk: 'S' } as const;
export const BOUND_MS = 60_000;
const OWNERS = 20;
const CARTS = 20;
const LINES = 8;

export interface WorldOptions {
  readonly seed: number;
  readonly things?: number;
  /** What the worker makes of the records that it gets. Default: nothing, it is correct. */
  readonly spoil?: (record: StreamRecord, world: World) => readonly StreamRecord[];
  /** The cache as the worker calls it. */
  readonly workerCache?: (cache: MemoryCache, world: World) => CacheClient;
  /** Whether readers take the lease after they have read. */
  readonly lateLeases?: boolean;
  /** Whether old records come once more, late and alone. After an eviction, such a record may bring back an old value, so there are none of both. */
  readonly stragglers?: boolean;
  /** Gets what the worker has applied. */
  readonly sample?: Sample;
}

/** A table, its stream, a worker, readers, evictions and failing calls, in virtual time. */
export class World {
  readonly clock: VirtualClock = virtualClock();
  readonly table: QueriedSource = queriedSource([], 100);
  readonly stream: MemoryStream;
  readonly cache: MemoryCache;
  readonly options: WorldOptions;
  readonly random: () => number;
  /** All documents and lists that ever were. */
  readonly documents = new Set<string>();
  readonly lists = new Set<string>();
  readonly records: StreamRecord[] = [];
  /** Called with each record when it is written. */
  onRecord: ((record: StreamRecord) => void) | undefined;
  /** By which factor less is written, read and evicted. */
  calm = 1;
  writes = 0;
  evictions = 0;
  failures = 0;
  fills = 0;
  /** Old records that came once more, late. */
  late = 0;
  greatestLagMs = 0;
  /** When records were written that are not done yet, ms since 1970. */
  readonly #underWay = new Map<string, number>();
  #mapping: EventSourceMapping | undefined;
  /** The table's items. */
  readonly #items = new Map<string, Item>();
  #isOver = false;
  #isDown = false;
  readonly #loads: Promise<void>[] = [];

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = randomOf(options.seed);
    this.stream = memoryStream({ table: 'things', shards: 2, clock: this.clock });
    this.cache = memoryCache({ now: this.clock.now, maxEntries: Infinity });
  }

  readonly upTo = (n: number): number => Math.floor(this.random() * n);

  /** Whether the load goes on, so that what is broken may begin to break. */
  get isLoaded(): boolean {
    return this.#loads.length > 0;
  }

  async deploy(): Promise<void> {
    const { clock, options, cache } = this;
    await this.#mapping?.stop();
    // The next worker begins where the last one was two minutes ago.
    this.stream.trim(new Date(clock.now() - 120_000));
    const handler = streamHandler({
      views: WORLD_VIEWS,
      cache: this.#unreliable(options.workerCache?.(cache, this) ?? cache),
      retries: { forMs: 0 },
      sample: options.sample,
      logger: { info() {}, warn() {}, error() {} },
    });
    const invoke: LambdaHandler = async ({ Records }) => {
      await clock.sleep(this.upTo(this.random() < 0.05 ? 20_000 : 2_000));
      const records = Records.flatMap((record) => options.spoil?.(record, this) ?? [record]);
      const answer = await handler({ Records: records });
      const failed = answer.batchItemFailures[0]?.itemIdentifier;
      const at = Records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === failed);
      for (const record of at === -1 ? Records : Records.slice(0, at)) this.#arrived(record);
      return answer;
    };
    this.#mapping = eventSourceMapping({
      reader: this.stream,
      handler: invoke,
      clock,
      batchSize: 1_000,
      functionResponseTypes: ['ReportBatchItemFailures'],
      functionTimeoutMs: 900_000,
      pollIntervalMs: 1_000,
      backoffMs: () => 500,
      random: this.random,
    });
    await this.#mapping.start();
  }

  /** Notes the lag of a record that is done for the first time. */
  #arrived({ dynamodb }: StreamRecord): void {
    const number = dynamodb?.SequenceNumber ?? '';
    const writtenAt = this.#underWay.get(number);
    if (writtenAt === undefined) return;
    this.#underWay.delete(number);
    this.greatestLagMs = Math.max(this.greatestLagMs, this.clock.now() - writtenAt);
  }

  /** Fills the table, delivers all, and fills all lists. */
  async begin(): Promise<void> {
    for (let id = 0; id < (this.options.things ?? 400); id += 1) this.#write(this.#thing(id));
    for (let n = 0; n < CARTS * LINES; n += 1) this.#write(this.#line(n));
    await this.deploy();
    await this.clock.run(this.#mapping?.drained() ?? Promise.resolve());
    for (const list of this.lists) await this.clock.run(this.#fill({ kind: 'list', list, keep: 60 }));
  }

  /** Writers, readers, stragglers and evictions go on until `rest`. */
  load(): void {
    const repeat = (pauseMs: number, act: () => unknown): void => {
      this.#loads.push(
        (async () => {
          while (!this.#isOver) {
            await this.clock.sleep(this.random() * 2 * pauseMs * this.calm);
            await act();
          }
        })(),
      );
    };
    repeat(100, () => this.write());
    // A fill looks at all items.
    const scale = Math.max(1, (this.options.things ?? 400) / 500);
    repeat(this.options.lateLeases ? 50 : 250 * scale, () => void this.#fill({ kind: 'document', key: this.#anyOf(this.documents) }));
    repeat(500 * scale, () => void this.#fill({ kind: 'list', list: this.#anyOf(this.lists), keep: 60 }));
    repeat(60_000, async () => {
      // A failover: nothing answers for some seconds, and nothing is lost.
      this.#isDown = true;
      await this.clock.sleep(this.upTo(5_000));
      this.#isDown = false;
    });
    if (this.options.stragglers) {
      repeat(1_000, () => this.straggle(this.records[this.upTo(this.records.length)]));
      return;
    }
    repeat(400, () => {
      this.evictions += 1;
      if (this.random() < 0.8) this.cache.evict({ kind: 'document', key: this.#anyOf(this.documents) });
      else this.cache.evict({ kind: 'list', list: this.#anyOf(this.lists), keep: 60 });
    });
  }

  /** Ends the load, and delivers what was written. */
  async rest(): Promise<void> {
    this.#isOver = true;
    await this.clock.run(Promise.all(this.#loads));
    await this.clock.run(this.#mapping?.drained() ?? Promise.resolve());
  }

  async stop(): Promise<void> {
    await this.clock.run(this.#mapping?.stop() ?? Promise.resolve());
  }

  write(): void {
    const n = this.upTo(this.options.things ?? 400);
    if (this.random() < 0.2) {
      const line = this.#line(this.upTo(CARTS * LINES));
      this.#write(line, this.random() < 0.2);
    } else this.#write(this.#thing(n), this.random() < 0.15);
  }

  /** Delivers an old record once more, alone. */
  async straggle(record: StreamRecord | undefined): Promise<void> {
    this.late += 1;
    const { options, cache } = this;
    const handler = streamHandler({
      views: WORLD_VIEWS,
      cache: options.workerCache?.(cache, this) ?? cache,
      logger: { info() {}, warn() {}, error() {} },
    });
    if (record) await handler({ Records: [record] });
  }

  async verify(options: Partial<VerifyInput> = {}): Promise<{ readonly report: VerifyReport; readonly violations: readonly Violation[] }> {
    const violations: Violation[] = [];
    const verifying = verification({
      cache: this.downCache(),
      table: this.table,
      keyTypes: KEY_TYPES,
      views: WORLD_VIEWS,
      boundMs: BOUND_MS,
      probes: ['table', 'cache', 'stream'],
      segments: [0, 1, 2, 3],
      of: 4,
      sample: 1,
      keys: () => this.keys(),
      signal: new AbortController().signal,
      clock: this.clock,
      random: this.random,
      onViolation: (violation) => violations.push(violation),
      ...options,
    });
    this.onRecord = verifying.saw;
    const findings = await this.clock.run(verifying.run());
    this.onRecord = undefined;
    const report = findings.report({ table: 'things', segments: { read: 4, of: 4 }, repairs: options.repairs === true });
    return { report, violations };
  }

  /**
   * The addresses of which the cache says something else than the table, each with what the cache says, and its version. Computed without the code under
   * test.
   */
  async wrong(): Promise<ReadonlyMap<string, string>> {
    const { documents, lists } = this.#truth();
    const wrong = new Map<string, string>();
    for (const key of this.documents) {
      const lookup = await this.cache.get(key);
      const json = documents.get(key);
      if (lookup.type === 'hit' && JSON.stringify(lookup.value) !== json) wrong.set(key, JSON.stringify(lookup));
      if (lookup.type === 'gone' && json !== undefined) wrong.set(key, JSON.stringify(lookup));
    }
    for (const list of this.lists) {
      const shown = new Map<string, PageMember>();
      let after: string | undefined;
      let lowest = Infinity;
      for (;;) {
        const page = await this.cache.list(list, { limit: 1, ...(after !== undefined && { after }) });
        if (!page.complete) break;
        const [member] = page.members;
        if (!member) {
          lowest = -Infinity;
          break;
        }
        lowest = member.score;
        shown.set(member.member, member);
        after = page.cursor;
        if (after === undefined) break;
      }
      const members = lists.get(list) ?? new Map();
      const textOf = (member: string): string | undefined => {
        const one = shown.get(member);
        return one && JSON.stringify([one.score, one.value]);
      };
      for (const [member, one] of shown) {
        if (members.get(member)?.text !== textOf(member)) wrong.set(`${list} ${member}`, JSON.stringify(one));
      }
      for (const [member, { score, text }] of members) {
        const name = `${list} ${member}`;
        // At the lowest score that is known for sure, a member may follow.
        if (score > lowest && textOf(member) !== text && !wrong.has(name)) wrong.set(name, 'missing');
      }
    }
    return wrong;
  }

  #truth() {
    const documents = new Map<string, string>();
    const lists = new Map<string, Map<string, { readonly score: number; readonly text: string }>>();
    for (const item of this.#items.values()) {
      if (item.sk === 'thing') for (const { key, value } of detail.project(item)) documents.set(keyOf(detail, key), JSON.stringify(value));
      const view = item.sk === 'thing' ? ranking : cart;
      for (const entry of view.project(item)) {
        const list = keyOf(view, entry.list) as string;
        const name = 'member' in entry && entry.member !== undefined ? entry.member : JSON.stringify([item.pk, item.sk]);
        const members = lists.get(list) ?? new Map();
        lists.set(list, members);
        members.set(name, { score: entry.score, text: JSON.stringify([entry.score, entry.value]) });
      }
    }
    return { documents, lists };
  }

  #thing(id: number): Item {
    const owner = `o${this.upTo(OWNERS)}`;
    return { pk: `thing#${id}`, sk: 'thing', id: String(id), owner, rank: this.#rank(), text: `v${this.writes}` };
  }

  #line(n: number): Item {
    const pk = `cart#${n % CARTS}`;
    const id = `p${Math.floor(n / CARTS)}`;
    return { pk, sk: `line#${id}`, id, owner: pk, rank: this.#rank(), text: `v${this.writes}` };
  }

  /** Different for all writes, as times are. */
  #rank(): number {
    return this.upTo(1_000) * 100_000 + (this.writes % 100_000);
  }

  #write(item: Item, isDelete = false): void {
    this.writes += 1;
    const name = itemOf({ pk: item.pk, sk: item.sk });
    const before = this.table.items.get(name);
    if (isDelete && !before) return;
    if (isDelete) {
      this.table.items.delete(name);
      this.#items.delete(name);
    } else {
      this.table.put({ ...item });
      this.#items.set(name, item);
    }
    const after = isDelete ? undefined : marshall(item);
    if (item.sk === 'thing') this.documents.add(keyOf(detail, item.id));
    for (const list of item.sk === 'thing' ? ['all', `owner:${item.owner}`] : []) this.lists.add(keyOf(ranking, list));
    if (item.sk !== 'thing') this.lists.add(keyOf(cart, item.pk));
    const [record] = this.stream.append({
      eventName: before ? (after ? 'MODIFY' : 'REMOVE') : 'INSERT',
      dynamodb: {
        Keys: marshall({ pk: item.pk, sk: item.sk }),
        ...(before && { OldImage: before }),
        ...(after && { NewImage: after }),
        StreamViewType: 'NEW_AND_OLD_IMAGES',
      },
    });
    if (!record) return;
    this.records.push(record);
    this.#underWay.set(record.dynamodb?.SequenceNumber ?? '', this.clock.now());
    if (this.records.length > 2_000) this.records.shift();
    this.onRecord?.(record);
  }

  #anyOf(names: ReadonlySet<string>): string {
    return [...names][this.upTo(names.size)] as string;
  }

  /** A reader fills a document or a list from the table. */
  async #fill(target: LeaseTarget): Promise<void> {
    const { clock, cache } = this;
    this.fills += 1;
    const early = this.options.lateLeases ? undefined : await cache.lease([target]);
    await clock.sleep(this.upTo(50));
    const items = [...this.#items.values()] as unknown as Attributes[];
    const key = (target.kind === 'document' ? target.key : target.list).replace(/^[^:]+:/, '');
    const isCart = target.kind === 'list' && target.list.startsWith('cart');
    const fill =
      target.kind === 'document'
        ? found(
            detail as never,
            key,
            items.find(({ pk }) => pk === `thing#${key}`),
          )
        : found(
            (isCart ? cart : ranking) as never,
            key,
            items.filter(({ sk }) => (sk === 'thing') !== isCart),
            { keys: ['pk', 'sk'] },
          );
    await clock.sleep(this.upTo(this.options.lateLeases ? 20_000 : 50));
    const [lease] = early ?? (await cache.lease([target]));
    if (lease) await cache.settle([{ lease, found: fill }]);
  }

  async *keys(): AsyncGenerator<readonly string[]> {
    const all = [...this.documents, ...this.lists];
    for (let i = 0; i < all.length; i += 100) yield all.slice(i, i + 100);
  }

  /** The cache as everybody calls it who is not the worker. */
  downCache(): CacheClient {
    const guarded =
      <Given extends readonly unknown[], Answer>(call: (...given: Given) => Promise<Answer>) =>
      async (...given: Given): Promise<Answer> => {
        if (this.#isDown) throw new CacheUnavailableError('down');
        return await call(...given);
      };
    const { cache } = this;
    return {
      ...cache,
      getMany: guarded(cache.getMany),
      list: guarded(cache.list),
      lease: guarded(cache.lease),
      settle: guarded(cache.settle),
    } as never;
  }

  /** Some calls fail: before, after or amid their effect. */
  #unreliable(cache: CacheClient): CacheClient {
    return {
      ...cache,
      apply: async (mutations) => {
        const dice = this.#isDown ? 0 : this.upTo(600);
        if (dice > 2) return await cache.apply(mutations);
        this.failures += 1;
        if (dice === 1) await cache.apply(mutations);
        if (dice === 2) await cache.apply(mutations.slice(0, Math.ceil(mutations.length / 2)));
        throw new CacheUnavailableError('no answer');
      },
    };
  }
}

/** An address as `World.wrong` names it. */
export function nameIn(subject: Subject): string {
  return subject.kind === 'document' ? subject.key : `${subject.list} ${subject.member}`;
}
