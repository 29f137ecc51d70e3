import type { CacheClient, Fill, Lease } from '../../src/cache.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { type StreamAnswer, streamHandler } from '../../src/handlers/stream-handler.ts';
import { REGISTER_KEY } from '../../src/lives/register.ts';
import { type LivesOptions, type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { APPLIED, type Outcome } from '../../src/mutation.ts';
import { documentView, entity } from '../../src/view.ts';
import type { Opened } from './world/backend.ts';

/**
 * The rules of lives. A world without one of them must go wrong:
 *
 * - `ask-again`: a worker asks again for the lives.
 * - `new-life`: a view that was ended starts a new life under a new id.
 * - `end`: code without the view ends its life.
 * - `forget`: what changes between the start of a life and its first use is forgotten, because the clock of another worker may be ahead.
 * - `write-wait`, `read-wait`: a life is not written, or not read and filled, until every worker must know of it.
 */
export type Rule = 'ask-again' | 'new-life' | 'end' | 'write-wait' | 'forget' | 'read-wait';

const STEP_MS = 1_000;
const ASK_MS = 12_000;
const READ_ASK_MS = 5_000;
/** Clocks differ by this much at most, from the true time. */
const SKEW_MS = 2_500;
const WAIT_MS = ASK_MS + 2 * SKEW_MS + 1;
/** The longest invocation, steps. */
const RUN = 4;
/** No hit is older than what was delivered earlier than this, ms: the readers' interval, and the difference of two clocks. */
const BOUND_MS = READ_ASK_MS + 2 * SKEW_MS + STEP_MS;
const ITEMS = 3;
const VIEW = 'thing@1';
const LABEL = '2026-11-01T09:00:00.123';
const SILENT = { info() {}, warn() {}, error() {} };

const thing = entity({
  name: 'thing',
  owns: ({ pk }) => String(pk).startsWith('thing#'),
  schema: { parse: (item) => item as { pk: string; n: number } },
});
const stranger = entity({ name: 'stranger', owns: () => false, schema: { parse: () => ({}) } });
const view = documentView({ name: 'thing', revision: 1, entity: thing, project: ({ pk, n }) => [{ key: pk, value: n }] });
const other = documentView({ name: 'other', revision: 1, entity: stranger, project: () => [] });

const keyOf = (item: number): string => `${VIEW}:thing#${item}`;

interface Environment {
  readonly has: boolean;
  readonly handler: ReturnType<typeof streamHandler>;
  readonly living: LivingCache;
  busy: boolean;
  /** Holds the next call of the inner cache. */
  hold(): { readonly reached: Promise<void>; release(fails: boolean): void };
}

interface Invocation {
  readonly environment: Environment;
  readonly answer: Promise<StreamAnswer>;
  readonly ends: number;
  release(fails: boolean): void;
}

interface Reader {
  readonly cache: LivingCache;
}

export interface Counts {
  hits: number;
  restHits: number;
  skipped: number;
  lives: number;
}

/**
 * One history of deployments, rollbacks, canaries, frozen and thawed environments, slow and failing invocations, readers, fills and evictions. It goes
 * through the real handler. Returns what went wrong; `undefined` if nothing did.
 */
export async function liveThrough(seed: number, opened: Opened, counts: Counts, without?: Rule): Promise<string | undefined> {
  const random = generator(seed);
  const upTo = (n: number): number => Math.floor(random() * n);
  const story: string[] = [];
  let steps = 0;
  let clock = 0;
  const time = (): number => 1_796_000_000_000 + steps * STEP_MS;
  const table = new Map<number, number>();
  const shards: number[][] = Array.from({ length: ITEMS }, () => []);
  const at = shards.map(() => 0);
  const busy: (Invocation | undefined)[] = shards.map(() => undefined);
  const delivered: { n: number; at: number }[][] = shards.map(() => []);
  const livings: LivingCache[] = [];
  const innerKeys = new Set<string>();
  let environments: Environment[] = [];
  let [fresh, mixed] = [true, false];
  const fills: { lease: Lease; item: number; reader: Reader; read?: number }[] = [];
  const lives = new Set<string>();

  const living = (inner: CacheClient, options: LivesOptions): LivingCache => {
    const skew = (random() * 2 - 1) * SKEW_MS;
    const made = withLives({ ...inner, close: async () => {} }, { lagMs: 0, now: () => time() + skew, ...options });
    livings.push(made);
    return made;
  };
  const start = (has: boolean): Environment => {
    let gate: { reach(): void; readonly opened: Promise<boolean> } | undefined;
    const inner: CacheClient = {
      ...opened.cache,
      async apply(mutations) {
        for (const mutation of mutations) if (mutation.kind === 'document') innerKeys.add(mutation.key);
        if (gate) {
          gate.reach();
          if (await gate.opened) throw new CacheUnavailableError('the call failed');
        }
        return await opened.cache.apply(mutations);
      },
    };
    const cache = living(altered(inner, without), {
      // Without the rule "end", code without the view is no worker.
      ...((has || without !== 'end') && { views: has ? [view, other] : [other] }),
      askMs: without === 'ask-again' ? Number.MAX_VALUE : ASK_MS,
      waitMs: without === 'write-wait' ? 0 : WAIT_MS,
    });
    const handler = streamHandler({
      views: has ? [view, other] : [other],
      cache,
      logger: SILENT,
      retries: { forMs: 0 },
      retention: false,
      metrics: ({ skipped }) => {
        counts.skipped += skipped;
      },
    });
    const environment: Environment = {
      has,
      handler,
      living: cache,
      busy: false,
      hold() {
        let [reach, release] = [(): void => {}, (_: boolean): void => {}];
        const reached = new Promise<void>((resolve) => {
          reach = resolve;
        });
        const released = new Promise<boolean>((resolve) => {
          release = resolve;
        });
        gate = { reach, opened: released };
        return {
          reached,
          release(fails) {
            gate = undefined;
            release(fails);
          },
        };
      },
    };
    environments.push(environment);
    return environment;
  };
  const begin = async (shard: number): Promise<void> => {
    const n = shards[shard]?.[at[shard] as number];
    if (n === undefined || busy[shard]) return;
    const has = mixed ? random() < 0.5 : fresh;
    const warm = environments.filter((environment) => environment.has === has && !environment.busy);
    let environment = warm[upTo(warm.length)];
    if (!environment || random() < 0.2) environment = start(has);
    environment.busy = true;
    const { reached, release } = environment.hold();
    const answer = environment.handler({ Records: [recordOf(shard, n)] });
    busy[shard] = { environment, answer, release, ends: steps + 1 + upTo(RUN) };
    story.push(`${steps}: ${n} of item ${shard} begins in code ${has ? 'with' : 'without'} the view`);
    await Promise.race([reached, answer]);
  };
  const finish = async (shard: number): Promise<void> => {
    const { environment, answer, release } = busy[shard] as Invocation;
    const dice = random();
    release(dice < 0.05);
    const { batchItemFailures } = await answer;
    environment.busy = false;
    busy[shard] = undefined;
    // Below 0.1 the answer is lost, and the stream delivers again.
    if (batchItemFailures.length > 0 || dice < 0.1) return;
    const n = shards[shard]?.[at[shard] as number] as number;
    at[shard] = (at[shard] as number) + 1;
    delivered[shard]?.push({ n, at: time() });
    story.push(`${steps}: ${n} of item ${shard} is done`);
  };
  const step = async (): Promise<void> => {
    steps += 1;
    for (const [shard, invocation] of busy.entries()) if (invocation && steps >= invocation.ends) await finish(shard);
  };
  const readers: Reader[] = [0, 1].map(() => ({
    cache: living(without === 'read-wait' ? shifted(opened.cache) : opened.cache, { askMs: READ_ASK_MS }),
  }));
  const read = async (reader: Reader, item: number): Promise<string | undefined> => {
    const [answer] = await reader.cache.getOrLease([keyOf(item)]);
    if (answer?.type === 'hit') {
      counts.hits += 1;
      const value = Number(answer.value);
      const told = delivered[item]?.findLast((one) => time() - one.at > BOUND_MS);
      if (told && value < told.n)
        return `step ${steps}: a hit of ${value} of item ${item}, though ${told.n} was delivered ${time() - told.at} ms before`;
    } else if (answer?.type === 'miss') {
      const fill = { lease: answer.lease, item, reader };
      if (random() < 0.5) await settle({ ...fill, read: table.get(item) ?? 0 });
      else fills.push(fill);
    }
    return undefined;
  };
  const fillOn = async (): Promise<void> => {
    const [fill] = fills.splice(upTo(fills.length), 1);
    if (!fill) return;
    if (fill.read === undefined) fills.push({ ...fill, read: table.get(fill.item) ?? 0 });
    else await settle({ ...fill, read: fill.read });
  };
  const settle = async (fill: { lease: Lease; item: number; reader: Reader; read: number }): Promise<void> => {
    const all: Fill[] = [{ lease: fill.lease, found: { kind: 'document', json: String(fill.read) } }];
    const [settled] = await fill.reader.cache.settle(all);
    story.push(`${steps}: a fill of item ${fill.item} with ${fill.read}: ${settled}`);
  };
  const live = async (): Promise<string | undefined> => {
    for (let left = 60 + upTo(120); left > 0; left -= 1) {
      await step();
      const dice = random();
      if (dice < 0.2) {
        const item = upTo(ITEMS);
        clock += 1;
        table.set(item, clock);
        shards[item]?.push(clock);
      } else if (dice < 0.5) await begin(upTo(ITEMS));
      else if (dice < 0.7) {
        const fault = await read(readers[upTo(2)] as Reader, upTo(ITEMS));
        if (fault) return fault;
      } else if (dice < 0.9) await fillOn();
      else if (dice < 0.93) [fresh, mixed] = [random() < 0.6, random() < 0.4];
      else if (dice < 0.96) {
        story.push(`${steps}: the register is evicted`);
        await opened.evict({ kind: 'document', key: REGISTER_KEY }, 0);
      } else if (dice < 0.98) {
        const key = [...innerKeys][upTo(innerKeys.size)];
        if (key !== undefined) await opened.evict({ kind: 'document', key }, 0);
      } else environments = environments.filter((environment) => environment.busy || random() < 0.7);
    }
    [fresh, mixed] = [true, false];
    for (let left = 400; left > 0 && shards.some((shard, i) => busy[i] || (at[i] as number) < shard.length); left -= 1) {
      await step();
      await begin(upTo(ITEMS));
    }
    while (fills.length > 0) await fillOn();
    steps += (WAIT_MS + READ_ASK_MS) / STEP_MS + 2;
    for (let item = 0; item < ITEMS; item += 1) {
      const answer = await readers[0]?.cache.get(keyOf(item));
      if (answer?.type !== 'hit') continue;
      counts.restHits += 1;
      if (answer.value !== (table.get(item) ?? 0))
        return `at rest: a hit of ${answer.value} of item ${item}, and the table has ${table.get(item)}`;
    }
    return undefined;
  };
  try {
    const fault = await live();
    for (const one of livings) for (const { life } of (await one.lives()).values()) lives.add(life);
    counts.lives += lives.size;
    return fault && `seed ${seed}: ${fault}\n  ${story.join('\n  ')}`;
  } finally {
    for (const invocation of busy) {
      invocation?.release(true);
      await invocation?.answer;
    }
    await Promise.all(livings.map((one) => one.close()));
  }
}

/** A cache for workers, without one rule. */
function altered(cache: CacheClient, without: Rule | undefined): CacheClient {
  if (without === 'write-wait') return shifted(cache);
  if (without === 'forget') return withoutForgets(cache);
  if (without !== 'new-life') return cache;
  return withRegister(
    cache,
    (entry) => entry,
    (entry) => ({ ...entry, life: 'always' }),
  );
}

/** No view of this world throws, so only lives forget. */
function withoutForgets(cache: CacheClient): CacheClient {
  return {
    ...cache,
    async apply(mutations) {
      const outcomes = (await cache.apply(mutations.filter(({ type }) => type !== 'forget'))).values();
      return mutations.map(({ type }): Outcome => (type === 'forget' ? APPLIED : (outcomes.next().value as Outcome)));
    },
  };
}

/** A cache where lives seem to begin `WAIT_MS` before they do. */
function shifted(cache: CacheClient): CacheClient {
  const by = (ms: number) => (entry: Entry) => ({ ...entry, ...(entry.from !== undefined && { from: entry.from + ms }) });
  return withRegister(cache, by(-WAIT_MS), by(WAIT_MS));
}

interface Entry {
  readonly life: string;
  readonly from?: number;
}

function withRegister(cache: CacheClient, read: (entry: Entry) => Entry, write: (entry: Entry) => Entry): CacheClient {
  const each = (value: object, change: (entry: Entry) => Entry): object => {
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, name === 'written' ? entry : change(entry as Entry)]));
  };
  return {
    ...cache,
    async get(key) {
      const lookup = await cache.get(key);
      return key !== REGISTER_KEY || lookup.type !== 'hit' ? lookup : ({ ...lookup, value: each(lookup.value as object, read) } as never);
    },
    async settle(fills) {
      return await cache.settle(
        fills.map((fill) => {
          const { lease, found } = fill;
          if (lease.target.kind !== 'document' || lease.target.key !== REGISTER_KEY || found.kind !== 'document') return fill;
          return { lease, found: { kind: 'document', json: JSON.stringify(each(JSON.parse(found.json as string), write)) } };
        }),
      );
    },
  };
}

function recordOf(item: number, n: number) {
  const Keys = { pk: { S: `thing#${item}` } };
  return {
    eventID: String(n),
    eventName: 'INSERT' as const,
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: 'eu-central-1',
    eventSourceARN: `arn:aws:dynamodb:eu-central-1:123456789012:table/things/stream/${LABEL}`,
    dynamodb: {
      Keys,
      NewImage: { ...Keys, n: { N: String(n) } },
      SequenceNumber: String(n),
      StreamViewType: 'NEW_AND_OLD_IMAGES' as const,
    },
  };
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function generator(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
