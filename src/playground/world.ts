import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand, type DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { backfill, begin } from '../backfill/backfill.ts';
import type { CacheClient } from '../cache.ts';
import { type Attributes, itemOf } from '../change.ts';
import { readBudget } from '../dynamodb/read-budget.ts';
import { attributesOf, decodeRecord, type StreamRecord } from '../dynamodb/record.ts';
import { scannedTable } from '../dynamodb/scanned-table.ts';
import { tableReader } from '../dynamodb/table-reader.ts';
import { asError } from '../errors.ts';
import type { Checkpoints, LambdaHandler, MappingEvent, MappingOptions, StreamReader } from '../event-source-mapping/index.ts';
import { createReader, type Reader } from '../fill/reader.ts';
import { type StreamHandlerOptions, streamHandler } from '../handlers/stream-handler.ts';
import { parseLetter } from '../letters/letter.ts';
import type { LetterStore } from '../letters/store.ts';
import type { Mutation, Outcome } from '../mutation.ts';
import { redrive } from '../redrive/redrive.ts';
import type { Report } from '../sync/sync.ts';
import type { Version } from '../version.ts';
import { type DocumentView, type Entity, type ListView, type View, viewName } from '../view.ts';
import { type Comparison, inBrief, look, lookAtWorkshop, PAGE_MEMBERS, type Projected, projector } from './compare.ts';
import { type Gate, gate, stoppable } from './gate.ts';
import { type Dam, dam } from './held-reader.ts';
import { anyMaker, formsOf, type ItemMaker, orderMaker } from './items.ts';
import type {
  CachedEntry,
  CachedView,
  Caption,
  Counters,
  HistoryLine,
  Judgement,
  Move,
  Point,
  Scene,
  ShownLetter,
  Status,
  StreamRow,
  TableRow,
  Told,
  Trouble,
  Update,
  WrongEntry,
} from './wire.ts';
import { makeWorker, type Worker } from './worker.ts';
import { SimpleCache, workshopHandler } from './workshop.ts';

/** What a playground plays with. */
export interface PlayedWorldOptions {
  readonly views: readonly View[];
  /** Whether the views are the sample's: the workshop's code knows only the sample's orders. */
  readonly isSample: boolean;
  /** Whether the table is one of AWS. The playground then writes to it by the form only. Default: false. */
  readonly isRemote?: boolean;
  readonly cache: CacheClient;
  /** What people call the cache: `memory`, `valkey`. */
  readonly cacheName: string;
  /** Drops one document or list, as a full cache does; without a name, all of them. */
  evict(name?: string): Promise<void>;
  /** The longest value of the workshop's cache, bytes. */
  readonly maxValueBytes?: number;
  readonly table: {
    readonly client: Pick<DynamoDBClient, 'send'>;
    readonly name: string;
    readonly keys: readonly string[];
  };
  readonly stream: StreamReader;
  readonly streamArn: string;
  /** Whether the records of all shards have ascending numbers, as those of the table in memory. Default: false. */
  readonly isOrdered?: boolean;
  /** Calls the listener with records before they are read. Default: records are seen when they are read. */
  readonly watch?: (listener: (record: StreamRecord) => void) => void;
  readonly letters: LetterStore;
  readonly checkpoints?: Checkpoints | undefined;
  readonly handler?: Partial<StreamHandlerOptions>;
  readonly mapping?: Partial<MappingOptions>;
  readonly onReport?: (report: Report) => void;
  readonly onWrote?: (mutations: readonly Mutation[], outcomes: readonly Outcome[]) => void;
  readonly onEvent?: (event: MappingEvent) => void;
  /** Is around each write of the worker to the cache. */
  readonly around?: <T>(call: () => Promise<T>) => Promise<T>;
  readonly random?: () => number;
}

/** The attribute that makes an item one that the code of the views does not know yet. */
const SURPRISE = 'surprise';
const LOOK_MS = 250;
const MOST_ROWS = 60;
const MOST_STREAM_ROWS = 40;
const MOST_ENTRIES = 40;
const MOST_KNOWN = 600;
const MOST_NUMBERS = 30_000;
const MOST_HISTORIES = 3_000;
const MOST_LINES = 40;
const MOST_POINTS = 120;
const MOST_MOVES = 12;
/** How long a write of this playground may take to appear in the stream, ms. */
const AWAITED_MS = 30_000;
/** The most items that are read when the playground begins. */
const FIRST_ITEMS = 200;

/**
 * A table, its stream, a worker with the real handler, and a cache, all of which can be watched and troubled. The workshop's worker follows the same
 * stream into a cache of its own, once it is switched on.
 */
