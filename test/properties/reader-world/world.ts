import { marshall } from '@aws-sdk/util-dynamodb';
import { type CacheClient, parseQuery } from '../../../src/cache.ts';
import { attributesOf, decodeRecord, hintOf, type StreamRecord } from '../../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { createReader, found, type Look, type Reader } from '../../../src/fill/reader.ts';
import { streamHandler } from '../../../src/handlers/stream-handler.ts';
import { parseLetter } from '../../../src/letters/letter.ts';
import type { Mutation, Outcome } from '../../../src/mutation.ts';
import { redrive } from '../../../src/redrive/redrive.ts';
import type { Report } from '../../../src/sync/sync.ts';
import { keyOf } from '../../../src/view.ts';
import { type MemoryStore, memoryStore } from '../../letters/letters.ts';
import type { Opened } from '../world/backend.ts';
import { pick } from '../world/pick.ts';
import type { Tally } from '../world/tally.ts';
import { curse, isCursed as throwsOn } from '../world/views.ts';
import { FakeTable, GOOD_MOOD, type Image } from './fake-table.ts';
import type { DocumentStep, Fate, History, Illness, ListStep, ReadStep, Step } from './history.ts';
import { addressOf, documentNow, itemKeyOf, Log, membersAt, type Past, stateAt, stateInIndex } from './log.ts';
import { documentFaults, pageFaults, type ReadFacts } from './oracle.ts';
import { sleep } from './time.ts';
import { INDEXES, imageOf, KEYS, LAG_MS, type NamedList, TABLE, type Thing, VIEWS, type WorldViews, worldViewsOf } from './views.ts';

const SHARDS = 2;
const TABLE_ARN = `arn:aws:dynamodb:eu-west-1:123456789012:table/${TABLE}`;
const STREAM_ARN = `${TABLE_ARN}/stream/2026-11-22T03:01:52.091`;
/** The views that throw on one cursed thing. */
const CURSES = [['detail'], ['ranked', 'shelf'], ['team'], ['all'], VIEWS.map(({ name }) => name)];
/** For an eviction of a whole list. */
const ALL_PARTS = 3;
/** Kept by a reader of a client: the last tickets, as a cookie would. */
const MOST_TICKETS = 12;

const SILENT = { info() {}, warn() {}, error() {} };

interface Delivery {
  readonly event: StreamRecord;
  readonly past: Past;
  readonly state: number;
}

interface Shard {
  readonly records: Delivery[];
  at: number;
  furthest: number;
  /** A shard is read by one worker at a time. */
  busy: Promise<void>;
}

/** An application with a reader of its own. */
interface App {
  readonly reader: Reader;
  readonly lagBoundMs: number;
  illness: Illness | undefined;
  /** Reads under way, by what later reads may join. */
  readonly underWay: Map<string, UnderWay>;
}

/** What one call began to read: it goes on as long as anybody waits for a part of it, even if that call was aborted. */
interface UnderWay {
  /** How many parts are waited for. */
  waits: number;
  readonly parts: string[];
  readonly since: number;
  readonly beganAt: number;
}

interface Ticket {
  readonly text: string;
  readonly address: string;
  readonly tick: number;
  readonly at: number;
}

export interface WorldOptions {
  readonly history: History;
  readonly opened: Opened;
  readonly random: () => number;
  readonly tally: Tally;
  /** How long a reader waits for the cache, ms. */
  readonly cacheDeadlineMs: number;
}

/** A table with a lagging index, its stream, a worker, its letters and their redrive, a cache, and three applications that read through it. */
export class ReaderWorld {
  readonly log = new Log();
  readonly story: string[] = [];
  readonly faults: string[] = [];
  readonly #options: WorldOptions;
  readonly #bug = { mended: false };
  readonly #views: WorldViews = worldViewsOf(this.#bug);
  readonly #store: MemoryStore = memoryStore();
  /** One redrive runs at a time. */
  #redriving: Promise<void> = Promise.resolve();
  readonly #table: FakeTable;
  readonly #shards: readonly Shard[];
  readonly #apps: readonly App[];
  readonly #calls = new Set<Promise<void>>();
  readonly #tickets: Ticket[] = [];
  readonly #cursors = new Map<string, string>();
  /** The items of all records, by their versions. */
  readonly #items = new Map<string, string>();
  #faultAt = -1;

