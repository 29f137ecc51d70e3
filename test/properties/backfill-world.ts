import { marshall } from '@aws-sdk/util-dynamodb';
import { backfill, begin, passCounts } from '../../src/backfill/backfill.ts';
import { type BackfillCheckpoint, checkpointText, parseCheckpoint } from '../../src/backfill/checkpoint.ts';
import { itemLetters } from '../../src/backfill/item-letters.ts';
import { checkLives, idsOf, LifeEndedError } from '../../src/backfill/lives.ts';
import type { CacheClient, Fill, Lease, LeaseTarget, Lookup } from '../../src/cache.ts';
import { itemOf } from '../../src/change.ts';
import { attributesOf, decodeRecord } from '../../src/dynamodb/record.ts';
import type { ScannedTable } from '../../src/dynamodb/scanned-table.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { parseLetter } from '../../src/letters/letter.ts';
import { REGISTER_KEY, registerIn, registerText } from '../../src/lives/register.ts';
import { type LivesOptions, type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import type { View } from '../../src/view.ts';
import { type MemoryStore, memoryStore } from '../letters/letters.ts';
import type { Opened } from './world/backend.ts';
import { orderAfter, orderKey, show } from './world/items.ts';
import { listDifferences } from './world/list-differences.ts';
import { type Image, Table, type Written } from './world/table.ts';
import type { Tally } from './world/tally.ts';
import { buggyViews, isCursed, worldViews } from './world/views.ts';

/**
 * A rule that a world breaks on purpose, to show that its histories find it:
 *
 * - `consistent`: the second scan reads consistently.
 * - `lease-first`: a document is leased before it is read.
 * - `mark-fill`, `mark-seal`: only a list with the mark is filled, and sealed.
 * - `poison-seal`: no list of a view that threw is sealed. The test breaks this one.
 * - `mark-afresh`: a mark empties a list that has a forgotten member. The test breaks this one.
 * - `usable`: a backfill fills no life before it is usable.
 */
export type Rule = 'consistent' | 'lease-first' | 'mark-fill' | 'mark-seal' | 'poison-seal' | 'mark-afresh' | 'usable';

const ITEMS = 7;
/** How many steps an eventually consistent read may lag behind. */
const LAG = 8;
const LABEL = '2026-11-22T03:01:52.091';
const STREAM_ARN = `arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/${LABEL}`;
/** Of a worker, of a reader and of a life, ms. A step takes a second. */
const [ASK_MS, READ_ASK_MS, WAIT_MS] = [6_000, 3_000, 8_000];
const SILENT = { info() {}, warn() {}, error() {} };

class Killed extends Error {}

/** A call that waits. `land`: takes effect although nobody waits for the answer. */
interface Parked {
  go(): void;
  die(): void;
  land(): Promise<unknown>;
}

/** A backfill under way. Each of its calls waits until the history lets it go on. */
interface Run {
  readonly name: string;
  readonly parked: Parked[];
  isKilled: boolean;
  isOver: boolean;
  /** What another process may find: any checkpoint up to the last one. */
  readonly saved: string[];
}

interface Reading {
  readonly lease: Lease;
  readonly target: LeaseTarget;
  read?: ReturnType<Table['find']>;
}

/** A table, its stream, readers, and backfills that are killed and resumed, in one random order. */
export class BackfillWorld {
  readonly story: string[] = [];
  readonly #views: readonly View[];
  readonly #buggy: readonly View[];
  readonly #bug = { mended: false };
  readonly #table: Table;
  readonly #past = new Map<string, { readonly at: number; readonly image: Image | undefined }[]>();
  readonly #shards: Written[][] = [[], []];
  readonly #at = [0, 0];
  readonly #opened: Opened;
  /** Whether the views have lives. */
  readonly #isLiving: boolean;
  /** Caches with lives, to close. */
  readonly #living: LivingCache[] = [];
  /** The cache as two workers have it, each with its own knowledge of the lives; and as readers have it. */
  readonly #workers: readonly CacheClient[];
  readonly #cache: CacheClient;
  /** Calls of backfills that are on their way. */
  #underWay = 0;
  readonly #store: MemoryStore = memoryStore();
  readonly #runs: Run[] = [];
  readonly #readings: Reading[] = [];
  /** Every member that a list ever had. */
  readonly #members = new Map<string, ReadonlySet<string>>();
  readonly #random: () => number;
  readonly #tally: Tally;
  readonly #broken: Rule | undefined;
  /** Nothing is evicted or replayed, no view throws, and every value fits. */
  readonly #isCalm: boolean;
  readonly #hasLetters: boolean;
  readonly #faults: string[] = [];
  #now = 0;
  #surveys = 0;

  constructor(random: () => number, opened: Opened, tally: Tally, broken?: Rule) {
    this.#random = random;
    this.#opened = opened;
    this.#tally = tally;
    this.#broken = broken;
    this.#isCalm = random() < 0.25;
    this.#hasLetters = random() < 0.5;
    this.#isLiving = random() < 0.5;
    this.#views = [...worldViews.latest, ...worldViews.all.filter(({ name }) => name === 'badge')];
    this.#buggy = buggyViews(this.#views, this.#bug);
    this.#table = new Table(this.#views, { from: 1n, digits: 21 });
    this.#workers = [0, 1].map(() => this.#livingCache({ views: this.#views, askMs: ASK_MS, waitMs: WAIT_MS }));
    this.#cache = this.#livingCache({ askMs: READ_ASK_MS, waitMs: WAIT_MS });
  }

  #livingCache(options: LivesOptions): CacheClient {
    if (!this.#isLiving) return this.#opened.cache;
    const living = withLives({ ...this.#opened.cache, close: async () => {} }, { lagMs: 0, now: () => this.#time(), ...options });
    this.#living.push(living);
    return living;
  }

  #time(): number {
    return 1_796_000_000_000 + this.#now * 1_000;
  }

  async live(): Promise<readonly string[]> {
    // No record tells of the items from before the stream.
    for (let id = 0; id < ITEMS; id += 1) if (this.#upTo(3) > 0) this.#write(id, false);
    this.#now = LAG;
    if (this.#upTo(4) > 0) await this.#know();
    for (let step = 40 + this.#upTo(120); step > 0 && this.#faults.length === 0; step -= 1) await this.#step();
    await this.#comeToRest();
    this.#faults.push(...(await this.#differences('with letters waiting')));
    this.#bug.mended = true;
    // Items that no letter tells of are mended by a write.
    for (const row of [...this.#table.rows.values()]) {
      if (row.cursed.size > 0) this.#record(row.image, { ...row.image, status: `mended${this.#table.clock}` });
    }
    await this.#drain();
    await this.#redrive();
    this.#faults.push(...(await this.#differences('at rest')));
    await Promise.all(this.#living.map((living) => living.close()));
    return this.#faults;
  }

  /** Lets all know of the lives, and all lives be usable. */
  async #know(): Promise<void> {
    for (let i = 0; i < 3 && this.#isLiving; i += 1) {
      for (const worker of this.#workers) await worker.apply([]);
      this.#now += (WAIT_MS + ASK_MS) / 1_000;
    }
  }

  #upTo(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#upTo(from.length)];
  }

  async #step(): Promise<void> {
    this.#now += 1;
    const dice = this.#random();
    if (dice < 0.4) return await this.#goOn();
    if (dice < 0.56) return this.#write(this.#upTo(ITEMS), true);
    if (dice < 0.76) return await this.#deliver(this.#upTo(2));
    if (dice < 0.82) return await this.#lease();
    if (dice < 0.92) return await this.#settle();
    if (dice < 0.935) return await this.#kill();
    if (dice < 0.95 && this.#runs.length < 3) return await this.#begin();
    if (dice > 0.995 && this.#isLiving) return await this.#endLives();
    if (this.#isCalm) return;
    if (dice < 0.97) {
      const shard = this.#upTo(2);
      this.#at[shard] = Math.max(0, (this.#at[shard] ?? 0) - this.#upTo(6));
      this.#tell('replay');
    } else if (dice < 0.995) {
      const target = this.#pick(this.#table.targets);
      if (target) await this.#opened.evict(await this.#innerOf(target), this.#upTo(4));
      this.#tell(`evict ${target?.kind === 'list' ? target.list : target?.key}`, 'evict');
    } else {
      await this.#opened.flush();
      this.#tell('flush');
    }
  }

  /** The target in the cache below the lives. */
  async #innerOf(target: LeaseTarget): Promise<LeaseTarget> {
    const [living] = this.#living;
    if (!living) return target;
    const named = async (name: string): Promise<string> => {
      const [view = ''] = name.split(':', 1);
      const life = (await living.lives()).get(view)?.life;
      return life === undefined ? name : `${view}.${life}${name.slice(view.length)}`;
    };
    return target.kind === 'list' ? { ...target, list: await named(target.list) } : { ...target, key: await named(target.key) };
  }

  /** Ends lives, as a worker without the views does, a resync, or an eviction of the register. */
  async #endLives(): Promise<void> {
    const how = this.#pick(['rollback', 'resync', 'eviction'] as const);
    if (how === 'eviction') await this.#opened.evict({ kind: 'document', key: REGISTER_KEY }, 0);
    else if (how === 'resync') await (this.#cache as LivingCache).start(this.#some(this.#views), { fresh: true });
    else await this.#livingCache({ views: this.#some(this.#views), askMs: ASK_MS, waitMs: WAIT_MS }).apply([]);
    this.#tell(`${how} of lives`);
  }

  /** One of them, or all. */
  #some<Each>(all: readonly Each[]): readonly Each[] {
    const one = this.#pick(all);
    return one !== undefined && this.#upTo(2) === 0 ? [one] : all;
  }

  #tell(what: string, count = what): void {
    this.story.push(`${this.#now} ${what}`);
    this.#tally.add(count);
  }

  #write(id: number, isRecorded: boolean): void {
    const calm = this.#isCalm;
    const step = {
      type: 'order',
      id,
      how: this.#pick(['replace', 'status', 'creator', 'rank', 'rank', 'listed', 'delete'] as const) ?? 'replace',
      day: 0,
      rank: this.#upTo(10),
      creator: this.#upTo(2),
      status: this.#upTo(14) === 0 ? 'cursed' : this.#upTo(30) === 0 ? 'large' : 'plain',
      curse: 3 + this.#upTo(2),
      largeItems: false,
      listed: this.#upTo(5) > 0,
    } as const;
    const old = this.#table.rows.get(itemOf({ ...orderKey(step) }))?.image;
    this.#record(orderKey(step), orderAfter(step, old, this.#table.clock, calm), isRecorded);
  }

  #record({ pk, sk }: { readonly pk: string; readonly sk: string }, image: Image | undefined, isRecorded = true): void {
    const written = this.#table.write({ pk, sk }, image);
    if (!written) return;
    const past = this.#past.get(written.item) ?? [];
    this.#past.set(written.item, [...past, { at: this.#now, image }]);
    if (isRecorded) this.#shards[Number(pk.at(-1)) % 2]?.push(written);
    for (const place of written.row?.projected ?? []) {
      if (place.kind === 'member') this.#members.set(place.list, new Set(this.#members.get(place.list)).add(place.member));
    }
    this.#tell(`${isRecorded ? 'write' : 'old'} ${written.item}: ${show(image)}`, 'write');
  }

  async #deliver(shard: number): Promise<void> {
    const written = this.#shards[shard]?.[this.#at[shard] ?? 0];
    if (!written) return;
    this.#at[shard] = (this.#at[shard] ?? 0) + 1;
    const cache = this.#pick(this.#workers) as CacheClient;
    const handler = streamHandler({ views: this.#buggy, cache, letters: this.#store, logger: SILENT, poisonRunLimit: 0 });
    await handler({ Records: [written.event] });
    this.#tell(`deliver ${written.item} ${written.number.slice(-3)}`, 'deliver');
  }

  async #drain(): Promise<void> {
    for (const shard of [0, 1]) while ((this.#at[shard] ?? 0) < (this.#shards[shard]?.length ?? 0)) await this.#deliver(shard);
  }

  async #lease(): Promise<void> {
    const target = this.#pick(this.#table.targets);
    if (!target) return;
    const [lease] = await this.#cache.lease([target]);
    if (lease) this.#readings.push({ lease, target });
  }

  /** A reader reads the table, or settles what it has read. */
  async #settle(): Promise<void> {
    const reading = this.#pick(this.#readings);
    if (!reading) return;
    if (!('read' in reading)) {
      reading.read = this.#table.find(reading.target, (row, view) => !this.#bug.mended && row.cursed.has(view));
      return;
    }
    this.#readings.splice(this.#readings.indexOf(reading), 1);
    if (!reading.read) return;
    const [settled] = await this.#cache.settle([{ lease: reading.lease, found: reading.read }]);
    this.#tell(`reader ${settled} ${reading.target.kind === 'list' ? reading.target.list : reading.target.key}`, `reader ${settled}`);
  }

  /** One call of a backfill goes on. Without a backfill, one begins. */
  async #goOn(): Promise<void> {
    const runs = this.#runs.filter(({ parked }) => parked.length > 0);
    const run = this.#pick(runs);
    if (!run) {
      if (this.#runs.every(({ isOver }) => isOver)) await this.#begin();
      return;
    }
    run.parked.splice(this.#upTo(run.parked.length), 1)[0]?.go();
    await this.#turn();
  }

  async #kill(): Promise<void> {
    const run = this.#pick(this.#runs.filter(({ isOver, isKilled }) => !isOver && !isKilled));
    if (!run) return;
    run.isKilled = true;
    for (const call of run.parked.splice(0)) {
      call.die();
      // It is on its way already. Another process goes on only after that; see `lateCallsMs`.
      if (this.#upTo(2) === 0) await call.land();
    }
    await this.#turn();
    this.#runs.splice(this.#runs.indexOf(run), 1);
    // Saving takes time, so a killed process may leave an earlier checkpoint.
    const text = run.saved[Math.max(0, run.saved.length - 1 - this.#upTo(3))];
    this.#tell(`kill ${run.name}`, 'kill');
    if (text !== undefined && this.#upTo(4) > 0) await this.#begin(text);
  }

  async #begin(text?: string): Promise<void> {
    if (text === undefined && this.#runs.length === 0) await this.#forget();
    this.#surveys += 1;
    const living = this.#isLiving ? (this.#cache as LivingCache) : undefined;
    const fresh = text === undefined && this.#upTo(4) === 0;
    const lives = living && idsOf(await living.start(this.#views, { fresh }));
    // Mostly it waits until they are usable, and nothing happens meanwhile.
    if (living && text === undefined && this.#upTo(4) > 0) this.#now += WAIT_MS / 1_000;
    const place = { tableArn: 'table', tableId: 'id', cache: 'cache', views: ['badge@1', 'latest@2'], segments: 2 };
    const from =
      text === undefined
        ? begin({ ...place, survey: `s${this.#surveys}`, begun: '2026-11-29T00:00:00Z', ...(lives && { lives }) })
        : parseCheckpoint(text, place);
    const run: Run = { name: from.survey, parked: [], isKilled: false, isOver: false, saved: [checkpointText(from)] };
    this.#runs.push(run);
    const hurried = this.#broken === 'usable' && living;
    const cache = hurried ? withLives(shifted(this.#opened.cache), { lagMs: 0, askMs: READ_ASK_MS, now: () => this.#time() }) : this.#cache;
    this.#tell(`${text === undefined ? 'begin' : 'resume'} ${run.name}`, text === undefined ? 'begin' : 'resume');
    void backfill({
      from,
      views: this.#buggy,
      cache: this.#cacheOf(run, cache),
      ...(living && !hurried && { checkLives: () => checkLives(living, from.lives, () => this.#time()) }),
      table: this.#tableOf(run),
      ...(this.#hasLetters && { letters: itemLetters({ store: this.#store, streamArn: STREAM_ARN, at: new Date(from.begun) }) }),
      listsInMemory: this.#upTo(2) === 0 ? 1 : 100,
      signal: new AbortController().signal,
      onCheckpoint: (checkpoint) => {
        run.saved.push(checkpointText(checkpoint));
      },
    }).then(
      (done) => this.#end(run, done),
      (error) => {
        run.isOver = true;
        if (error instanceof LifeEndedError) this.#tell(`${run.name} ends: ${error.message}`, 'life ended');
        else if (!(error instanceof Killed)) this.#faults.push(`a backfill failed: ${(error as Error).stack}`);
      },
    );
  }

  #end(run: Run, done: BackfillCheckpoint): void {
    run.isOver = true;
    this.#runs.splice(this.#runs.indexOf(run), 1);
    this.#tell(`end ${run.name}`, 'end');
    if (done.pass !== 'done') this.#faults.push(`a backfill ended in the pass ${done.pass}`);
    for (const pass of ['mark', 'fill', 'seal'] as const) {
      for (const counts of Object.values(passCounts(done, pass).views)) {
        for (const [what, times] of Object.entries(counts)) this.#tally.add(`${pass} ${what}`, times);
      }
    }
  }

  /** Waits until all that can go on has gone on. */
  async #turn(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.#underWay > 0);
  }

  async #park(run: Run, land: () => Promise<unknown> = async () => {}): Promise<void> {
    if (run.isKilled) throw new Killed();
    await new Promise<void>((resolve, reject) => run.parked.push({ go: resolve, die: () => reject(new Killed()), land }));
  }

  #imageAt(id: number, lag: number): Image | undefined {
    const from = this.#now - this.#upTo(lag + 1);
    return this.#past.get(itemOf({ ...orderKey({ id }) }))?.findLast(({ at }) => at <= from)?.image;
  }

  #tableOf(run: Run): ScannedTable {
    return {
      keys: ['pk', 'sk'],
      scan: async ({ segment, segments, after, consistent }) => {
        await this.#park(run);
        const ids = Array.from({ length: ITEMS }, (_, id) => id).filter((id) => id % segments === segment);
        const start = after ? ids.findIndex((id) => id > Number(attributesOf({ pk: after.pk }).pk?.toString().at(-1))) : 0;
        const page = start === -1 ? [] : ids.slice(start, start + 2);
        const isFresh = consistent && this.#broken !== 'consistent';
        const images = page.map((id) => this.#imageAt(id, isFresh ? 0 : consistent ? 4 * LAG : LAG));
        const last = page.at(-1);
        this.#tell(`${run.name} scans ${page}`, 'scan');
        return {
          items: images.flatMap((image) => (image ? [marshall(image)] : [])),
          units: 1,
          ...(last !== undefined && last !== ids.at(-1) && { next: marshall(orderKey({ id: last })) }),
        };
      },
      reading: async () => async (keys) => {
        if (keys.length === 0) return { answers: [], units: 0 };
        await this.#park(run);
        const answers = keys.map((key) => ({ item: this.#table.rows.get(itemOf(attributesOf(key)))?.image }));
        this.#tell(`${run.name} reads ${keys.length}`, 'read');
        return { answers, units: keys.length };
      },
    };
  }

  /** The cache as a backfill has it: each call waits, and some fail before or after they take effect. */
  #cacheOf(run: Run, cache: CacheClient): CacheClient {
    const call = async <T>(name: string, effect: () => Promise<T>): Promise<T> => {
      await this.#park(run, effect);
      const fate = this.#upTo(30);
      if (fate === 0) throw new CacheUnavailableError('before it took effect');
      this.#underWay += 1;
      const answer = await effect().finally(() => {
        this.#underWay -= 1;
      });
      this.#tell(`${run.name} ${name}${fate === 1 ? ', and gets no answer' : ''}`, name);
      if (fate === 1) throw new CacheUnavailableError('after it took effect');
      return answer;
    };
    return {
      ...cache,
      list: (list, query) => call('list', () => cache.list(list, query)),
      getOrLease: (keys) => call('getOrLease', () => cache.getOrLease(keys)),
      settle: (fills) =>
        call('settle', async () => await cache.settle(this.#broken === 'lease-first' ? await leasedLate(cache, fills) : fills)),
      mark: (lists, survey) =>
        call('mark', async () => {
          const before = await Promise.all(lists.map(({ list }) => cache.list(list, { limit: 1 })));
          await cache.mark(lists, survey);
          for (const [i, { list }] of lists.entries()) {
            if (before[i]?.members.length === 0) continue;
            const { members } = await cache.list(list, { limit: 1 });
            if (members.length === 0) this.#tell(`${run.name} marks ${list} afresh`, 'afresh');
          }
        }),
      fill: (lists, survey) =>
        call('fill', async () => {
          if (this.#broken === 'mark-fill') {
            await cache.mark(lists, survey);
          }
          return await cache.fill(lists, survey);
        }),
      seal: (lists, survey) =>
        call('seal', async () => {
          if (this.#broken === 'mark-seal')
            await cache.mark(
              lists.map((list) => ({ list, keep: this.#table.lists.get(list)?.keep ?? 1 })),
              survey,
            );
          const sealed = await cache.seal(lists, survey);
          for (const [i, list] of lists.entries()) if (sealed[i] === 'settled') await this.#checkSealed(cache, list);
          return sealed;
        }),
    };
  }

  /** Without a backfill under way, members of lists may be forgotten: the next one completes the lists nevertheless. */
  async #forget(): Promise<void> {
    for (const written of this.#table.written.values()) {
      if (this.#upTo(6) > 0 || this.#table.rows.get(written.item) !== written.row) continue;
      const { version } = decodeRecord(written.event, 0);
      const members = (written.row?.projected ?? []).filter((place) => place.kind === 'member');
      const mutations = members.map(
        ({ list, keep, member, score }) => ({ kind: 'member', type: 'forget', list, keep, member, score, version }) as const,
      );
      if (mutations.length === 0) continue;
      await this.#workers[0]?.apply(mutations);
      this.#tell(`forget ${written.item} in lists`, 'forget');
    }
  }

  /** A list that had never more than `keep` members, and of which nothing was forgotten since the mark, is complete as soon as it is sealed. */
  async #checkSealed(cache: CacheClient, list: string): Promise<void> {
    const { complete } = await cache.list(list, { limit: 100 });
    this.#tally.add(complete ? 'sealed complete' : 'sealed incomplete');
    const { keep = 0 } = this.#table.lists.get(list) ?? {};
    if (this.#isCalm && (this.#members.get(list)?.size ?? 0) <= keep && !complete) this.#faults.push(`${list} is sealed, and not complete`);
  }

  async #comeToRest(): Promise<void> {
    for (let i = 0; i < 10_000 && this.#runs.some(({ isOver }) => !isOver); i += 1) {
      if (this.#upTo(40) === 0) await this.#deliver(this.#upTo(2));
      await this.#goOn();
    }
    this.#runs.splice(0);
    await this.#know();
    await this.#drain();
    while (this.#readings.length > 0) await this.#settle();
  }

  async #redrive(): Promise<void> {
    const table = {
      read: async (_: string, keys: readonly Parameters<typeof attributesOf>[0][]) =>
        keys.map((key) => ({ item: this.#table.rows.get(itemOf(attributesOf(key)))?.image })),
    };
    const { letters } = await redrive({ views: this.#buggy, cache: this.#cache, store: this.#store, table, filter: {} });
    for (const { status, causes } of letters) {
      this.#tally.add(`letter ${status}`);
      if (causes.some(({ stage }) => stage !== 'rejected')) this.#faults.push(`a letter is kept: ${causes[0]?.error.message}`);
    }
  }

  /** Where the cache is wrong: a hit, a `gone` or a complete page that differs from the table. */
  async #differences(when: string): Promise<readonly string[]> {
    const found: string[] = [];
    const told = new Set<string>();
    for (const text of this.#store.texts.values()) {
      for (const { dynamodb } of parseLetter(text).event.Records) told.add(itemOf(attributesOf(dynamodb?.Keys ?? {})));
    }
    // A letter may be of an item that the cache has not heard of yet.
    const isUnheard = (item: string, view: string): boolean => {
      const row = this.#table.rows.get(item);
      return !this.#bug.mended && row !== undefined && isCursed(view, row.image) && told.has(item);
    };
    for (const [key, { view, item }] of this.#table.documents) {
      const lookup: Lookup = await this.#cache.get(key);
      const json = this.#table.documentAt(key)?.json;
      this.#tally.add(lookup.type);
      if (lookup.type === 'hit' && JSON.stringify(lookup.value) !== json)
        found.push(`${key} is ${JSON.stringify(lookup.value)}, not ${json}`);
      if (lookup.type === 'gone' && json !== undefined && !isUnheard(item, view)) found.push(`${key} is gone, not ${json}`);
    }
    for (const [list, { view, keep }] of this.#table.lists) {
      for (const query of [{ limit: 1 }, { limit: 3 }, { limit: 2, order: 'asc' }] as const) {
        found.push(
          ...(await listDifferences(this.#cache, list, query, {
            keep,
            members: this.#table.membersOf(list),
            isWrong: (_, wanted, isEqual) => !isEqual || (wanted !== undefined && isUnheard(wanted.row.item, view)),
            mayLack: ({ row }) => isUnheard(row.item, view),
            onPage: (isComplete) => this.#tally.add(isComplete ? 'complete' : 'incomplete'),
          })),
        );
      }
    }
    return found.map((fault) => `${when}: ${fault}`);
  }
}

async function leasedLate(cache: CacheClient, fills: readonly Fill[]): Promise<readonly Fill[]> {
  const leases = await cache.lease(fills.map(({ lease }) => lease.target));
  return fills.map(({ found }, i) => ({ found, lease: leases[i] as Lease }));
}

/** A cache in which lives seem to begin `WAIT_MS` before they do. */
function shifted(cache: CacheClient): CacheClient {
  return {
    ...cache,
    async get(key) {
      const lookup = await cache.get(key);
      if (key !== REGISTER_KEY || lookup.type !== 'hit') return lookup;
      const { lives, written } = registerIn(lookup.value);
      const early = new Map(
        [...lives].map(([view, life]) => [view, { ...life, ...(life.from !== undefined && { from: life.from - WAIT_MS }) }]),
      );
      return { ...lookup, value: JSON.parse(registerText({ lives: early, written })) };
    },
  };
}
