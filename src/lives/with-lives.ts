import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CacheClient,
  type Fill,
  type Lease,
  type LeaseTarget,
  type LookupOrLease,
  type MarkedList,
  MISS,
  parseQuery,
  type Settled,
} from '../cache.ts';
import {
  checkFills,
  checkKeys,
  checkListName,
  checkMarked,
  checkMutations,
  checkSurvey,
  checkSurveyed,
  checkTargets,
} from '../caches/arguments.ts';
import { CacheUnavailableError } from '../errors.ts';
import { forgetInstead, MAX_KEY_BYTES, type Mutation, nameFault, type Outcome } from '../mutation.ts';
import { type View, viewName } from '../view.ts';
import { type Life, LONGEST_WAIT_MS, nextLife, REGISTER_KEY, type Register, registerIn, registerText } from './register.ts';

export interface LivesOptions {
  /**
   * The views of a worker's code, all of them. The worker starts their lives, and ends those of all other views. Default: this is no worker, and it
   * starts and ends none.
   */
  readonly views?: readonly Pick<View, 'name' | 'revision'>[];
  /**
   * The time from the start of a life to its first use, ms; at most an hour. It must be longer than `askMs` of every worker, by the greatest difference
   * of two clocks. 0: no other worker runs. Default: 90,000, for 60 s and a difference of 30 s.
   */
  readonly waitMs?: number;
  /** A call asks for the lives first if it knows of them for longer than this, ms. Default: 60,000 for a worker, else 5,000. */
  readonly askMs?: number;
  /**
   * How long a read of the cache may lag behind a write, ms. So long a worker waits between its lease on the register and the read. Default: 50, for
   * Momento.
   */
  readonly lagMs?: number;
  /** ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** A cache whose views have lives. */
export interface LivingCache extends CacheClient {
  /** Returns the lives of the views, by their names: `detail@1`. A life is usable from `from` on. */
  lives(): Promise<ReadonlyMap<string, Life>>;