export class PlayedWorld {
  readonly options: PlayedWorldOptions;
  readonly dam: Dam = dam();
  readonly maker: ItemMaker;
  readonly reader: Reader;
  /** The views, which refuse items that have the present surprise. */
  readonly views: readonly View[];
  readonly ours: Worker;
  readonly theirs: Worker;
  readonly ourGate: Gate = gate();
  readonly theirGate: Gate = gate();
  readonly workshop: SimpleCache;
  workshopOn = false;
  evening = { on: false, rate: 5, trouble: false };
  caption: Caption | undefined;
  /** Rejects when a fault ended a worker. */
  readonly finished: Promise<never>;

  readonly #items = new Map<string, Attributes>();
  readonly #newest = new Map<string, string>();
  readonly #awaited = new Map<string, { readonly json: string; readonly at: number }>();
  readonly #documents = new Map<string, string>();
  readonly #lists = new Map<string, true>();
  readonly #members = new Map<string, string>();
  readonly #ids = new Map<string, true>();
  readonly #creators = new Set<string>();
  readonly #rows = new Map<string, StreamRow>();
  readonly #records = new Map<string, StreamRecord>();
  readonly #numbers = new Map<string, number>();
  readonly #writtenAt = new Map<string, number>();
  readonly #histories = new Map<string, HistoryLine[]>();
  readonly #told: Told[] = [];
  readonly #points: Point[] = [];
  readonly #listeners = new Set<(update: Update) => void>();
  readonly #sent = new Map<string, string>();
  readonly #everWrong = { ours: new Set<string>(), theirs: new Set<string>() };
  readonly #cache: CacheClient;
  #project: (items: ReadonlyMap<string, Attributes>) => Projected;
  #projected: Projected | undefined;
  #surprises = 0;
  #brokenBy: number | undefined;
  #number = 0;
  #newestRecord: string | undefined;
  #moves: Move[] = [];
  #look: Comparison = { documents: [], lists: [] };
  #wrong: readonly WrongEntry[] = [];
  #suspects = { ours: new Map<string, WrongEntry>(), theirs: new Map<string, WrongEntry>() };
  #theirWrong: readonly WrongEntry[] = [];
  #letters: readonly ShownLetter[] = [];
  #lettersChanged = true;
  #counts = { records: 0, applied: 0, stale: 0 };
  #readsBy = { cache: 0, table: 0 };
  #second = { records: 0, calls: 0, lags: [] as number[] };
  #queue: Promise<unknown> = Promise.resolve();
  #fail: (error: Error) => void = () => {};
  #judged = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;
  #pointTimer: NodeJS.Timeout | undefined;
  #troubles: readonly Trouble[] = [];

