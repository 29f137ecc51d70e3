import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient, Found, Lease, LeaseTarget } from '../../../src/cache.ts';
import { momentoCache } from '../../../src/caches/momento.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import type { Mutation } from '../../../src/mutation.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { versionOf } from '../../../src/version.ts';
import { type Fault, late, lostReply, type MomentoServer, startMomentoServer, unavailable } from '../../servers/momento/server.ts';

/**
 * The environment variables MOMENTO_HISTORIES and SEED set the number of histories and the first seed. The order of concurrent calls varies
 * all the same.
 */
const HISTORIES = Number(process.env.MOMENTO_HISTORIES ?? 24);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const CACHE = 'stress';
const KEEP = 3;
const ITEMS = 7;
const SCORES = 10;
const GROUPS = 2;
/** The greatest age of a stale read, ms. */
const LAG_MS = 15;
const AT_ONCE = 8;

interface Item {
  readonly score: number;
  readonly group: number;
  readonly listed: boolean;
  readonly value: string;
}

interface Change {
  readonly id: number;
  readonly before?: Item | undefined;
  readonly after?: Item | undefined;
  readonly clock: number;
}

/**
 * - `stragglers`: old records are replayed while newer ones are written; nothing is evicted.
 * - `losses`: documents and lists are evicted, and readers fill them; records are replayed in order.
 *
 * Timed-out writes arrive late in both.
 */
type Mode = 'stragglers' | 'losses';

type Random = () => number;

/** A table with two shards, and its writers, readers and evictions, all at the same time. */
class World {
  readonly #table = new Map<number, Item>();
  readonly #shards: readonly Change[][] = [[], []];
  readonly #name: string;
  readonly #mode: Mode;
  readonly #random: Random;
  readonly #clients: readonly CacheClient[];
  readonly #server: MomentoServer;
  #clock = 0;
  #written = false;
  #drained = 0;
  readonly #delivered = new Map<readonly Change[], number>();
  readonly tally = { hit: 0, gone: 0, complete: 0, settled: 0, lost: 0, repeated: 0 };