  /**
   * Starts a life for each of these views that has none. With `fresh`, their present lives end, and each view gets a new one. Lives of other views stay.
   * Returns the lives of these views; each has its `from`.
   */
  start(
    views: readonly Pick<View, 'name' | 'revision'>[],
    options?: { readonly fresh?: boolean | undefined },
  ): Promise<ReadonlyMap<string, Life>>;
}

const WORKER_ASK_MS = 60_000;
const ASK_MS = 5_000;
const WAIT_MS = 90_000;
/** The register is written again after this time, so that it does not expire, ms. */
const RENEW_MS = 60_000;
const LAG_MS = 50;
const MOST_ATTEMPTS = 20;

/**
 * Gives views lives, so that a view which was rolled back and deployed again does not show what it had before. The life is part of the keys in `cache`:
 * `detail@1:42` is stored as `detail@1.k3f9x0a1b2:42`. See docs/lives.md.
 *
 * It keeps the promises of `CacheClient` for the keys of views whose life is usable. For other keys no value is written: mutations are `skipped`,
 * reads miss, lists are empty and not complete, `fill` returns false, and leases and seals are `lost`. A key over `MAX_KEY_BYTES` is such a key.
 * A mutation that is skipped before the first use of a life is stored as forgotten.
 *
 * @throws RangeError when an option is out of its range
 */
export function withLives(cache: CacheClient, options: LivesOptions = {}): LivingCache {
  const { views, waitMs = WAIT_MS, askMs = views ? WORKER_ASK_MS : ASK_MS, lagMs = LAG_MS, now = Date.now } = options;
  if (!(waitMs >= 0 && waitMs <= LONGEST_WAIT_MS)) throw new RangeError(`waitMs is ${waitMs}: give 0 to ${LONGEST_WAIT_MS}`);
  if (!(askMs > 0)) throw new RangeError(`askMs is ${askMs}: give a number above 0`);
  const own = views?.map(viewName);
  const clock = () => ({ wall: now(), monotonic: performance.now() });
  let known: Register = { lives: new Map(), written: 0 };
  let asked = { wall: Number.NaN, monotonic: 0 };
  let asking: Promise<unknown> | undefined;
  let renewing: Promise<void> | undefined;
  let running = 0;
  let closing: Promise<void> | undefined;
  let tellIdle = (): void => {};

  const read = async (): Promise<Register> => {
    const lookup = await cache.get(REGISTER_KEY);
    return registerIn(lookup.type === 'hit' ? lookup.value : undefined);
  };
  /** What this code makes of the register; undefined if nothing. */
  const changed = ({ lives }: Register): ReadonlyMap<string, Life> | undefined => {
    if (!own) return undefined;
    const at = now();
    return unlessSame(lives, new Map(own.map((view) => [view, nextLife(lives.get(view), at, waitMs)])));
  };
  /** Changes the register, unless another process is faster. */
  const write = async (change: (register: Register) => ReadonlyMap<string, Life> | undefined): Promise<void> => {
    const [lease] = await cache.lease([{ kind: 'document', key: REGISTER_KEY }]);
    await sleep(lagMs);
    const lives = change(await read());
    if (!lives) return;
    const json = registerText({ lives, written: now() });
    await cache.settle([{ lease: lease as Lease, found: { kind: 'document', json } }]);
  };
  /** Changes the register until nothing is left to change, and then knows it. */
  const reach = async (change: (register: Register) => ReadonlyMap<string, Life> | undefined): Promise<Register['lives']> => {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const at = clock();
      const register = await read();
      if (change(register)) {
        await write(change);
        continue;
      }
      [known, asked] = [register, at];
      if (register.lives.size > 0 && Math.abs(now() - register.written) > RENEW_MS) renew();
      return register.lives;
    }
    throw new CacheUnavailableError(
      `the register of lives, at the key "${REGISTER_KEY}", cannot be written: other workers are always faster, or it is too large for the cache`,
    );
  };
  /** Nobody waits for it, and another process does it if it fails. */
  const renew = (): void => {
    renewing ??= write(({ lives, written }) => (lives.size > 0 && Math.abs(now() - written) > RENEW_MS ? lives : undefined))
      .catch(() => {})
      .finally(() => {
        renewing = undefined;
      });
  };
  /** A clock may stand still while a function is frozen, and the other may be set. */
  const isOld = (): boolean => {
    const { wall, monotonic } = asked;
    const age = now() - wall;
    return !(age >= 0 && age <= askMs && performance.now() - monotonic <= askMs);
  };
  const ask = async (): Promise<void> => {
    for (let attempt = 0; isOld(); attempt += 1) {
      if (attempt === MOST_ATTEMPTS) throw new CacheUnavailableError('the cache tells its lives too late: try again');
      asking ??= reach(changed).finally(() => {
        asking = undefined;
      });
      await asking;
    }
  };
  const start = async (names: readonly string[], fresh: boolean): Promise<ReadonlyMap<string, Life>> => {
    const { lives: before } = fresh ? await read() : known;
    const isEnded = (view: string, life: Life | undefined): boolean => fresh && life?.life === before.get(view)?.life;
    const lives = await reach(({ lives }) => {
      const at = now();
      const next = new Map(lives);
      for (const view of names) {
        const held = lives.get(view);
        next.set(view, nextLife(isEnded(view, held) ? undefined : held, at, waitMs));
      }
      return unlessSame(lives, next);
    });
    return new Map(names.flatMap((view) => [[view, lives.get(view) as Life]]));
  };
  /** Runs a call with fresh knowledge of the lives, and lets `close` wait for it. */
  const run = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    if (closing) throw new CacheUnavailableError('the cache client was closed');
    running += 1;
    try {
      if (isOld()) await ask();
      return await call();
    } finally {
      running -= 1;
      if (running === 0) tellIdle();
    }
  };

  /** The name in the inner cache, and whether its life is usable; undefined for a name without a life. */
  const placeOf = (name: string): { readonly name: string; readonly usable: boolean } | undefined => {
    const end = typeof name === 'string' ? name.indexOf(':') : -1;
    if (end === -1) return undefined;
    const view = name.slice(0, end);
    const life = known.lives.get(view);
    if (life?.from === undefined || nameFault(name, MAX_KEY_BYTES) !== undefined) return undefined;
    return { name: `${view}.${life.life}${name.slice(end)}`, usable: now() >= life.from };
  };
  const inner = (name: string): string | undefined => {
    const place = placeOf(name);
    return place?.usable ? place.name : undefined;
  };
  const skipped = (name: string): Outcome => {
    const [view = ''] = name.split(':', 1);
    const life = known.lives.get(view);
    if (!life) return { type: 'skipped', reason: 'the view has no life: deploy a worker that contains it' };
    if (life.from === undefined) return { type: 'skipped', reason: 'the life of the view begins soon' };
    return { type: 'skipped', reason: `the life of the view begins at ${new Date(life.from).toISOString()}` };
  };
  const innerTarget = (target: LeaseTarget): LeaseTarget | undefined => {
    const name = inner(target?.kind === 'document' ? target.key : target?.list);
    if (name === undefined) return undefined;
    return target.kind === 'document' ? { ...target, key: name } : { ...target, list: name };
  };
  const innerList = <List extends MarkedList>(given: List): List | undefined => {
    const list = inner(given?.list);
    return list === undefined ? undefined : { ...given, list };
  };
  const outerLease = (target: LeaseTarget, lease: Lease | undefined): LifeLease => {
    if (!lease) return { target };
    const { standingMs } = lease;
    return { target, inner: lease, ...(standingMs !== undefined && { standingMs }) };
  };

  return {
    apply: (mutations) =>
      run(async () => {
        const early = new Set<Mutation>();
        const innerOf = (mutation: Mutation): Mutation | undefined => {
          const place = placeOf(nameIn(mutation));
          if (!place) return undefined;
          if (place.usable) return renamed(mutation, place.name);
          early.add(mutation);
          // Another worker, whose clock is ahead, may use the life already, and may have put what this mutation replaces.
          return renamed(mutation.type === 'put' ? forgetInstead(mutation) : { ...mutation, type: 'forget' }, place.name);
        };
        const otherwise = (mutation: Mutation): Outcome => skipped(nameIn(mutation));
        const outcomes = await partly(mutations, checkMutations, innerOf, (some) => cache.apply(some), { otherwise });
        return early.size === 0
          ? outcomes
          : outcomes.map((outcome, i) => (early.has(mutations[i] as Mutation) ? otherwise(mutations[i] as Mutation) : outcome));
      }),
    get: (key) =>
      run(async () => {
        const name = inner(key);
        if (name !== undefined) return (await cache.get(name)) as never;
        checkKeys([key]);
        return MISS as never;
      }),
    getMany: (keys) =>
      run(() => partly(keys, checkKeys, inner, (some) => cache.getMany(some), { otherwise: () => MISS as never }) as never),
    list: (name, query) =>
      run(async () => {
        const list = inner(name);
        if (list !== undefined) return (await cache.list(list, query)) as never;
        checkListName(name);
        parseQuery(query);
        return { members: [], complete: false };
      }),
    getOrLease: (keys) =>
      run(async () => {
        const answers = await partly(keys, checkKeys, inner, (some) => cache.getOrLease(some), { otherwise: () => undefined });
        return answers.map((answer, i): LookupOrLease => {
          if (answer && answer.type !== 'miss') return answer;
          return { type: 'miss', lease: outerLease({ kind: 'document', key: keys[i] as string }, answer?.lease) };
        }) as never;
      }),
    lease: (targets) =>
      run(async () => {
        const leases = await partly(targets, checkTargets, innerTarget, (some) => cache.lease(some), { otherwise: () => undefined });
        return leases.map((lease, i) => outerLease(targets[i] as LeaseTarget, lease));
      }),
    settle: (fills: readonly LifeFill[]) =>
      run(() =>
        partly<LifeFill, Fill, Settled>(
          fills,
          checkFills,
          (fill) => fill?.lease?.inner && { lease: fill.lease.inner, found: fill.found },
          (some) => cache.settle(some),
          { otherwise: () => 'lost' },
        ),
      ),
    mark: (lists, survey) =>
      run(async () => {
        const marked = lists.map?.((one) => innerList(one));
        if (!marked?.every((one) => one !== undefined)) checkMarked(lists, survey);
        await cache.mark(
          marked.filter((one) => one !== undefined),
          survey,
        );
      }),
    fill: (lists, survey) =>
      run(() =>
        partly(
          lists,
          (all) => checkSurveyed(all, survey),
          innerList,
          (some) => cache.fill(some, survey),
          { otherwise: () => false },
        ),
      ),
    seal: (lists, survey) =>
      run(() =>
        partly<string, string, Settled>(
          lists,
          (all) => checkSurvey(all, survey),
          inner,
          (some) => cache.seal(some, survey),
          { otherwise: () => 'lost' },
        ),
      ),
    ...(cache.leased && {
      leased: (keys: readonly string[]) =>
        run(() => partly(keys, checkKeys, inner, async (some) => (await cache.leased?.(some)) ?? [], { otherwise: () => false })),
    }),
    lives: () => run(async () => known.lives),
    start: (given, { fresh = false } = {}) => run(() => start(given.map(viewName), fresh)),
    close() {
      closing ??= (async () => {
        await new Promise<void>((resolve) => {
          tellIdle = resolve;
          if (running === 0) resolve();
        });
        await renewing;
        await cache.close();
      })();
      return closing;
    },
  };
}

