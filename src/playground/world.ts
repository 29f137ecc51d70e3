import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand, type DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { backfill, begin } from '../backfill/backfill.ts';
import type { CacheClient } from '../cache.ts';
import type { Attributes, Change } from '../change.ts';
import { readBudget } from '../dynamodb/read-budget.ts';
import { attributesOf, decodeRecord, type StreamRecord } from '../dynamodb/record.ts';
import { scannedTable } from '../dynamodb/scanned-table.ts';
import { tableReader } from '../dynamodb/table-reader.ts';
import type { Checkpoints, LambdaHandler, MappingEvent, MappingOptions, StreamReader } from '../event-source-mapping/index.ts';
import { createReader, type Reader } from '../fill/reader.ts';
import { type StreamHandlerOptions, streamHandler } from '../handlers/stream-handler.ts';
import type { LetterStore } from '../letters/store.ts';
import type { Mutation, Outcome } from '../mutation.ts';
import { redrive } from '../redrive/redrive.ts';
import type { Report } from '../sync/sync.ts';
import { type DocumentView, type Entity, type ListView, type View, viewName } from '../view.ts';
import { inBrief, PAGE_MEMBERS } from './compare.ts';
import { type Gate, gate, stoppable } from './gate.ts';
import { type Dam, dam } from './held-reader.ts';
import { anyMaker, formsOf, type ItemMaker, orderMaker } from './items.ts';
import { Judge } from './judge.ts';
import { isOrder, Mirror } from './mirror.ts';
import { RecordLog } from './record-log.ts';
import { lettersIn, shownView, tableRows } from './shown.ts';
import type { Caption, Counters, HistoryLine, Point, Scene, ShownLetter, Status, Told, Trouble, Update, WrongEntry } from './wire.ts';
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
const MOST_POINTS = 120;
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

  readonly #mirror: Mirror;
  readonly #log = new RecordLog();
  readonly #told: Told[] = [];
  readonly #points: Point[] = [];
  readonly #listeners = new Set<(update: Update) => void>();
  readonly #sent = new Map<string, string>();
  readonly #cache: CacheClient;
  readonly #judge: Judge;
  #surprises = 0;
  #brokenBy: number | undefined;
  #letters: readonly ShownLetter[] = [];
  #lettersChanged = true;
  #readsBy = { cache: 0, table: 0 };
  #queue: Promise<unknown> = Promise.resolve();
  #fail: (error: Error) => void = () => {};
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
    this.#mirror = new Mirror(this.views, table.keys);
    this.reader = createReader({ cache: this.#cache, table, lagBoundMs: 60_000 });
    this.workshop = new SimpleCache(options.maxValueBytes ?? 1_048_576);
    this.#judge = new Judge({
      cache,
      workshop: this.workshop,
      mirror: this.#mirror,
      isLate: {
        ours: (item) => this.isLate(item),
        theirs: (item) => this.#mirror.isAwaited(item) || this.theirs.progress.isLate(item),
      },
    });
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
      onEvent: (event) => {
        this.#log.event(event);
        options.onEvent?.(event);
      },
    });
    this.theirs = makeWorker({ ...shared, handler: () => this.#theirHandler(), mapping: MAPPING });
  }

  get arn(): string {
    const { streamArn } = this.options;
    return streamArn.slice(0, streamArn.lastIndexOf('/stream/'));
  }

  get items(): ReadonlyMap<string, Attributes> {
    return this.#mirror.items;
  }

  /** Items that may be changed at random: the views take them. */
  get soundItems(): readonly Attributes[] {
    const items = [...this.items.values()].filter((item) => !this.options.isSample || isOrder(item));
    return items.filter((item) => item[SURPRISE] === undefined || item[SURPRISE] !== this.#brokenBy);
  }

  get wrong(): readonly WrongEntry[] {
    return this.#judge.wrong;
  }

  get theirWrong(): readonly WrongEntry[] {
    return this.#judge.theirWrong;
  }

  get letters(): readonly ShownLetter[] {
    return this.#letters;
  }

  get counts(): { readonly records: number; readonly applied: number; readonly stale: number } {
    return this.#log.counts;
  }

  /** How many entries of our cache were compared with the table, over all looks. */
  get judged(): number {
    return this.#judge.judged;
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
    for (const item of Items) this.#mirror.set(this.nameOf(attributesOf(item)), attributesOf(item));
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
    return this.#mirror.placesOf(item);
  }

  /** What the views make of the table for a document, as JSON text. */
  jsonOf(document: string): string | undefined {
    return this.#mirror.projected.documents.get(document)?.entry.json;
  }

  /** The number of members that the table gives a list. */
  sizeOf(list: string | undefined): number {
    return (list !== undefined && this.#mirror.projected.lists.get(list)?.length) || 0;
  }

  /** Names of documents and lists that the table gives. */
  get entryNames(): readonly string[] {
    const { documents, lists } = this.#mirror.projected;
    return [...documents.keys(), ...lists.keys(), ...lists.keys()];
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  nameOf(item: Attributes): string {
    return this.#mirror.nameOf(item);
  }

  /** Writes an item to the table. */
  async write(item: Attributes): Promise<string> {
    const { client, name: TableName } = this.options.table;
    const name = this.nameOf(item);
    const takeBack = this.#mirror.await(name, item);
    try {
      await client.send(new PutItemCommand({ TableName, Item: marshall(item, { removeUndefinedValues: true }) }));
    } catch (error) {
      takeBack();
      throw error;
    }
    this.#mirror.set(name, item);
    return name;
  }

  /** Deletes an item of the table. */
  async remove(name: string): Promise<void> {
    const { client, name: TableName, keys } = this.options.table;
    const item = this.items.get(name);
    if (!item) return;
    this.#mirror.await(name, undefined);
    await client.send(new DeleteItemCommand({ TableName, Key: marshall(Object.fromEntries(keys.map((key) => [key, item[key]]))) }));
    this.#mirror.set(name, undefined);
  }

  /** A record of the stream was seen: when it was written, or when it was read. */
  saw(record: StreamRecord): void {
    const sequenceNumber = String(record.dynamodb?.SequenceNumber);
    if (this.#log.has(sequenceNumber)) return;
    let change: Change;
    try {
      change = decodeRecord(record, 0, this.options.streamArn);
    } catch {
      // It becomes a dead letter, and tells of no item.
      return;
    }
    const { item, after, version } = change;
    this.#log.add(record, sequenceNumber, item);
    this.ours.progress.written(sequenceNumber, item);
    if (this.workshopOn) this.theirs.progress.written(sequenceNumber, item);
    this.#mirror.shows(item, version, after);
  }

  /** Whether a record of the item is on its way to a worker. */
  isLate(item: string): boolean {
    return this.#mirror.isAwaited(item) || this.ours.progress.isLate(item);
  }

  /** Resolves when both workers have brought all records to their end. */
  async settled(withinMs = 30_000): Promise<void> {
    const end = Date.now() + withinMs;
    const isBusy = (worker: Worker): boolean => worker.progress.catchingUp || worker.progress.waiting > 0;
    while (Date.now() < end && !this.#stopped) {
      if (!this.#mirror.hasAwaited && !isBusy(this.ours) && !(this.workshopOn && isBusy(this.theirs))) return;
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

  /** The newest records of an item, the newest last. */
  recordsOf(item: string, count: number): readonly StreamRecord[] {
    return this.#log.recordsOf(item, count);
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
    return { at: 'beginning', newest: this.options.isOrdered ? this.#log.newest : undefined } as const;
  }

  async setWorkshop(on: boolean): Promise<void> {
    if (on === this.workshopOn || (on && !this.options.isSample)) return;
    this.workshopOn = on;
    if (on) await this.theirs.start(this.#beginning);
    else {
      this.theirs.kill();
      this.workshop.flush();
      this.#judge.forgetTheirs();
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
    this.#mirror.reproject();
    return { ...item, [SURPRISE]: this.#surprises };
  }

  /** The code of the views is mended. */
  mend(): void {
    this.#brokenBy = undefined;
    this.#mirror.reproject();
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
    return this.#log.historyOf(name);
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
    // What was sent is the same for all listeners.
    this.publish();
    listener({ scene: this.#scene(), ...this.#state(), points: this.#points });
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sends what has changed. */
  publish(): void {
    const changed: Record<string, unknown> = {};
    for (const [name, part] of Object.entries(this.#state())) {
      const text = JSON.stringify(part);
      if (this.#sent.get(name) === text) continue;
      this.#sent.set(name, text);
      changed[name] = part;
    }
    const moves = this.#log.takeMoves();
    if (moves.length > 0) changed.moves = moves;
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
          this.#log.called();
          const outcomes = await around(() => options.cache.apply(mutations));
          this.#log.wrote(mutations, outcomes);
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
        this.#log.reported(report);
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

  async #looking(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.lookNow();
        await this.#readLetters();
        this.publish();
      } catch {
        // A cache that gives no answer is looked at again. Until then, nothing is known of it.
        this.#judge.knowNothing();
      }
      await sleep(LOOK_MS);
    }
  }

  /** Compares both caches with the table. */
  async lookNow(): Promise<void> {
    await this.#judge.lookAtOurs();
    if (this.workshopOn) this.#judge.lookAtTheirs();
  }

  async #readLetters(): Promise<void> {
    if (!this.#lettersChanged) return;
    this.#lettersChanged = false;
    this.#letters = await lettersIn(this.options.letters);
  }

  #point(): void {
    const point = this.#log.takePoint();
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
    const { views, table } = this.options;
    const status: Status = {
      cache: this.ourGate.isStopped ? 'stopped' : 'up',
      worker: !this.ours.isRunning ? 'killed' : this.ours.progress.catchingUp ? 'catching up' : 'running',
      held: this.dam.isHeld,
      broken: this.isBroken,
      evening: this.evening,
    };
    const counters: Counters = {
      ...this.#judge.counters,
      ...this.#log.counts,
      letters: this.#letters.length,
      reads: { ...this.#readsBy },
    };
    return {
      table: { name: table.name, keys: table.keys, count: this.items.size, rows: tableRows(views, table.keys, this.#mirror) },
      stream: { rows: this.#log.rows },
      views: views.map((view) => shownView(view, this.#judge.comparison, (version) => this.#log.numberOf(version))),
      workshop: { possible: this.options.isSample, on: this.workshopOn, wrong: this.theirWrong.slice(0, 40) },
      counters,
      letters: this.#letters,
      told: [...this.#told],
      caption: this.caption ?? null,
      status,
    };
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
