import * as fc from 'fast-check';
import type { LineStep, OrderStep } from '../helpers/world/history.ts';
import type { ViewSet } from './views.ts';

/** What can fail. `function`: Lambda itself. */
export type Service = 'cache' | 'letters' | 'table' | 'stream' | 'checkpoints' | 'function';

/**
 * - `away`: no call gets through (of the function: it is throttled);
 * - `flaky`: calls are refused, or take effect and are not answered, or in part, or later (the function: it crashes, or is invoked twice);
 * - `slow`: calls take seconds, and the function more than its time.
 */
export type Weather = 'fine' | 'away' | 'flaky' | 'slow';

/** Which part of its record the stream spoils. `old`: nobody will ever know where the item was before. */
export type Garble = 'none' | 'new' | 'old';

interface Writing {
  /** Between the writer's read and its conditional write, ms. */
  readonly lag: number;
  readonly garble: Garble;
}

/** Numbers choose among what there is at that time, modulo. */
export type Act =
  | (OrderStep & Writing)
  | (LineStep & Writing)
  | { readonly type: 'stranger'; readonly n: number }
  /** A record that tells of no item. */
  | { readonly type: 'garbage'; readonly kind: 'keyless' | 'truncate' }
  | { readonly type: 'weather'; readonly of: Service; readonly is: Weather }
  /** The process of a worker dies; after so many ms another goes on from so many checkpoints ago. */
  | { readonly type: 'kill'; readonly worker: number; readonly downMs: number; readonly stale: number }
  /** In order, and begun again. */
  | { readonly type: 'restart'; readonly worker: number }
  /** A worker begins again with all that the stream has. */
  | { readonly type: 'replay'; readonly worker: number }
  /** One more worker, from so many checkpoints of the first one ago. */
  | { readonly type: 'second'; readonly stale: number }
  /** `broken`: no view can project anything. `limping`: one of them cannot. */
  | { readonly type: 'deploy'; readonly code: 'good' | 'broken' | 'limping'; readonly view: number }
  /** The views learn to project what was cursed. */
  | { readonly type: 'mend' }
  | { readonly type: 'redrive'; readonly limit: number | undefined; readonly dieAfterMs: number | undefined }
  | { readonly type: 'evict'; readonly list: boolean; readonly target: number; readonly part: number }
  | { readonly type: 'flush' }
  /** A reader fills the cache: so many ms from its lease to its read, and from there to its settling. */
  | { readonly type: 'fill'; readonly list: boolean; readonly target: number; readonly readMs: number; readonly settleMs: number }
  | { readonly type: 'split' | 'roll'; readonly shard: number }
  /** The stream is disabled and enabled, and both are followed at once. */
  | { readonly type: 'renew' }
  | { readonly type: 'expire-iterators' }
  /** Every worker is down for so long. */
  | { readonly type: 'night'; readonly hours: number };

/** `then`: so many ms pass after it. */
export type Step = Act & { readonly then: number };

export interface MappingSettings {
  readonly shards: number;
  readonly pageSize: number;
  readonly batchSize: number;
  readonly windowS: number;
  readonly factor: number;
  readonly retries: number;
  readonly ageS: number;
  readonly bisects: boolean;
  readonly filters: boolean;
}

export interface History {
  /** Of everything that happens by chance. */
  readonly seed: number;
  readonly views: ViewSet;
  /** No value is too large, no view throws at an item and no record is spoilt: what they leave incomplete hides other faults. */
  readonly plain: boolean;
  /** The cache loses keys. */
  readonly losses: boolean;
  readonly mapping: MappingSettings;
  readonly timeoutMs: number;
  readonly marginMs: number;
  readonly poisonRunLimit: number;
  readonly steps: readonly Step[];
}

const upTo = (n: number) => fc.nat(n - 1);
/** The first choice is what a counterexample is shrunk to. */
const often = <T>(...choices: readonly (readonly [T, number])[]): fc.Arbitrary<T> =>
  fc.constantFrom(...choices.flatMap(([value, weight]) => Array.from({ length: weight }, () => value)));

const then = often([0, 10], [10, 5], [100, 4], [400, 4], [2_000, 2], [7_000, 1]);
const lag = often([0, 8], [5, 2], [300, 1]);
const garble = often<Garble>(['none', 200], ['new', 6], ['old', 1]);
const step = <T extends object>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ ...parts, then } as never) as never as fc.Arbitrary<Step>;

const order = {
  type: fc.constant('order' as const),
  id: upTo(6),
  how: often<OrderStep['how']>(['replace', 4], ['status', 3], ['creator', 3], ['rank', 3], ['listed', 2], ['delete', 4], ['nothing', 1]),
  day: upTo(4),
  rank: upTo(10),
  creator: upTo(2),
  status: often<OrderStep['status']>(['plain', 20], ['large', 1], ['cursed', 2]),
  curse: upTo(5),
  largeItems: often([false, 15], [true, 1]),
  listed: often([true, 4], [false, 1]),
  lag,
  garble,
};

const line = {
  type: fc.constant('line' as const),
  owner: upTo(2),
  product: upTo(3),
  detail: often<LineStep['detail']>(['plain', 12], ['large', 1], ['cursed', 1]),
  how: often<LineStep['how']>(['put', 4], ['delete', 2], ['expire', 1]),
  lag,
  garble,
};