/** @returns `next`, or undefined if it has the lives of `lives` */
function unlessSame(lives: ReadonlyMap<string, Life>, next: ReadonlyMap<string, Life>): ReadonlyMap<string, Life> | undefined {
  const isSame = next.size === lives.size && [...next].every(([view, life]) => lives.get(view) === life);
  return isSame ? undefined : next;
}

/** Without `inner`: the lease was taken while the view was not usable. */
interface LifeLease extends Lease {
  readonly inner?: Lease;
}

type LifeFill = Fill & { readonly lease: LifeLease };

/**
 * Passes on those of the arguments that have a form in the inner cache, in one call. Returns one answer per argument, in their order.
 *
 * @param check throws if one of the arguments is wrong. The inner cache checks what is passed on.
 */
async function partly<Given, Inner, Answer>(
  given: readonly Given[],
  check: (given: readonly Given[]) => void,
  innerOf: (one: Given) => Inner | undefined,
  call: (some: readonly Inner[]) => Promise<readonly Answer[]>,
  { otherwise }: { readonly otherwise: (one: Given) => Answer },
): Promise<readonly Answer[]> {
  if (!Array.isArray(given)) check(given);
  const all = given.map(innerOf);
  const some = all.filter((one) => one !== undefined);
  if (some.length === all.length) return await call(some);
  check(given);
  const answers = (await call(some)).values();
  return all.map((one, i) => (one === undefined ? otherwise(given[i] as Given) : (answers.next().value as Answer)));
}

function nameIn(mutation: Mutation): string {
  return mutation?.kind === 'document' ? mutation.key : mutation?.list;
}

function renamed(mutation: Mutation, name: string): Mutation {
  return mutation.kind === 'document' ? { ...mutation, key: name } : { ...mutation, list: name };
}