  constructor(options: WorldOptions) {
    this.#options = options;
    const { history, random } = options;
    this.#table = new FakeTable({ name: TABLE, keys: KEYS, indexes: INDEXES, random, lagMs: LAG_MS });
    this.#table.mood = { mostItems: 4, latencyMs: 12, throttled: history.throttled ? 0.05 : 0, unprocessed: history.throttled ? 0.2 : 0 };
    this.#table.onFault = () => {
      this.#faultAt = this.log.tick();
    };
    this.#shards = Array.from({ length: SHARDS }, () => ({ records: [], at: 0, furthest: 0, busy: Promise.resolve() }));
    this.#apps = [this.#open({ lagBoundMs: 60_000 }), this.#open({ lagBoundMs: 100, isLate: true }), this.#open({ lagBoundMs: 60_000 })];
  }

  get #random(): () => number {
    return this.#options.random;
  }

  async live(): Promise<void> {
    for (const step of this.#options.history.steps) {
      this.#take(step);
      if (step.waitMs > 0) await sleep(step.waitMs);
      if (this.faults.length > 0) return;
    }
  }

  #take(step: Step): void {
    if (step.type === 'write') this.#writeThing(step);
    else if (step.type === 'mend') this.#mend();
    else this.#begin(this.#taken(step));
  }

  #taken(step: Exclude<Step, { readonly type: 'write' | 'mend' }>): Promise<void> {
    switch (step.type) {
      case 'deliver':
        return this.#work(step.shard, (shard) => this.#deliver(shard, step.size, step.fates));
      case 'replay':
        return this.#work(step.shard, async (shard) => this.#rewind(shard, step.back));
      case 'straggle':
        return this.#work(step.shard, (shard) => this.#straggle(shard, step.index));
      case 'redrive':
        return this.#redriveSome(step.letters, step.overtaken);
      case 'evict':
        return this.#evict(step.target, step.part);
      case 'fill':
        return this.#fill(pick(this.#views.lists, step.list) as NamedList);
      case 'ill':
        return this.#fallIll(pick(this.#apps, step.reader) as App, step.illness, step.ms);
      case 'read':
        return this.#read(pick(this.#apps, step.reader) as App, step);
    }
  }

  #begin(call: Promise<void>): void {
    const ended = call.catch((error) => {
      this.faults.push(`a step fails: ${error?.stack ?? error}`);
    });
    this.#calls.add(ended);
    void ended.finally(() => this.#calls.delete(ended));
  }

  // The table and its stream

  #writeThing({ thing, how, rank, team, curse: curses }: Extract<Step, { type: 'write' }>): void {
    const { focus } = this.#options.history;
    const key = focus === undefined ? { pk: `g${thing % 2}`, sk: `i${thing >> 1}` } : { pk: 'g0', sk: `i${thing % 3}` };
    const old = this.log.pastOf(key).states.at(-1)?.image as Thing | undefined;
    const n = this.log.now + 1;
    if (how === 'delete') {
      if (old) this.#write(key, undefined);
      return;
    }
    const cursing = how === 'curse' && !this.#options.history.plain;
    const note = cursing ? (pick(CURSES, curses) ?? []).map(curse).join('') : '';
    const before = old && how !== 'put' ? old : { rank, listed: true, team: team === 0 ? 'a' : 'b' };
    const listed = how !== 'unlist' && before.listed;
    const side = how === 'team' ? (before.team === 'a' ? 'b' : 'a') : (before.team ?? 'a');
    this.#write(key, imageOf({ ...key, n, rank: how === 'rank' ? rank : before.rank, listed, team: side, note }));
  }

  #write(key: Image, image: Image | undefined): void {
    const past = this.log.pastOf(key);
    const before = past.states.at(-1)?.image;
    const state = this.log.write(key, image, this.#table.write(key, image));
    const event: StreamRecord = {
      eventID: String(this.log.now),
      eventName: !before ? 'INSERT' : image ? 'MODIFY' : 'REMOVE',
      eventSource: 'aws:dynamodb',
      eventSourceARN: STREAM_ARN,
      dynamodb: {
        ApproximateCreationDateTime: 1_795_316_512,
        Keys: marshall(Object.fromEntries(KEYS.map((name) => [name, key[name]]))),
        ...(image && { NewImage: marshall(image) }),
        ...(before && { OldImage: marshall(before) }),
        SequenceNumber: String(this.log.now),
        StreamViewType: 'NEW_AND_OLD_IMAGES',
      },
    };
    const shard = pick(
      this.#shards,
      [...past.item].reduce((sum, letter) => sum + letter.charCodeAt(0), 0),
    ) as Shard;
    shard.records.push({ event, past, state });
    this.#items.set(decodeRecord(event, 0).version, past.item);
    this.#tell(`write ${past.item}: ${JSON.stringify(image) ?? 'none'}`);
    this.#giveTickets(past);
  }

  #giveTickets(past: Past): void {
    const { reader } = this.#apps[0] as App;
    const add = (text: string, address: string) => {
      this.#tickets.push({ text, address, tick: this.log.now, at: Date.now() });
      if (this.#tickets.length > MOST_TICKETS) this.#tickets.shift();
    };
    const [now, before] = [past.states.at(-1), past.states.at(-2)];
    for (const full of new Set([now, before].flatMap((state) => [...(state?.sound.documents.keys() ?? [])]))) {
      add(reader.wrote(this.#views.detail, full.slice(full.indexOf(':') + 1)), full);
    }
    for (const named of this.#views.lists) {
      const full = addressOf(named);
      if (now?.sound.members.has(full) || before?.sound.members.has(full)) add(reader.wrote(named.view, named.list), full);
    }
  }

  #work(n: number, work: (shard: Shard) => Promise<void>): Promise<void> {
    const shard = pick(this.#shards, n) as Shard;
    shard.busy = shard.busy.then(() => work(shard));
    return shard.busy;
  }

  async #deliver(shard: Shard, size: number, fates: readonly Fate[]): Promise<void> {
    const batch = shard.records.slice(shard.at, shard.at + size);
    const done = await this.#handle(batch, fates);
    for (const record of batch.slice(0, done)) {
      shard.at += 1;
      shard.furthest = Math.max(shard.furthest, shard.at);
      if (this.#isAhead(record)) this.log.deliver(record.past, record.state);
    }
  }

  /** Whether the record is news: in a calm history, where nothing is lost, a replay brings none. */
  #isAhead({ past, state }: Delivery): boolean {
    return (
      state !== past.delivered.at(-1)?.state && (this.#options.history.mode === 'rough' || state > (past.delivered.at(-1)?.state ?? 0))
    );
  }

  /** The worker handles a batch. Returns the place of the first record that failed. */
  async #handle(batch: readonly Delivery[], fates: readonly Fate[]): Promise<number> {
    if (batch.length === 0) return 0;
    const fateOf = new Map(batch.map(({ event }, i) => [decodeRecord(event, i).version, fates[i] ?? 'none']));
    const apply = async (mutations: readonly Mutation[]): Promise<readonly Outcome[]> => {
      const fate = fateOf.get(mutations[0]?.version as never) ?? 'none';
      await this.#nap(4);
      if (fate === 'before') throw new CacheUnavailableError('before it was applied');
      const some = fate === 'part' ? mutations.slice(0, 1) : mutations;
      const outcomes = await this.#always(() => this.#options.opened.cache.apply(some));
      if (fate !== 'none') throw new CacheUnavailableError('after it was applied');
      return outcomes;
    };
    let report: Report | undefined;
    const handler = streamHandler({
      views: this.#views.all,
      cache: { apply },
      letters: this.#store,
      logger: SILENT,
      retries: { forMs: 0 },
      poisonRunLimit: 0,
      retention: false,
      onReport: (it) => {
        report = it;
      },
    });
    await handler({ Records: batch.map(({ event }) => event) });
    const failed = report?.records.findIndex(({ status }) => status === 'failed') ?? 0;
    for (const { causes } of report?.records ?? []) if (causes.length > 0) this.#options.tally.add('set aside');
    const done = failed === -1 ? batch.length : failed;
    const names = batch.map(({ past, state }) => `${state} of ${past.item}`);
    this.#tell(`deliver states ${names.join(', ')}${failed === -1 ? '' : `, fails from ${names[done]}`}`);
    return done;
  }

  #rewind(shard: Shard, back: number): void {
    shard.at -= Math.min(shard.at, back);
    this.#tell(`replay from record ${shard.at}`);
    // After an eviction, the cache may show each state that comes now. So it may after a view was mended that left no version of a state.
    for (const past of this.log.pasts.values()) {
      const again = shard.records.slice(shard.at).filter((record) => record.past === past);
      const [next] = again;
      if (this.#options.history.mode === 'calm' && !again.some(isCursed)) continue;
      if (next && next.state - 1 < (past.delivered.at(-1)?.state ?? 0)) this.log.deliver(past, next.state - 1);
    }
  }

  async #straggle(shard: Shard, index: number): Promise<void> {
    const record = pick(shard.records.slice(0, shard.furthest), index);
    // Its old value would stay until the letter of the item's next record is redriven.
    if (!record || (this.#bug.mended && isCursed(record))) return;
    this.#tell('a straggler');
    await this.#handle([record], []);
  }

  // Letters

  #mend(): void {
    if (this.#bug.mended) return;
    this.#bug.mended = true;
    this.log.mendedAt = this.log.tick();
    this.#tell('the views are mended');
  }

  #redriveSome(numbers: readonly number[] | undefined, overtaken: boolean): Promise<void> {
    this.#redriving = this.#redriving.then(async () => {
      const names = [...this.#store.texts.keys()];
      const some = numbers && new Set(numbers.flatMap((n) => pick(names, n) ?? []));
      if (names.length > 0) await this.#redrive((name) => some?.has(name) ?? true, overtaken);
    });
    return this.#redriving;
  }

  async #redrive(isChosen: (name: string) => boolean, overtaken: boolean): Promise<void> {
    const store = this.#store;
    const read = new Map<string, number>();
    let isToOvertake = overtaken && this.#options.history.mode === 'rough';
    const itemOfLetter = (name: string): string => hintOf(parseLetter(store.texts.get(name) ?? '').event.Records[0] ?? {}, 0).item;
    const items = new Map([...store.texts.keys()].map((name) => [name, itemOfLetter(name)]));
    const { letters } = await redrive({
      views: this.#views.all,
      cache: {
        apply: async (mutations) => {
          await this.#nap(4);
          const item = this.#items.get(mutations[0]?.version ?? '') ?? '';
          // An eviction drops the newer version of an address. The cache then shows what the redrive has read, until the redrive reads again.
          const past = this.#options.history.mode === 'rough' ? this.log.pasts.get(item) : undefined;
          if (past && isToOvertake) {
            isToOvertake = false;
            await this.#overtake(past);
          }
          past?.redriven.push({ from: this.log.tick(), to: Infinity, state: read.get(item) ?? 0 });
          const outcomes = await this.#always(() => this.#options.opened.cache.apply(mutations));
          await this.#nap(4);
          return outcomes;
        },
      },
      table: {
        read: async (_, keys) => {
          await this.#nap(8);
          const found = keys.map((key) => {
            const past = this.log.pastOf(attributesOf(key));
            read.set(past.item, past.states.length - 1);
            const image = past.states.at(-1)?.image;
            return image ? { item: image } : {};
          });
          await this.#nap(8);
          return found;
        },
      },
      store: {
        ...store,
        async *names() {
          yield* [...store.texts.keys()].filter(isChosen);
        },
      },
      filter: {},
    });
    for (const { name, status, causes } of letters) {
      this.#options.tally.add(`letter ${status}`);
      // The item was read again after the last write of it, and had not changed.
      const isSettled = causes.every(({ stage }) => stage === 'view');
      for (const write of this.log.pasts.get(items.get(name) ?? '')?.redriven ?? []) {
        if (isSettled) write.to = Math.min(write.to, this.log.tick());
      }
      this.#tell(`redrive ${name}: ${status} ${causes.map(({ stage, error }) => `${stage}: ${error.message}`)}`);
    }
  }

  async #overtake({ states, item }: Past): Promise<void> {
    const image = states.at(-1)?.image as Thing | undefined;
    if (!image) return;
    this.#options.tally.add('redrive overtaken');
    this.#tell(`${item} changes during its redrive`);
    this.#write({ pk: image.pk, sk: image.sk }, { ...image, n: this.log.now + 1, note: '' });
    const places = states.flatMap(({ sound, hidden }) => [sound, hidden]);
    const shard = this.#shards.findIndex(({ records }) => records.some(({ past }) => past.item === item));
    await this.#work(shard, (it) => this.#deliver(it, Infinity, []));
    for (const key of new Set(places.flatMap(({ documents }) => [...documents.keys()])))
      await this.#options.opened.evict({ kind: 'document', key }, ALL_PARTS);
    for (const named of this.#views.lists)
      await this.#options.opened.evict({ kind: 'list', list: addressOf(named), keep: named.view.keep }, ALL_PARTS);
  }

  // The cache

  async #evict(target: number, part: number): Promise<void> {
    const keys = [
      ...new Set(
        [...this.log.pasts.values()].flatMap(({ states }) =>
          states.flatMap(({ sound, hidden }) => [...sound.documents.keys(), ...hidden.documents.keys()]),
        ),
      ),
    ];
    const documents = keys.map((key) => ({ kind: 'document', key }) as const);
    const lists = this.#views.lists.map((named) => ({ kind: 'list', list: addressOf(named), keep: named.view.keep }) as const);
    // Lists are few, and the rules of lists many.
    const chosen = target % 2 === 0 ? pick(documents, target >> 1) : pick(lists, this.#options.history.focus ?? target >> 1);
    if (!chosen) return;
    this.#options.tally.add('evicted');
    this.#tell(`evict ${chosen.kind === 'document' ? chosen.key : chosen.list}`);
    await this.#options.opened.evict(chosen, part);
  }

  async #fill({ view, list, by }: NamedList): Promise<void> {
    const target = { kind: 'list', list: addressOf({ view, list, by }), keep: view.keep } as const;
    const lease = (await this.#always(() => this.#options.opened.cache.lease([target])))[0];
    await this.#nap(8);
    const images = this.#table.images();
    await this.#nap(8);
    try {
      const fill = { lease: lease as never, found: found(view, list, images, { keys: KEYS }) };
      this.#tell(`fill ${target.list}: ${(await this.#always(() => this.#options.opened.cache.settle([fill])))[0]}`);
    } catch (error) {
      if ((error as Error).name !== 'ViewError') throw error;
    }
  }

  /** The worker and the filler repeat what gets no answer. */
  async #always<T>(call: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof CacheUnavailableError) || tries > 20) throw error;
        await sleep(5);
      }
    }
  }

  async #nap(mostMs: number): Promise<void> {
    if (mostMs > 0) await sleep(this.#random() * mostMs);
  }

  async #fallIll(app: App, illness: Illness, ms: number): Promise<void> {
    if (app.illness !== undefined) return;
    this.#tell(`for reader ${this.#apps.indexOf(app)}, the cache ${illness} for ${ms} ms`);
    app.illness = illness;
    await sleep(ms);
    app.illness = undefined;
  }

  // The readers

  #open({ lagBoundMs, isLate = false }: { readonly lagBoundMs: number; readonly isLate?: boolean }): App {
    const { opened, cacheDeadlineMs } = this.#options;
    const sick = async <T>(call: () => Promise<T>): Promise<T> => {
      const { illness } = app;
      if (illness === 'down') throw new CacheUnavailableError('the cache is down');
      const slow = illness === 'slow' ? 2 * cacheDeadlineMs : 0;
      const isLateBefore = this.#random() < 0.5;
      await this.#nap(isLateBefore ? 3 : 0);
      if (slow && isLateBefore) await sleep(slow);
      const answer = await call();
      await this.#nap(3);
      if (slow && !isLateBefore) await sleep(slow);
      return answer;
    };
    const { cache } = opened;
    const ailing: CacheClient = {
      ...cache,
      getOrLease: (keys) => sick(() => cache.getOrLease(keys)),
      list: (list, query) => sick(() => cache.list(list, query)),
      lease: (targets) => sick(() => cache.lease(targets)),
      settle: (fills) => {
        if (app.illness === 'drops') return Promise.reject(new CacheUnavailableError('the reader was killed'));
        return sick(() => cache.settle(fills));
      },
    };
    const late = async (work: () => Promise<void>) => {
      await this.#nap(10);
      await work();
    };
    const app: App = {
      reader: createReader({
        cache: ailing,
        table: { client: this.#table.client, name: TABLE, keys: KEYS },
        cacheDeadlineMs,
        lagBoundMs,
        ...(isLate && { after: (work) => this.#begin(late(work)) }),
      }),
      lagBoundMs,
      illness: undefined,
      underWay: new Map(),
    };
    return app;
  }

  async #read(app: App, step: ReadStep): Promise<void> {
    if ('limit' in step) await this.#readList(app, step);
    else await this.#readDocuments(app, step);
  }

  async #readDocuments(app: App, step: DocumentStep): Promise<void> {
    const keys = this.#keysFrom(
      this.#options.history.focus === undefined ? step.target : 2 * (step.target % 3),
      step.verb === 'getMany' ? step.count : 1,
    );
    const [key = ''] = keys;
    const read = this.#readUnderWay(
      app,
      step,
      keys.map((it) => {
        const address = keyOf(this.#views.detail, it) as string;
        return { address, flight: address };
      }),
    );
    const pasts = keys.map((it) => this.log.pastOf(itemKeyOf(it)));
    // The client knows the last value that it wrote to the first of these items.
    const known = step.fresh
      ? (pasts[0]?.states.findLastIndex(({ sound }) => sound.documents.has(keyOf(this.#views.detail, key))) ?? -1)
      : -1;
    const n = (pasts[0]?.states[known]?.image as Thing | undefined)?.n ?? 0;
    const options = { ...read.options, ...(known >= 0 && { fresh: (value: { n: number }) => value.n >= n }) };
    let looks: readonly (Omit<Look<unknown>, 'by'> & { by?: string })[];
    try {
      if (step.verb === 'look') looks = [await app.reader.look(this.#views.detail, key, options as never)];
      else {
        const values =
          step.verb === 'get'
            ? [await app.reader.get(this.#views.detail, key, options as never)]
            : await app.reader.getMany(this.#views.detail, keys, options as never);
        looks = values.map((value) => (value === undefined ? { type: 'absent' } : { type: 'found', value }));
      }
    } catch (error) {
      const isCursed = keys.some((it, i) =>
        this.#wasCursed(this.#views.detail.name, [pasts[i] as Past], read.factsOf(keyOf(this.#views.detail, it))),
      );
      return this.#judge(error, read, { isCursed, what: `${step.verb} ${keys}` });
    } finally {
      read.end();
    }
    for (const [i, look] of looks.entries()) {
      const facts = read.factsOf(keyOf(this.#views.detail, keys[i] as string));
      this.#options.tally.add(`${look.type} ${look.by ?? ''}`);
      if (facts.wrote !== undefined) this.#options.tally.add('document with a ticket');
      this.#blame(documentFaults(this.log, keys[i] as string, look, facts, i === 0 || keys[i] === key ? known : 0), step);
    }
  }

  /** Keys of documents, also such as no item gives. */
  #keysFrom(target: number, count: number): readonly string[] {
    const keys = Array.from({ length: 12 }, (_, i) => `g${i % 2}.i${(i >> 1) % 4}${i > 7 ? '.extra' : ''}`);
    return Array.from({ length: count }, (_, i) => pick([...keys, 'g0.i9', 'no key'], target + i * 3) as string);
  }

  async #readList(app: App, step: ListStep): Promise<void> {
    const named = pick(this.#views.lists, this.#options.history.focus ?? step.target) as NamedList;
    const address = addressOf(named);
    const { limit } = step;
    const cursor = step.verb === 'page' && step.further ? this.#cursors.get(address) : undefined;
    const partial = step.partial ? ('allow' as const) : undefined;
    const flight = JSON.stringify([address, limit, cursor, partial]);
    // Nobody knows the cursors of its later pages before.
    const further = JSON.stringify([address, limit, 'further', partial]);
    const parts = [{ address, flight, ...(cursor !== undefined && { within: further }) }];
    const read = this.#readUnderWay(app, step, step.verb === 'members' ? [...parts, { address, flight: further }] : parts);
    const options = { ...read.options, limit, ...(partial && { partial }), ...(cursor !== undefined && { after: cursor }) };
    try {
      if (step.verb === 'members') {
        const values: unknown[] = [];
        for await (const value of app.reader.members(named.view, named.list, options)) values.push(value);
        return;
      }
      const page = await app.reader.page(named.view, named.list, options);
      read.end();
      const facts = read.factsOf(flight);
      if (page.cursor !== undefined) this.#cursors.set(address, page.cursor);
      this.#options.tally.add(`page by ${page.by}, ${page.complete ? 'complete' : 'incomplete'}`);
      if (facts.wrote !== undefined) this.#options.tally.add('page with a ticket');
      const faults = pageFaults(this.log, named, page, {
        ...facts,
        limit,
        after: parseQuery({ limit, ...(cursor !== undefined && { after: cursor }) }).after,
      });
      if (page.by === 'cache' && !page.complete && !partial) faults.push('it is partial, which was not allowed');
      this.#blame(
        faults.map((fault) => `page of ${address} by ${page.by}, ${page.complete ? 'complete' : 'incomplete'}: ${fault}`),
        step,
      );
    } catch (error) {
      const facts = read.factsOf(flight);
      const isCursed = this.#wasCursed(named.view.name, [...this.log.pasts.values()], facts);
      // A ticket makes the reader ask the table, not the cache.
      const isIncomplete = named.by === 'nothing' && (!partial || step.ticket || app.reader.counts().unanswered > 0);
      this.#judge(error, read, { isCursed, isIncomplete, what: `page of ${address}` });
    } finally {
      read.end();
    }
  }

  /** A view threw on one of the items at some moment of the read, or on what an index showed then. */
  #wasCursed(view: string, pasts: readonly Past[], { span, beganAt }: Pick<ReadFacts, 'span' | 'beganAt'>): boolean {
    if (span.from >= this.log.mendedAt) return false;
    return pasts.some((past) => {
      const oldest = Math.min(stateAt(past, span.from), stateInIndex(past, beganAt));
      return past.states.slice(oldest, stateAt(past, span.to) + 1).some(({ cursed }) => cursed.has(view));
    });
  }

  #judge(
    error: unknown,
    read: ReadUnderWay,
    { isCursed, isIncomplete = false, what }: { isCursed: boolean; isIncomplete?: boolean; what: string },
  ): void {
    const { name } = error as Error;
    this.#options.tally.add(`rejected ${name}`);
    if (error === read.options.signal?.reason) return;
    if (name === 'TableUnavailableError' && this.#faultAt >= read.from) return;
    if (name === 'ViewError' && isCursed) return;
    if (name === 'IncompleteListError' && isIncomplete) return;
    this.#blame([`${what} is rejected: ${(error as Error).stack}`]);
  }

  #blame(faults: readonly string[], step?: Step): void {
    for (const fault of faults) {
      this.#tell(`FAULT: ${fault}`);
      this.faults.push(`${fault} (${JSON.stringify(step)})`);
    }
  }

  #tell(what: string): void {
    this.story.push(`${Math.round(performance.now() - this.#start)} ms, ${this.log.now}: ${what}`);
  }

  readonly #start = performance.now();

  #readUnderWay(
    app: App,
    { ticket, abortMs }: ReadStep,
    reads: readonly { readonly address: string; readonly flight: string; readonly within?: string }[],
  ): ReadUnderWay {
    const tickets = ticket ? [...this.#tickets] : [];
    const signal = abortMs === undefined ? undefined : this.#abortAfter(abortMs);
    const beganAt = performance.now();
    const from = this.log.tick();
    const joined = new Map<string, { readonly since: number; readonly beganAt: number; readonly wrote: number | undefined }>();
    const ends: (() => void)[] = [];
    const own: UnderWay = { waits: 0, parts: [], since: from, beganAt };
    for (const { address, flight, within = flight } of reads) {
      if (joined.has(flight)) continue;
      const wrote = tickets.findLast((it) => it.address === address && Date.now() - it.at < app.lagBoundMs - 20)?.tick;
      if (wrote !== undefined) joined.set(flight, { since: from, beganAt, wrote });
      else {
        const others = app.underWay.get(flight) ?? app.underWay.get(within) ?? own;
        others.parts.push(flight);
        app.underWay.set(flight, others);
        others.waits += 1;
        joined.set(flight, { since: others.since, beganAt: others.beganAt, wrote });
        ends.push(() => {
          others.waits -= 1;
          if (others.waits === 0) for (const part of others.parts) app.underWay.delete(part);
        });
      }
    }
    this.#tell(`reader ${this.#apps.indexOf(app)} reads ${reads.map(({ flight }) => flight)}${ticket ? ' with tickets' : ''}`);
    let to: number | undefined;
    return {
      options: { ...(signal && { signal }), ...(ticket && { ticket: tickets.map(({ text }) => text) }) },
      from: Math.min(...[...joined.values()].map(({ since }) => since)),
      end: () => {
        if (to !== undefined) return;
        to = this.log.tick();
        this.#tell(
          `reader ${this.#apps.indexOf(app)} has read ${reads.map(({ flight }) => flight)}, begun at ${Math.round(beganAt - this.#start)} ms`,
        );
        for (const end of ends) end();
      },
      factsOf(flight) {
        const { since, wrote, ...began } = joined.get(flight) ?? { since: from, beganAt, wrote: undefined };
        return { span: { from: since, to: to ?? Infinity }, beganAt: began.beganAt, wrote };
      },
    };
  }

  #abortAfter(ms: number): AbortSignal {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('the caller gives up')), ms);
    return controller.signal;
  }

  // Rest

  /** Ends all that is under way, delivers all records, and compares what every verb of every reader says with the table. */
  async rest(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls);
    this.#table.mood = GOOD_MOOD;
    if (this.#options.history.cure === 'views') this.#mend();
    else this.#mendItems();
    for (const shard of this.#shards) while (shard.at < shard.records.length) await this.#deliver(shard, 10, []);
    await this.#redriveAll();
    // The index shows all, and the breakers are closed.
    await sleep(Math.max(LAG_MS, this.#apps.some(({ reader }) => reader.counts().unanswered > 0) ? 1_100 : 0));
    if (this.faults.length > 0) return;
    this.#tell('at rest');
    await this.#compareDocuments();
    await Promise.all(
      this.#views.lists.map(async (named) => {
        if (named.by === 'nothing') await this.#fill(named);
        for (const [i, { reader }] of this.#apps.entries()) {
          for (const limit of [[1], [2, 50], [3]][i] ?? []) await this.#comparePages(reader, named, limit);
        }
        if (named.by !== 'nothing') await this.#compareMembers(named);
        await this.#compareFilled(named);
      }),
    );
    while (this.#calls.size > 0) await Promise.all(this.#calls);
  }

  #mendItems(): void {
    for (const { states } of this.log.pasts.values()) {
      const image = states.at(-1)?.image as Thing | undefined;
      if (image && image.note !== '') this.#write({ pk: image.pk, sk: image.sk }, { ...image, n: this.log.now + 1, note: '' });
    }
  }

  /** Redrives all letters. Then only letters are left whose old image no view can project; somebody deletes these by hand. */
  async #redriveAll(): Promise<void> {
    await this.#redriveSome(undefined, false);
    for (const text of this.#store.texts.values()) {
      const { event, redrives } = parseLetter(text);
      const old = hintOf(event.Records[0] ?? {}, 0).before;
      const isByHand = !this.#bug.mended && 'attributes' in old && VIEWS.some(({ name }) => throwsOn(name, old.attributes));
      if (!isByHand) this.#blame([`at rest, a letter is kept: ${redrives?.cause}`]);
    }
  }

  #membersNow(named: NamedList) {
    return membersAt(this.log.pasts.values(), addressOf(named), this.log.now, this.#bug.mended);
  }

  async #compareDocuments(): Promise<void> {
    const keys = [...new Set(this.#keysFrom(0, 14))];
    const wanted = keys.map((key) => documentNow(this.log, this.log.pastOf(itemKeyOf(key)), keyOf(this.#views.detail, key)));
    const options = [{}, { ticket: this.#tickets.map(({ text }) => text) }, { fresh: () => false }];
    const compare = async ({ reader }: App, n: number): Promise<void> => {
      const values = await reader.getMany(this.#views.detail, keys, options[n]);
      for (const [i, key] of keys.entries()) this.#same(`getMany ${key}`, JSON.stringify(values[i]), wanted[i]);
      const each = keys.map(async (key, i) => {
        const look = await reader.look(this.#views.detail, key, options[(n + i) % 3]);
        this.#same(`look ${key}`, look.type === 'found' ? JSON.stringify(look.value) : undefined, wanted[i]);
        this.#same(`get ${key}`, JSON.stringify(await reader.get(this.#views.detail, key)), wanted[i]);
      });
      await Promise.all(each);
    };
    await Promise.all(this.#apps.map(compare));
  }

  async #comparePages(reader: Reader, named: NamedList, limit: number): Promise<void> {
    const { view, list, by } = named;
    const wanted = this.#membersNow(named).map((it) => JSON.stringify(it));
    // Of a list that no query answers, the cache has the first members only.
    const partial = by === 'nothing' ? ({ partial: 'allow' } as const) : {};
    const shown: string[] = [];
    for (let after: string | undefined, n = 0; n < 50; n += 1) {
      const page = await reader.page(view, list, { limit, ...partial, ...(after !== undefined && { after }) });
      if (by === 'nothing' && !page.complete) break;
      shown.push(...page.members.map(({ member, score, value }) => JSON.stringify({ member, score, json: JSON.stringify(value) })));
      if (by === 'table' && !page.complete) this.#blame([`a page of ${view.name} ${list} by ${page.by} is not complete at rest`]);
      after = page.cursor;
      if (after === undefined) break;
    }
    const some = by === 'nothing' ? wanted.slice(0, shown.length) : wanted;
    this.#same(`pages of ${limit} of ${view.name} ${list}`, shown.join(), some.join());
  }

  async #compareMembers({ view, list, by }: NamedList): Promise<void> {
    const { reader } = this.#apps[0] as App;
    const wanted = this.#membersNow({ view, list, by }).map(({ json }) => json);
    const values: unknown[] = [];
    for await (const value of reader.members(view, list, { limit: 2 })) values.push(value);
    this.#same(`members of ${view.name} ${list}`, JSON.stringify(values), `[${wanted}]`);
    const ticket = this.#tickets.map(({ text }) => text);
    const page = await reader.page(view, list, { limit: 50, ticket });
    this.#same(`${view.name} ${list} with a ticket`, JSON.stringify(page.members.map(({ value }) => value)), `[${wanted}]`);
  }

  /** After these reads, the cache must know what the list keeps: a later read costs nothing. */
  async #compareFilled(named: NamedList): Promise<void> {
    const { view, list } = named;
    const { reader } = this.#apps[0] as App;
    const members = this.#membersNow(named);
    const next = members[view.keep]?.score ?? -Infinity;
    const held = members.filter(({ score }) => score > next).length;
    if (held === 0) return;
    const { unanswered } = reader.counts();
    let page = await reader.page(view, list, { limit: held });
    // A lease from before another reader's fill is lost, and so is a fill of a list that dropped members after the lease.
    for (let tries = 0; named.by === 'index' && !page.complete && tries < 4; tries += 1) {
      await sleep(LAG_MS);
      page = await reader.page(view, list, { limit: held });
    }
    // A cache on a busy machine may be late.
    if (reader.counts().unanswered > unanswered) return;
    if (page.by !== 'cache' || !page.complete)
      this.#blame([`a page of ${held} of ${view.name} ${list} is by ${page.by} at rest: no fill came`]);
  }

  #same(what: string, has: string | undefined, wanted: string | undefined): void {
    this.#options.tally.add('compared');
    if (has !== wanted) this.#blame([`at rest, ${what} is ${has}, the table has ${wanted}`]);
  }
}

/** A view throws on the item as this record left it. */
function isCursed({ past, state }: Delivery): boolean {
  return (past.states[state]?.cursed.size ?? 0) > 0;
}

interface ReadUnderWay {
  readonly options: { readonly signal?: AbortSignal; readonly ticket?: readonly string[] };
  /** The earliest moment from which a read of these may have been under way. */
  readonly from: number;
  end(): void;
  factsOf(flight: string): ReadFacts;
}