const type = <T extends string>(name: T) => fc.constant(name);
const worker = upTo(3);
const stale = often([0, 5], [1, 2], [4, 2], [20, 1]);

const writes = [
  { weight: 40, arbitrary: step(order) },
  { weight: 8, arbitrary: step(line) },
  { weight: 1, arbitrary: step({ type: type('stranger'), n: upTo(3) }) },
  { weight: 1, arbitrary: step({ type: type('garbage'), kind: often(['keyless', 1], ['truncate', 1]) }) },
];

/** What is hardest for a short list: its members go up and down, leave, and come back. */
const moves = [
  {
    weight: 48,
    arbitrary: step({ ...order, how: often<OrderStep['how']>(['rank', 6], ['listed', 1], ['delete', 2]), creator: fc.constant(0) }),
  },
];

const troubles = [
  {
    weight: 10,
    arbitrary: step({
      type: type('weather'),
      of: often<Service>(['cache', 6], ['letters', 3], ['table', 2], ['stream', 2], ['checkpoints', 2], ['function', 4]),
      is: often<Weather>(['fine', 3], ['away', 1], ['flaky', 2], ['slow', 1]),
    }),
  },
  { weight: 4, arbitrary: step({ type: type('kill'), worker, downMs: often([0, 3], [50, 1], [1_000, 1]), stale }) },
  { weight: 1, arbitrary: step({ type: type('restart'), worker }) },
  { weight: 1, arbitrary: step({ type: type('replay'), worker }) },
  { weight: 1, arbitrary: step({ type: type('second'), stale }) },
  { weight: 3, arbitrary: step({ type: type('deploy'), code: often(['good', 3], ['broken', 2], ['limping', 1]), view: upTo(6) }) },
  { weight: 1, arbitrary: step({ type: type('mend') }) },
  {
    weight: 5,
    arbitrary: step({
      type: type('redrive'),
      limit: often<number | undefined>([undefined, 4], [1, 1], [3, 1]),
      dieAfterMs: often<number | undefined>([undefined, 5], [5, 1], [20, 1], [200, 1]),
    }),
  },
  { weight: 2, arbitrary: step({ type: type('split'), shard: upTo(6) }) },
  { weight: 2, arbitrary: step({ type: type('roll'), shard: upTo(6) }) },
  { weight: 1, arbitrary: step({ type: type('expire-iterators') }) },
];

const forks = [{ weight: 3, arbitrary: step({ type: type('renew') }) }];

const rare = [{ weight: 1, arbitrary: step({ type: type('night'), hours: often([2, 2], [25, 1]) }) }];

const fills = (list: fc.Arbitrary<boolean>) => [
  {
    weight: 12,
    arbitrary: step({
      type: type('fill'),
      list,
      target: upTo(30),
      readMs: often([0, 2], [30, 1], [400, 1]),
      settleMs: often([0, 2], [30, 1], [400, 1]),
    }),
  },
];
const losses = (list: fc.Arbitrary<boolean>) => [
  { weight: 6, arbitrary: step({ type: type('evict'), list, target: upTo(30), part: upTo(4) }) },
  { weight: 1, arbitrary: step({ type: type('flush') }) },
];

const mapping: fc.Arbitrary<MappingSettings> = fc.record({
  shards: fc.integer({ min: 1, max: 3 }),
  pageSize: often([1_000, 2], [3, 1], [1, 1]),
  batchSize: often([1, 2], [2, 1], [5, 2], [100, 2]),
  windowS: often([0, 4], [1, 1]),
  factor: often([1, 3], [2, 1], [10, 1]),
  retries: often([-1, 4], [0, 1], [1, 1], [3, 1]),
  ageS: often([-1, 4], [60, 1], [3_600, 1]),
  bisects: fc.boolean(),
  filters: often([false, 3], [true, 1]),
});

const historyOf = (views: ViewSet, hasLosses: boolean, ...steps: readonly fc.WeightedArbitrary<Step>[]): fc.Arbitrary<History> =>
  fc.record({
    seed: fc.noShrink(fc.integer()),
    views: fc.constant(views),
    plain: fc.boolean(),
    losses: fc.constant(hasLosses),
    mapping,
    timeoutMs: often([10_000, 2], [3_000, 1]),
    marginMs: often([500, 3], [5_500, 1]),
    poisonRunLimit: often([10, 1], [0, 1], [1, 1], [3, 2]),
    steps: fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 90, size: 'max' }),
  });

const either = fc.boolean();
const lists = fc.constant(true);

export const history: fc.Arbitrary<History> = fc.oneof(
  { weight: 3, arbitrary: historyOf('all', false, ...writes, ...troubles, ...fills(either)) },
  { weight: 1, arbitrary: historyOf('all', false, ...writes, ...troubles, ...rare) },
  { weight: 2, arbitrary: historyOf('endless', false, ...writes, ...troubles, ...forks, ...fills(either)) },
  { weight: 4, arbitrary: historyOf('all', true, ...writes, ...troubles, ...fills(either), ...losses(either)) },
  { weight: 3, arbitrary: historyOf('latest', true, ...moves, ...troubles, ...fills(lists), ...losses(lists)) },
);
