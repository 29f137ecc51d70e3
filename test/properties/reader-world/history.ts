import * as fc from 'fast-check';

/**
 * - `calm`: nothing is evicted. Old records come once more, alone.
 * - `rough`: documents and lists are evicted. The stream comes in order, and is replayed.
 */
type Mode = 'calm' | 'rough';

/** What happens to one call of `apply`. */
export type Fate = 'none' | 'before' | 'after' | 'part';

/** How the cache treats one reader. `drops`: each settle is lost, as if the reader were killed before it. */
export type Illness = 'down' | 'slow' | 'drops';

interface Act {
  /** The time before the next step, ms. */
  readonly waitMs: number;
}

/** A number chooses one of the things that exist at that time, modulo their count. */
export type Step = Act &
  (
    | {
        readonly type: 'write';
        readonly thing: number;
        readonly how: 'put' | 'rank' | 'team' | 'touch' | 'unlist' | 'curse' | 'delete';
        readonly rank: number;
        readonly team: number;
        readonly curse: number;
      }
    | { readonly type: 'deliver'; readonly shard: number; readonly size: number; readonly fates: readonly Fate[] }
    | { readonly type: 'replay'; readonly shard: number; readonly back: number }
    | { readonly type: 'straggle'; readonly shard: number; readonly index: number }
    /**
     * Some letters are redriven: all of them without `letters`. `overtaken`: where things are evicted, the first item changes between its read and its
     * write, the stream delivers the change, and all of the item is evicted.
     */
    | { readonly type: 'redrive'; readonly letters: readonly number[] | undefined; readonly overtaken: boolean }
    /** Views that do not throw are deployed. */
    | { readonly type: 'mend' }
    | { readonly type: 'evict'; readonly target: number; readonly part: number }
    /** Somebody else fills a list from all items. */
    | { readonly type: 'fill'; readonly list: number }
    | { readonly type: 'ill'; readonly reader: number; readonly illness: Illness; readonly ms: number }
    | ReadStep
  );

interface Reading extends Act {
  readonly type: 'read';
  readonly reader: number;
  readonly target: number;
  readonly ticket: boolean;
  readonly abortMs: number | undefined;
}

export interface DocumentStep extends Reading {
  readonly verb: 'get' | 'look' | 'getMany';
  readonly fresh: boolean;
  /** The number of keys for `getMany`. */
  readonly count: number;
}

export interface ListStep extends Reading {
  readonly verb: 'page' | 'members';
  readonly limit: number;
  /** The page after one that was read before. */
  readonly further: boolean;
  readonly partial: boolean;
}

export type ReadStep = DocumentStep | ListStep;

export interface History {
  readonly mode: Mode;
  /** Of all that the steps leave to chance. */
  readonly seed: number;
  /** No view throws, because then no list is filled. */
  readonly plain: boolean;
  /** What is mended in the end, so that no view throws: the views, or the items in the table. */
  readonly cure: 'views' | 'items';
  readonly throttled: boolean;
  /** Only this list, three things and their documents are read and written, so that reads and records meet. */
  readonly focus: number | undefined;
  readonly steps: readonly Step[];
}

const upTo = (n: number) => fc.nat(n - 1);
const waitMs = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: upTo(12) }, { weight: 1, arbitrary: upTo(80) });
const often = <T>(...choices: readonly (readonly [T, number])[]) =>
  fc.oneof(...choices.map(([value, weight]) => ({ weight, arbitrary: fc.constant(value) })));
const step = <T extends string, Parts extends object>(type: T, parts: { [K in keyof Parts]: fc.Arbitrary<Parts[K]> }) =>
  fc.record({ type: fc.constant(type), waitMs, ...parts } as never) as fc.Arbitrary<{ type: T; waitMs: number } & Parts>;

const write = step('write', {
  thing: upTo(8),
  how: often<'put' | 'rank' | 'team' | 'touch' | 'unlist' | 'curse' | 'delete'>(
    ['put', 6],
    ['rank', 4],
    ['team', 2],
    ['touch', 3],
    ['unlist', 1],
    ['curse', 4],
    ['delete', 3],
  ),
  rank: upTo(4),
  team: upTo(2),
  curse: upTo(5),
});

const reading = {
  reader: upTo(3),
  target: fc.nat(1_000),
  ticket: often([false, 3], [true, 1]),
  abortMs: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: upTo(20) }),
};
const readDocument = step('read', {
  ...reading,
  verb: often<'get' | 'look' | 'getMany'>(['get', 1], ['look', 2], ['getMany', 2]),
  fresh: often([false, 3], [true, 1]),
  count: fc.integer({ min: 1, max: 6 }),
});
const readList = step('read', {
  ...reading,
  verb: often<'page' | 'members'>(['page', 6], ['members', 1]),
  limit: fc.integer({ min: 1, max: 5 }),
  further: fc.boolean(),
  partial: often([false, 3], [true, 1]),
});

const deliver = step('deliver', {
  shard: upTo(2),
  size: fc.integer({ min: 1, max: 6 }),
  fates: fc.array(often<Fate>(['none', 9], ['before', 1], ['after', 1], ['part', 1]), { maxLength: 4 }),
});

const common = [
  { weight: 30, arbitrary: write },
  { weight: 20, arbitrary: deliver },
  { weight: 4, arbitrary: step('replay', { shard: upTo(2), back: upTo(10) }) },
  {
    weight: 8,
    arbitrary: step('redrive', {
      letters: fc.oneof(fc.constant(undefined), fc.array(fc.nat(20), { minLength: 1, maxLength: 3 })),
      overtaken: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: step('mend', {}) },
  { weight: 3, arbitrary: step('fill', { list: upTo(6) }) },
  {
    weight: 5,
    arbitrary: step('ill', { reader: upTo(3), illness: often<Illness>(['down', 3], ['slow', 2], ['drops', 3]), ms: upTo(200) }),
  },
  { weight: 25, arbitrary: readDocument },
  { weight: 25, arbitrary: readList },
];

const historyOf = (mode: Mode, steps: fc.Arbitrary<Step>): fc.Arbitrary<History> =>
  fc.record({
    mode: fc.constant(mode),
    seed: fc.nat(),
    plain: often([true, 3], [false, 2]),
    cure: often<'views' | 'items'>(['views', 1], ['items', 1]),
    throttled: often([false, 2], [true, 1]),
    focus: fc.oneof(fc.constant(undefined), upTo(6), upTo(6)),
    steps: fc.array(steps, { minLength: 1, maxLength: 80, size: 'max' }),
  });

export const history: fc.Arbitrary<History> = fc.oneof(
  {
    weight: 1,
    arbitrary: historyOf('calm', fc.oneof(...common, { weight: 3, arbitrary: step('straggle', { shard: upTo(2), index: fc.nat(100) }) })),
  },
  {
    weight: 1,
    arbitrary: historyOf('rough', fc.oneof(...common, { weight: 12, arbitrary: step('evict', { target: fc.nat(1_000), part: upTo(4) }) })),
  },
);