  constructor(name: string, mode: Mode, random: Random, clients: readonly CacheClient[], server: MomentoServer) {
    [this.#name, this.#mode, this.#random, this.#clients, this.#server] = [name, mode, random, clients, server];
  }

  async live(): Promise<void> {
    const losses = this.#mode === 'losses' ? [this.#fill(), this.#fill(), this.#evict()] : [];
    await Promise.all([this.#write(), ...this.#shards.map((shard) => this.#deliver(shard)), ...losses]);
    await sleep(LAG_MS + 5);
  }

  /** Compares all that the cache claims with the table. Returns the differences. */
  async faults(): Promise<string[]> {
    const found: string[] = [];
    const keys = range(ITEMS).map((id) => this.#document(id));
    for (const [n, client] of this.#clients.entries()) {
      for (const [id, lookup] of (await client.getMany(keys)).entries()) {
        const item = this.#table.get(id);
        if (lookup.type !== 'miss') this.tally[lookup.type] += 1;
        if (lookup.type === 'hit' && lookup.value !== item?.value) found.push(`${n}: ${id} is ${lookup.value}, not ${item?.value}`);
        if (lookup.type === 'gone' && item) found.push(`${n}: ${id} is gone, not ${item.value}`);
      }
      for (const list of this.#lists()) found.push(...(await this.#listFaults(client, list)));
    }
    return found;
  }

  /** Returns the items that are a miss although they were written. Without evictions there must be none. */
  async gaps(): Promise<string[]> {
    const touched = range(ITEMS).filter((id) => this.#shards.flat().some((change) => change.id === id));
    const lookups = await (this.#clients[0] as CacheClient).getMany(touched.map((id) => this.#document(id)));
    return lookups.flatMap(({ type }, i) => (type === 'miss' ? [`${touched[i]} is a miss`] : []));
  }

  async fillQuietly(): Promise<string[]> {
    const found: string[] = [];
    const client = this.#pick(this.#clients);
    for (const target of this.#targets()) {
      const read = async () => {
        const lease = await leaseOn(client, target);
        return await settleOn(client, lease, this.#read(target));
      };
      // A stale read may return the lease before the last one.
      let outcome = await read();
      for (let tries = 0; outcome === 'lost' && tries < 20; tries += 1) {
        await sleep(LAG_MS);
        outcome = await read();
      }
      if (outcome !== 'settled') found.push(`a quiet fill of ${JSON.stringify(target)} is lost`);
    }
    await sleep(LAG_MS + 5);
    return found;
  }

  async #write(): Promise<void> {
    for (let n = 20 + this.#upTo(30); n > 0; n -= 1) {
      const id = this.#upTo(ITEMS);
      const before = this.#table.get(id);
      this.#clock += 1;
      const fresh = { score: this.#upTo(SCORES), group: this.#upTo(GROUPS), listed: this.#random() < 0.8, value: `v${this.#clock}` };
      const kept = before && this.#random() < 0.5 ? { ...fresh, score: before.score, group: before.group } : fresh;
      const after = before && this.#random() < 0.25 ? undefined : kept;
      if (after) this.#table.set(id, after);
      else this.#table.delete(id);
      this.#shards[id % 2]?.push({ id, before, after, clock: this.#clock });
      // Lets the stream fall behind, by a different number of records each time.
      for (const backlog = this.#upTo(8); this.#backlog > backlog; ) await sleep(1);
    }
    this.#written = true;
  }

  get #backlog(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.length - (this.#delivered.get(shard) ?? 0), 0);
  }

  /** Delivers a shard's records in order, each through any client; sometimes starts again at an older record. */
  async #deliver(shard: readonly Change[]): Promise<void> {
    const zombies: Promise<void>[] = [];
    for (let at = 0; at < shard.length || !this.#written; ) {
      const batch = shard.slice(at, at + 1 + this.#upTo(4));
      if (batch.length === 0) {
        await sleep(1);
        continue;
      }
      // Applies records of one item in order, and of different items at the same time.
      const items = new Set(batch.map(({ id }) => id));
      await Promise.all([...items].map((item) => this.#applyInOrder(batch.filter(({ id }) => id === item))));
      at += batch.length;
      this.#delivered.set(shard, Math.max(at, this.#delivered.get(shard) ?? 0));
      if (this.#mode === 'stragglers' && this.#random() < 0.3) zombies.push(this.#applyInOrder([this.#pick(shard.slice(0, at))]));
      if (this.#mode === 'losses' && this.#random() < 0.2) at -= Math.min(at, this.#upTo(8));
    }
    await Promise.all(zombies);
    this.#drained += 1;
  }

  async #applyInOrder(changes: readonly Change[]): Promise<void> {
    for (const change of changes) {
      const mutations = this.#mutationsOf(change);
      for (let client = this.#pick(this.#clients); ; client = this.#pick(this.#clients)) {
        try {
          await client.apply(mutations);
          break;
        } catch (error) {
          if (!(error instanceof CacheUnavailableError)) throw error;
          this.tally.repeated += 1;
        }
      }
    }
  }

  /** Readers that take a lease, read and settle, with any time in between. */
  async #fill(): Promise<void> {
    const readers: { readonly lease: Lease; found?: Found }[] = [];
    const settle = async ({ lease, found }: (typeof readers)[number]) => {
      if (found) this.tally[await settleOn(this.#pick(this.#clients), lease, found)] += 1;
    };
    while (this.#drained < this.#shards.length) {
      await sleep(this.#upTo(3));
      const dice = this.#random();
      if (dice < 0.4 || readers.length === 0) {
        const lease = await leaseOn(this.#pick(this.#clients), this.#pick(this.#targets()));
        readers.push({ lease, ...(dice < 0.2 && { found: this.#read(lease.target) }) });
      } else if (dice < 0.7) {
        const reader = this.#pick(readers);
        reader.found ??= this.#read(reader.lease.target);
      } else await Promise.all(readers.splice(this.#upTo(readers.length), 1).map(settle));
    }
    for (const reader of readers) await settle(reader);
  }

  async #evict(): Promise<void> {
    while (this.#drained < this.#shards.length) {
      await sleep(this.#upTo(80));
      const target = this.#pick(this.#targets());
      this.#server.evict(CACHE, target.kind === 'list' ? `millrace:list:${target.list}` : `millrace:doc:${target.key}`);
    }
  }

  #mutationsOf({ id, before, after, clock }: Change): Mutation[] {
    const version = versionOf('2026-11-22T03:01:52.091', String(clock));
    const document = { kind: 'document', key: this.#document(id), version } as const;
    const [was, is] = [this.#entries(before), this.#entries(after)];
    const common = (list: string) => ({ kind: 'member', list, member: `m${id}`, keep: KEEP, version }) as const;
    return [
      after ? { ...document, type: 'put', json: JSON.stringify(after.value) } : { ...document, type: 'delete' },
      ...[...was].filter(([list]) => !is.has(list)).map(([list, score]): Mutation => ({ ...common(list), type: 'delete', score })),
      ...[...is].map(([list, score]): Mutation => {
        return { ...common(list), type: 'put', score, from: was.get(list), json: JSON.stringify(after?.value) };
      }),
    ];
  }

  #entries(item: Item | undefined): Map<string, number> {
    return new Map(item?.listed ? [this.#list('all'), this.#list(item.group)].map((list) => [list, item.score]) : []);
  }

  #read(target: LeaseTarget): Found {
    if (target.kind === 'document') {
      const item = this.#table.get(Number(target.key.split(' ').at(-1)));
      return { kind: 'document', ...(item && { json: JSON.stringify(item.value) }) };
    }
    const all = this.#membersOf(target.list);
    const newest = all.slice(0, KEEP).map(({ member, score, value }) => ({ member, score, json: JSON.stringify(value) }));
    return { kind: 'list', newest, next: all[KEEP]?.score };
  }

  #membersOf(list: string) {
    const members = [...this.#table].filter(([, item]) => this.#entries(item).has(list));
    return members.map(([id, { score, value }]) => ({ member: `m${id}`, score, value })).sort((a, b) => b.score - a.score);
  }

  async #listFaults(client: CacheClient, list: string): Promise<string[]> {
    const found: string[] = [];
    const all = this.#membersOf(list);
    for (const limit of [...range(KEEP).map((n) => n + 1), 100]) {
      const { members, complete } = await client.list(list, { limit });
      if (members.length > KEEP) found.push(`${list} has ${members.length} members`);
      for (const { member, score, value } of members) {
        const item = all.find((it) => it.member === member);
        if (item?.score !== score || item.value !== value)
          found.push(`${list} shows ${member} as ${value} at ${score}, not ${item?.value}`);
      }
      if (!complete) continue;
      this.tally.complete += 1;
      const last = members.length === limit ? (members.at(-1)?.score ?? 0) : -Infinity;
      for (const { member, score } of all) {
        if (score > last && !members.some((it) => it.member === member)) found.push(`${list}, ${limit}: complete, and lacks ${member}`);
      }
    }
    return found;
  }

  #targets(): LeaseTarget[] {
    const documents = range(ITEMS).map((id) => ({ kind: 'document', key: this.#document(id) }) as const);
    // Lists twice, because more can go wrong with them.
    const lists = this.#lists().map((list) => ({ kind: 'list', list, keep: KEEP }) as const);
    return [...documents, ...lists, ...lists];
  }

  #lists = () => ['all', ...range(GROUPS)].map((name) => this.#list(name));
  #list = (name: string | number) => `${this.#name} list ${name}`;
  #document = (id: number) => `${this.#name} document ${id}`;
  #upTo = (n: number) => Math.floor(this.#random() * n);
  #pick = <T>(from: readonly T[]): T => from[this.#upTo(from.length)] as T;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('several writers and readers of a Momento that lags, refuses calls and loses replies', () => {
  let server: MomentoServer;
  beforeAll(async () => {
    server = await startMomentoServer({
      caches: [CACHE],
      casMixing: 'reject',
      staleReads: { probability: 0.3, withinMs: LAG_MS, writes: 3 },
    });
  });
  afterAll(async () => {
    await server.stop();
  });

  /** Runs histories, several at the same time, each group with its own clients. */
  async function histories(mode: Mode): Promise<void> {
    const fates = generator(SEED);
    const commandTimeoutMs = mode === 'stragglers' ? 150 : 600;
    const strikes = (): Fault | undefined => {
      const dice = fates();
      if (dice < 0.03) return unavailable();
      if (dice < 0.06) return lostReply();
      // Arrives after the command timeout, when its writer has written again.
      if (dice < 0.065) return late(commandTimeoutMs * 1.1 + fates() * 400);
      return dice < 0.4 ? late(fates() * 6, fates() < 0.5 ? 'before' : 'after') : undefined;
    };
    const total = { hit: 0, gone: 0, complete: 0, settled: 0, lost: 0, repeated: 0 };
    const wrong: string[] = [];
    let next = 0;
    const lane = async () => {
      const access = { kind: 'local', host: server.host, port: server.port } as const;
      const options = { access, cacheName: CACHE, commandTimeoutMs, deadlineMs: 30_000 };
      // The third client's memo holds almost nothing.
      const clients = await Promise.all([2 ** 20, 2 ** 20, 1_500].map((memoBytes) => momentoCache({ ...options, memoBytes })));
      while (next < HISTORIES) {
        const seed = SEED + next;
        next += 1;
        const world = new World(`${mode} ${seed}`, mode, generator(seed), clients, server);
        await world.live();
        const faults = await world.faults();
        if (mode === 'stragglers') faults.push(...(await world.gaps()));
        else faults.push(...(await world.fillQuietly()), ...(await world.faults()));
        if (faults.length > 0) wrong.push(`seed ${seed}: ${faults.slice(0, 3).join('; ')}`);
        for (const [what, times] of Object.entries(world.tally)) total[what as keyof typeof total] += times;
      }
      await Promise.all(clients.map((client) => client.close()));
    };
    server.onCall(strikes);
    await Promise.all(range(AT_ONCE).map(lane));
    server.onCall(undefined);
    console.log(`${mode}: ${HISTORIES} histories from SEED=${SEED}, ${wrong.length} wrong; ${JSON.stringify(total)}`);
    expect(wrong).toEqual([]);
    // Fails if too little happened for the test to mean anything.
    const happens = mode === 'losses' ? (['hit', 'gone', 'complete', 'settled', 'lost'] as const) : (['hit', 'gone'] as const);
    for (const what of happens) expect(total[what], what).toBeGreaterThan(HISTORIES);
  }

  const timeout = 120_000 + HISTORIES * 5_000;
  it('never leaves an older version in place of a newer one, with old records and late writes', { timeout }, () => histories('stragglers'));

  it('never claims what the table does not have, with evictions, fills and late writes', { timeout }, () => histories('losses'));
});