  constructor(options: PlayedWorldOptions) {
    this.options = options;
    const { views, table, stream, cache, isSample } = options;
    this.finished = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.finished.catch(() => {});
    this.maker = isSample ? orderMaker(options.random) : anyMaker(views, options.random);
    this.#cache = stoppable(cache, () => this.ourGate.isStopped);
    const entities = new Map<Entity<unknown>, Entity<unknown>>();
    for (const { entity } of views) if (!entities.has(entity)) entities.set(entity, this.#brittle(entity));
    this.views = views.map((view) => ({ ...view, entity: entities.get(view.entity) }) as View);
    this.#project = projector(this.views);
    this.reader = createReader({ cache: this.#cache, table, lagBoundMs: 60_000 });
    this.workshop = new SimpleCache(options.maxValueBytes ?? 1_048_576);
    const shared = {
      stream,
      dam: this.dam,
      onRecords: (records: readonly StreamRecord[]) => records.forEach((record) => void this.saw(record)),
      onFault: (error: Error) => this.#fail(error),
    };
    this.ours = makeWorker({
      ...shared,
      checkpoints: options.checkpoints,
      handler: () => this.#handler(),
      mapping: { ...MAPPING, ...options.mapping, functionResponseTypes: ['ReportBatchItemFailures'], bisectBatchOnFunctionError: true },
      onEvent: (event) => this.#event(event),
    });
    this.theirs = makeWorker({ ...shared, handler: () => this.#theirHandler(), mapping: MAPPING });
  }

  get arn(): string {
    const { streamArn } = this.options;
    return streamArn.slice(0, streamArn.lastIndexOf('/stream/'));
  }

  get items(): ReadonlyMap<string, Attributes> {
    return this.#items;
  }

  /** Items that may be changed at random: the views take them. */
  get soundItems(): readonly Attributes[] {
    const items = [...this.#items.values()].filter((item) => !this.options.isSample || isOrder(item));
    return items.filter((item) => item[SURPRISE] === undefined || item[SURPRISE] !== this.#brokenBy);
  }

  get wrong(): readonly WrongEntry[] {
    return this.#wrong;
  }

  get theirWrong(): readonly WrongEntry[] {
    return this.#theirWrong;
  }

  get letters(): readonly ShownLetter[] {
    return this.#letters;
  }

  get counts(): { readonly records: number; readonly applied: number; readonly stale: number } {
    return this.#counts;
  }

  /** How many entries of our cache were compared with the table, over all looks. */
  get judged(): number {
    return this.#judged;
  }

  get isBroken(): boolean {
    return this.#brokenBy !== undefined;
  }

  set troubles(troubles: readonly Trouble[]) {
    this.#troubles = troubles;
  }

  async start(): Promise<void> {
    const { client, name } = this.options.table;
    const { Items = [] } = await client.send(new ScanCommand({ TableName: name, Limit: FIRST_ITEMS, ConsistentRead: true }));
    for (const item of Items) this.#mirror(this.nameOf(attributesOf(item)), attributesOf(item));
    this.options.watch?.((record) => this.saw(record));
    await this.ours.start();
    this.#loop = this.#looking();
    this.#pointTimer = setInterval(() => this.#point(), 1_000);
    this.#pointTimer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.evening = { ...this.evening, on: false };
    clearInterval(this.#pointTimer);
    this.dam.release();
    this.ourGate.start();
    this.theirGate.start();
    await this.#loop;
    await Promise.all([this.ours.stop(), this.theirs.stop()]);
    await this.reader.close();
  }

  /** Names of the documents and lists that an item of the table gives now. */
  placesOf(item: string): { readonly documents: readonly string[]; readonly lists: readonly string[] } {
    const attributes = this.#items.get(item);
    const { documents, lists } = this.#project(new Map(attributes ? [[item, attributes]] : []));
    return { documents: [...documents.keys()], lists: [...lists.keys()] };
  }

  /** What the views make of the table for a document, as JSON text. */
  jsonOf(document: string): string | undefined {
    return this.#projectedNow().documents.get(document)?.entry.json;
  }

  /** The number of members that the table gives a list. */
  sizeOf(list: string | undefined): number {
    return (list !== undefined && this.#projectedNow().lists.get(list)?.length) || 0;
  }

  /** Names of documents and lists that the table gives. */
  get entryNames(): readonly string[] {
    const { documents, lists } = this.#projectedNow();
    return [...documents.keys(), ...lists.keys(), ...lists.keys()];
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  nameOf(item: Attributes): string {
    return itemOf(Object.fromEntries(this.options.table.keys.map((key) => [key, item[key]])));
  }

  /** Writes an item to the table. */
  async write(item: Attributes): Promise<string> {
    const { client, name: TableName } = this.options.table;
    const name = this.nameOf(item);
    this.#await(name, item);
    try {
      await client.send(new PutItemCommand({ TableName, Item: marshall(item, { removeUndefinedValues: true }) }));
    } catch (error) {
      this.#awaited.delete(name);
      throw error;
    }
    this.#mirror(name, item);
    return name;
  }

  /** Deletes an item of the table. */
  async remove(name: string): Promise<void> {
    const { client, name: TableName, keys } = this.options.table;
    const item = this.#items.get(name);
    if (!item) return;
    this.#await(name, undefined);
    await client.send(new DeleteItemCommand({ TableName, Key: marshall(Object.fromEntries(keys.map((key) => [key, item[key]]))) }));
    this.#mirror(name, undefined);
  }

  /** A record of the stream was seen: when it was written, or when it was read. */
  saw(record: StreamRecord): void {
    const sequenceNumber = String(record.dynamodb?.SequenceNumber);
    const place = placeOf(sequenceNumber);
    if (this.#numbers.has(place)) return;
    let change: ReturnType<typeof decodeRecord>;
    try {
      change = decodeRecord(record, 0, this.options.streamArn);
    } catch {
      return;
    }
    const { item, after, version } = change;
    this.#number += 1;
    this.#newestRecord = sequenceNumber;
    bounded(this.#numbers, MOST_NUMBERS).set(place, this.#number);
    this.ours.progress.written(sequenceNumber, item);
    if (this.workshopOn) this.theirs.progress.written(sequenceNumber, item);
    bounded(this.#writtenAt, MOST_NUMBERS).set(place, Date.now());
    bounded(this.#records, MOST_STREAM_ROWS * 2).set(place, record);
    const kind = record.eventName ?? '';
    bounded(this.#rows, MOST_STREAM_ROWS).set(place, { number: this.#number, item, kind, state: 'waiting', result: 'on its way' });
    this.#counts = { ...this.#counts, records: this.#counts.records + 1 };
    this.#second.records += 1;
    if (this.#moves.length < MOST_MOVES) this.#moves.push({ number: this.#number, from: 'table', views: [] });
    const newest = this.#newest.get(item);
    if (newest !== undefined && newest > version) return;
    bounded(this.#newest, MOST_NUMBERS).set(item, version);
    const awaited = this.#awaited.get(item);
    // An own write, which is newer than this record, comes later in the stream.
    if (awaited && awaited.json !== canonical(after) && Date.now() - awaited.at < AWAITED_MS) return;
    this.#awaited.delete(item);
    this.#mirror(item, after);
  }

  /** Whether a record of the item is on its way to a worker. */
  isLate(item: string): boolean {
    return this.#awaited.has(item) || this.ours.progress.isLate(item);
  }

  /** Resolves when both workers have brought all records to their end. */
  async settled(withinMs = 30_000): Promise<void> {
    const end = Date.now() + withinMs;
    const isBusy = (worker: Worker): boolean => worker.progress.catchingUp || worker.progress.waiting > 0;
    while (Date.now() < end && !this.#stopped) {
      if (this.#awaited.size === 0 && !isBusy(this.ours) && !(this.workshopOn && isBusy(this.theirs))) return;
      await sleep(20);
    }
  }

  /** Resolves when both workers have been through what they had seen before, and what was written before they began. */
  async caughtUp(withinMs = 60_000): Promise<void> {
    const end = Date.now() + withinMs;
    while (Date.now() < end && !this.#stopped) {
      if (!this.ours.progress.catchingUp && !(this.workshopOn && this.theirs.progress.catchingUp)) return;
      await sleep(20);
    }
  }

  /** Resolves when the item's records have reached both caches. */
  async arrived(item: string, withinMs = 15_000): Promise<void> {
    const end = Date.now() + withinMs;
    while (Date.now() < end && !this.#stopped) {
      if (!this.isLate(item) && !(this.workshopOn && this.theirs.progress.isLate(item))) return;
      await sleep(20);
    }
  }

  /** The newest records of an item, or of all items, the newest last. */
  recordsOf(item: string | undefined, count: number): readonly StreamRecord[] {
    const all = [...this.#records.values()];
    return all.filter((record) => item === undefined || itemOf(attributesOf(record.dynamodb?.Keys ?? {})) === item).slice(-count);
  }

  /** Delivers records to both workers, beside the stream. */
  async deliver(records: readonly StreamRecord[]): Promise<void> {
    await Promise.all([this.ours.deliver(records), this.workshopOn ? this.theirs.deliver(records) : undefined]);
  }

  /** Kills both workers and lets them begin again. @param fresh at the start of the stream */
  async restart(fresh: boolean): Promise<void> {
    this.ours.kill();
    if (this.workshopOn) this.theirs.kill();
    const place = fresh ? this.#beginning : ({ at: 'checkpoint' } as const);
    await this.ours.start(place);
    if (this.workshopOn) await this.theirs.start(place);
  }

  get #beginning() {
    return { at: 'beginning', newest: this.options.isOrdered ? this.#newestRecord : undefined } as const;
  }

  async setWorkshop(on: boolean): Promise<void> {
    if (on === this.workshopOn || (on && !this.options.isSample)) return;
    this.workshopOn = on;
    if (on) await this.theirs.start(this.#beginning);
    else {
      this.theirs.kill();
      this.workshop.flush();
      this.#theirWrong = [];
      this.#suspects.theirs.clear();
    }
  }

  /** Drops an entry of both caches; without a name, all entries. */
  async evict(name?: string): Promise<void> {
    await this.options.evict(name);
    if (name === undefined) this.workshop.flush();
    else {
      const key = name.slice(name.indexOf(':') + 1);
      this.workshop.evict(key === 'all' ? 'all-orders' : key.replace(/^creator:/, ''));
    }
  }

  /** The code of the views has not learnt a new attribute yet: from now on it throws on items that have it. Returns such an item. */
  surprise(item: Attributes): Attributes {
    this.#surprises += 1;
    this.#brokenBy = this.#surprises;
    this.#reproject();
    return { ...item, [SURPRISE]: this.#surprises };
  }

  /** The code of the views is mended. */
  mend(): void {
    this.#brokenBy = undefined;
    this.#reproject();
  }

  /** Takes up dead letters. */
  async redrive(): Promise<{ readonly removed: number; readonly kept: number }> {
    const { client } = this.options.table;
    const { letters } = await redrive({
      views: this.views,
      cache: this.#cache,
      table: tableReader({ client, readUnitsPerSecond: 1_000 }),
      store: this.options.letters,
      filter: {},
    });
    this.#lettersChanged = true;
    await this.#readLetters();
    const removed = letters.filter(({ status }) => status === 'removed').length;
    return { removed, kept: letters.length - removed };
  }

  /** Completes all lists from the table, by a survey. */
  async fillLists(): Promise<void> {
    const { client, keys } = this.options.table;
    const survey = `playground-${Date.now().toString(36)}`;
    const views = this.views.map(viewName).sort();
    await backfill({
      from: begin({ survey, begun: new Date().toISOString(), tableArn: this.arn, tableId: '', cache: '', views, segments: 1 } as never),
      views: this.views,
      cache: this.#cache,
      table: scannedTable({ client, arn: this.arn, keys, budget: readBudget(1_000) }),
      signal: AbortSignal.timeout(20_000),
      retryForMs: 5_000,
    });
  }

  /** Reads an entry as a customer does: through the cache, and from the table where the cache does not know. */
  async read(name: string, ticket?: string): Promise<string> {
    const [of = '', key] = [name.split(':', 1)[0], name.slice(name.indexOf(':') + 1)];
    const view = this.views.find((view) => viewName(view) === of);
    if (!view) throw new Error(`there is no view ${of}`);
    if (view.kind === 'document') {
      const found = await this.reader.look(view as DocumentView<unknown, unknown>, key, { ticket });
      this.#readsBy[found.by] += 1;
      return found.type === 'found' ? `the ${found.by} answers: ${inBrief(found.value)}` : `the ${found.by} answers: there is no such item`;
    }
    const page = await this.reader.page(view as ListView<unknown, unknown>, key, { limit: PAGE_MEMBERS, partial: 'allow', ticket });
    this.#readsBy[page.by === 'cache' ? 'cache' : 'table'] += 1;
    return `the ${page.by} answers with ${page.members.length} members${page.complete ? '' : ', which may lack some'}`;
  }

  /** What the cache holds at an entry, as JSON text; undefined for a list, and where it holds nothing. */
  async valueOf(name: string): Promise<string | undefined> {
    const view = this.views.find((view) => name.startsWith(`${viewName(view)}:`));
    if (view?.kind !== 'document') return undefined;
    const found = await this.options.cache.get(name);
    return found.type === 'hit' ? JSON.stringify(found.value) : undefined;
  }

  history(name: string): readonly HistoryLine[] {
    return this.#histories.get(name) ?? [];
  }

  /** Runs work that must not meet other trouble. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => {});
    return result;
  }

  tell(told: Told): void {
    const at = this.#told.findIndex(({ id }) => id === told.id);
    if (at >= 0) this.#told.splice(at, 1);
    this.#told.unshift(told);
    this.#told.splice(8);
    this.publish();
  }

  /** Calls the listener with everything, and then with each change. Returns what ends that. */
  subscribe(listener: (update: Update) => void): () => void {
    this.#listeners.add(listener);
    listener({ scene: this.#scene(), ...this.#state(), points: this.#points });
    return () => this.#listeners.delete(listener);
  }

  /** Sends what has changed. */
  publish(): void {
    if (this.#listeners.size === 0) {
      this.#moves = [];
      return;
    }
    const changed: Record<string, unknown> = {};
    for (const [name, part] of Object.entries(this.#state())) {
      const text = JSON.stringify(part);
      if (this.#sent.get(name) === text) continue;
      this.#sent.set(name, text);
      changed[name] = part;
    }
    if (this.#moves.length > 0) changed.moves = this.#moves;
    this.#moves = [];
    if (Object.keys(changed).length > 0) this.#send(changed);
  }

  #send(update: Update): void {
    for (const listener of this.#listeners) listener(update);
  }

  #brittle(entity: Entity<unknown>): Entity<unknown> {
    return {
      ...entity,
      schema: {
        parse: (raw) => {
          const { [SURPRISE]: surprise, ...item } = raw as Attributes;
          if (surprise !== undefined && surprise === this.#brokenBy) throw new Error('this code does not know the attribute surprise');
          return entity.schema.parse(item);
        },
      },
    };
  }

  #reproject(): void {
    this.#project = projector(this.views);
    this.#projected = undefined;
  }

  #projectedNow(): Projected {
    this.#projected ??= this.#project(this.#items);
    return this.#projected;
  }

  #await(name: string, item: Attributes | undefined): void {
    if (canonical(item) === canonical(this.#items.get(name))) return;
    this.#awaited.set(name, { json: canonical(item), at: Date.now() });
  }

  #mirror(name: string, item: Attributes | undefined): void {
    if (item && canonical(item) === canonical(this.#items.get(name))) return;
    this.#note(name, this.#items.get(name));
    this.#items.delete(name);
    if (item) this.#items.set(name, item);
    this.#projected = undefined;
    this.#note(name, item);
  }

  /** Notes where the entries of an item are, so that they are looked at after the item has left. */
  #note(item: string, attributes: Attributes | undefined): void {
    if (!attributes) return;
    const { documents, lists } = this.#project(new Map([[item, attributes]]));
    for (const name of documents.keys()) bounded(this.#documents, MOST_KNOWN).set(name, item);
    for (const [name, [first]] of lists) {
      bounded(this.#lists, MOST_KNOWN / 10).set(name, true);
      if (first) bounded(this.#members, MOST_KNOWN * 10).set(`${name} ${first.entry.member}`, item);
    }
    if (!this.options.isSample || !isOrder(attributes)) return;
    bounded(this.#ids, MOST_KNOWN).set(String(attributes.id), true);
    this.#creators.add(String(attributes.creator));
  }

  #handler(): LambdaHandler {
    const { options } = this;
    const { around = (call) => call() } = options;
    const pass = this.ourGate.pass();
    return streamHandler({
      marginMs: 1_000,
      logger: { info() {}, warn() {}, error() {} },
      retention: false,
      ...options.handler,
      views: this.views,
      cache: {
        apply: async (mutations) => {
          pass();
          this.#second.calls += 1;
          const outcomes = await around(() => options.cache.apply(mutations));
          this.#wrote(mutations, outcomes);
          options.onWrote?.(mutations, outcomes);
          return outcomes;
        },
      },
      letters: {
        put: async (name, text) => {
          await options.letters.put(name, text);
          this.#lettersChanged = true;
        },
      },
      onReport: (report) => {
        this.#reported(report);
        options.onReport?.(report);
      },
    }) as LambdaHandler;
  }

  #theirHandler(): LambdaHandler {
    const pass = this.theirGate.pass();
    const { workshop } = this;
    workshop.onCall = pass;
    const handle = workshopHandler(workshop);
    return (async (event: { Records: readonly StreamRecord[] }) => {
      // The workshop's table has only orders.
      const Records = event.Records.filter(({ dynamodb }) => isOrder(attributesOf(dynamodb?.NewImage ?? dynamodb?.OldImage ?? {})));
      if (Records.length > 0) await handle({ Records });
    }) as unknown as LambdaHandler;
  }

  #wrote(mutations: readonly Mutation[], outcomes: readonly Outcome[]): void {
    for (const [i, mutation] of mutations.entries()) {
      const outcome = outcomes[i]?.type ?? 'unknown';
      const { number, at } = { number: this.#numberOf(mutation.version), at: Date.now() };
      const name = mutation.kind === 'document' ? mutation.key : mutation.list;
      const type = mutation.kind === 'document' ? mutation.type : `${mutation.type} ${mutation.member}`;
      const lines = this.#histories.get(name) ?? [];
      lines.unshift({ at, number, type, outcome });
      lines.splice(MOST_LINES);
      bounded(this.#histories, MOST_HISTORIES).set(name, lines);
      if (outcome === 'applied') this.#counts.applied += 1;
      if (outcome === 'stale') this.#counts.stale += 1;
    }
    const [first] = mutations;
    if (!first || this.#moves.length >= MOST_MOVES) return;
    const number = this.#numberOf(first.version);
    const views = [
      ...new Set(mutations.map((mutation) => (mutation.kind === 'document' ? mutation.key : mutation.list).split(':', 1)[0] as string)),
    ];
    if (number !== undefined) this.#moves.push({ number, from: 'stream', views });
  }

  #reported({ records }: Report): void {
    for (const { change, status, applied, stale, causes } of records) {
      const place = change ? placeOf(change.version) : '';
      const row = this.#rows.get(place);
      if (!row) continue;
      const parts = [applied > 0 && `${applied} applied`, stale > 0 && `${stale} stale`, causes.length > 0 && `${causes.length} set aside`];
      const state = status === 'failed' ? 'failed' : causes.length > 0 ? 'letter' : 'done';
      const result = status === 'failed' ? 'failed, and comes again' : parts.filter(Boolean).join(', ') || 'of no view';
      this.#rows.set(place, { ...row, state, result });
    }
  }

  #event(event: MappingEvent): void {
    if (event.type === 'invoked') {
      for (const number of event.sequenceNumbers) {
        const row = this.#rows.get(placeOf(number));
        if (row?.state === 'waiting') this.#rows.set(placeOf(number), { ...row, state: 'delivered', result: 'in the worker' });
      }
    }
    if (event.type === 'succeeded') {
      const now = Date.now();
      for (const number of event.sequenceNumbers) {
        const at = this.#writtenAt.get(placeOf(number));
        if (at === undefined) continue;
        this.#second.lags.push(now - at);
        this.#writtenAt.delete(placeOf(number));
      }
    }
    this.options.onEvent?.(event);
  }

  #numberOf(version: Version): number | undefined {
    return this.#numbers.get(placeOf(version));
  }

  async #looking(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.lookNow();
        await this.#readLetters();
        for (const [name, { at }] of this.#awaited) if (Date.now() - at > AWAITED_MS) this.#awaited.delete(name);
        this.publish();
      } catch {
        // A cache that gives no answer is looked at again.
      }
      await sleep(LOOK_MS);
    }
  }

  /** Compares both caches with the table. A difference counts when two looks in a row find it. */
  async lookNow(): Promise<void> {
    const projected = this.#projectedNow();
    const documents = new Map(this.#documents);
    for (const [name, { item }] of projected.documents) documents.set(name, item);
    const found = await look({
      cache: this.options.cache,
      documents,
      lists: new Set([...projected.lists.keys(), ...this.#lists.keys()]),
      projected: () => this.#projectedNow(),
      isLate: (item) => this.isLate(item),
      itemOf: (list, member) => this.#members.get(`${list} ${member}`) ?? member,
    });
    const differences = [...found.documents.flatMap(({ wrong }) => wrong ?? []), ...found.lists.flatMap(({ wrong }) => wrong)];
    this.#look = found;
    this.#judged += judgementsOf(found).filter((judgement) => judgement === 'equal' || judgement === 'wrong').length;
    this.#wrong = confirmed(this.#suspects.ours, differences);
    for (const { place, fault } of this.#wrong) this.#everWrong.ours.add(`${place} ${fault}`);
    if (!this.workshopOn) return;
    const orders = new Map<string, Attributes>();
    const itemOfId = new Map<string, string>();
    for (const [item, attributes] of this.#items) {
      if (!isOrder(attributes)) continue;
      orders.set(String(attributes.id), attributes);
      itemOfId.set(String(attributes.id), item);
    }
    const wrong = lookAtWorkshop({
      entries: this.workshop.entries,
      orders,
      ids: new Set([...orders.keys(), ...this.#ids.keys()]),
      creators: this.#creators,
      isLate: (id) => {
        const item = itemOfId.get(id) ?? itemOf({ pk: `order#${id}`, sk: 'order' });
        return this.#awaited.has(item) || this.theirs.progress.isLate(item);
      },
    });
    this.#theirWrong = confirmed(this.#suspects.theirs, wrong);
    for (const { place, fault } of this.#theirWrong) this.#everWrong.theirs.add(`${place} ${fault.replace(/^\d+ /, '')}`);
  }

  async #readLetters(): Promise<void> {
    if (!this.#lettersChanged) return;
    this.#lettersChanged = false;
    const letters: ShownLetter[] = [];
    const { letters: store } = this.options;
    for await (const name of store.names()) {
      if (letters.length === 20) break;
      try {
        const text = await store.get(name);
        if (text === undefined) continue;
        const { event, causes } = parseLetter(text);
        const keys = event.Records[0]?.dynamodb?.Keys;
        const views = [...new Set(causes.flatMap(({ view }) => view ?? []))].join(', ');
        const reasons = causes.slice(0, 1).map(({ error }) => error.message);
        letters.push({
          name,
          item: keys ? itemOf(attributesOf(keys)) : 'unknown',
          causes: [views, ...reasons].filter((text) => text !== ''),
        });
      } catch (error) {
        letters.push({ name, item: 'unknown', causes: [asError(error).message] });
      }
    }
    this.#letters = letters;
  }

  #point(): void {
    const { records, calls, lags } = this.#second;
    const lagMs = lags.length === 0 ? 0 : Math.round(lags.reduce((sum, lag) => sum + lag, 0) / lags.length);
    this.#second = { records: 0, calls: 0, lags: [] };
    const point = { at: Math.floor(Date.now() / 1_000), lagMs, records, roundTrips: calls };
    this.#points.push(point);
    this.#points.splice(0, this.#points.length - MOST_POINTS);
    this.#send({ points: [point] });
  }

  #scene(): Scene {
    const { options } = this;
    return {
      cache: options.cacheName,
      table: options.table.name,
      isSample: options.isSample,
      forms: formsOf(options.views, options.table.keys),
      troubles: this.#troubles,
      views: options.views.map(viewName),
    };
  }

  #state(): Update {
    const status: Status = {
      cache: this.ourGate.isStopped ? 'stopped' : 'up',
      worker: !this.ours.isRunning ? 'killed' : this.ours.progress.catchingUp ? 'catching up' : 'running',
      held: this.dam.isHeld,
      broken: this.isBroken,
      evening: this.evening,
    };
    const verdicts = judgementsOf(this.#look);
    const counters: Counters = {
      wrong: this.#wrong.length,
      everWrong: this.#everWrong.ours.size,
      compared: verdicts.filter((verdict) => verdict === 'equal' || verdict === 'wrong').length,
      late: verdicts.filter((verdict) => verdict === 'late').length,
      workshopWrong: this.#theirWrong.length,
      workshopEverWrong: this.#everWrong.theirs.size,
      ...this.#counts,
      letters: this.#letters.length,
      reads: { ...this.#readsBy },
    };
    return {
      table: { name: this.options.table.name, keys: this.options.table.keys, count: this.#items.size, rows: this.#tableRows() },
      stream: { rows: [...this.#rows.values()].reverse() },
      views: this.options.views.map((view) => this.#viewState(view)),
      workshop: { possible: this.options.isSample, on: this.workshopOn, wrong: this.#theirWrong.slice(0, 40) },
      counters,
      letters: this.#letters,
      told: [...this.#told],
      caption: this.caption ?? null,
      status,
    };
  }

  #tableRows(): readonly TableRow[] {
    const { refused } = this.#projectedNow();
    const entities = [...new Set(this.options.views.map(({ entity }) => entity))];
    return [...this.#items]
      .slice(-MOST_ROWS)
      .reverse()
      .map(([item, attributes]) => {
        const entity = entities.find((entity) => entity.owns(attributes));
        const brief = inBrief(attributes, this.options.table.keys);
        return { item, entity: entity?.name ?? 'of no view', brief, attributes, refusedBy: refused.get(item) ?? [] };
      });
  }

  #viewState(view: View): CachedView {
    const name = viewName(view);
    const prefix = `${name}:`;
    const entries: CachedEntry[] = [];
    if (view.kind === 'document') {
      for (const { name: key, state, version, value, verdict } of this.#look.documents) {
        if (!key.startsWith(prefix)) continue;
        const number = version === undefined ? undefined : this.#numberOf(version);
        entries.push({
          name: key,
          key: key.slice(prefix.length),
          state,
          ...(number !== undefined && { number }),
          ...(value !== undefined && { value: inBrief(value) }),
          verdict,
        });
      }
      entries.sort((a, b) => (b.number ?? 0) - (a.number ?? 0) || (a.name < b.name ? -1 : 1));
    } else {
      for (const list of this.#look.lists) {
        if (!list.name.startsWith(prefix)) continue;
        const members = list.members
          .slice(0, 8)
          .map(({ member, value, version, verdict }) => ({ member, value: inBrief(value), number: this.#numberOf(version), verdict }));
        const { complete, verdict } = list;
        entries.push({
          name: list.name,
          key: list.name.slice(prefix.length),
          state: 'list',
          verdict,
          complete,
          size: list.members.length,
          members,
        });
      }
    }
    return { name, kind: view.kind, count: entries.length, entries: entries.slice(0, MOST_ENTRIES) };
  }
}

/** As quick as people can follow. */
const MAPPING: Partial<MappingOptions> = {
  batchSize: 100,
  pollIntervalMs: 100,
  functionTimeoutMs: 6_000,
  functionName: 'playground',
  backoffMs: (failures) => Math.min(1_000, 200 * failures),
};

function judgementsOf({ documents, lists }: Comparison): readonly Judgement[] {
  return [...documents.map(({ verdict }) => verdict), ...lists.flatMap(({ members }) => members.map(({ verdict }) => verdict))];
}

function isOrder(item: Attributes): boolean {
  return typeof item.pk === 'string' && item.pk.startsWith('order#') && typeof item.id === 'string';
}

/** Drops the oldest entry of a map that is full. */
function bounded<K, V>(map: Map<K, V>, most: number): Map<K, V> {
  if (map.size >= most) map.delete(map.keys().next().value as K);
  return map;
}

/** Equal items have equal texts. */
function canonical(item: unknown): string {
  return (
    JSON.stringify(item, (_, value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    ) ?? ''
  );
}

/** A sequence number, or that of a version, without zeros before it. */
function placeOf(version: string): string {
  return version.slice(version.indexOf('/') + 1).replace(/^0+(?=\d)/, '');
}

/** The differences that the look before found too. Notes all of them for the next look. */
function confirmed(suspects: Map<string, WrongEntry>, found: readonly WrongEntry[]): readonly WrongEntry[] {
  const nameOf = ({ place, fault }: WrongEntry): string => `${place} ${fault.replace(/^\d+ /, '')}`;
  const again = found.filter((entry) => suspects.get(nameOf(entry))?.table === entry.table);
  suspects.clear();
  for (const entry of found) suspects.set(nameOf(entry), entry);
  return again;
}
