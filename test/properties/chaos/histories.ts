import * as fc from 'fast-check';
import type { LineStep, OrderStep } from '../world/history.ts';
import type { Garble, History, MappingSettings, Service, Step, Weather } from './history.ts';
import type { ViewSet } from './views.ts';

const upTo = (n: number) => fc.nat(n - 1);
/** A weighted choice. A counterexample is shrunk to the first one. */
const often = <T>(...choices: readonly (readonly [T, number])[]): fc.Arbitrary<T> =>
  fc.constantFrom(...choices.flatMap(([value, weight]) => Array.from({ length: weight }, () => value)));

const passMs = often([0, 10], [10, 5], [100, 4], [400, 4], [2_000, 2], [7_000, 1]);
const lag = often([0, 8], [5, 2], [300, 1]);
const garble = often<Garble>(['none', 200], ['new', 6], ['old', 1]);
const step = <T extends object>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ passMs, ...parts } as never) as never as fc.Arbitrary<Step>;

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

/** The hardest changes for a short list: its members go up and down, leave, and come back. */
const moves = [
  {
    weight: 48,
    arbitrary: step({ ...order, how: often<OrderStep['how']>(['rank', 6], ['listed', 1], ['delete', 2]), creator: fc.constant(0) }),
  },
];

const redrive = step({
  type: type('redrive'),
  limit: often<number | undefined>([undefined, 4], [1, 1], [3, 1]),
  dieAfterMs: often<number | undefined>([undefined, 5], [5, 1], [20, 1], [200, 1]),
});

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
  { weight: 5, arbitrary: redrive },
  { weight: 2, arbitrary: step({ type: type('split'), shard: upTo(6) }) },
  { weight: 2, arbitrary: step({ type: type('roll'), shard: upTo(6) }) },
  { weight: 1, arbitrary: step({ type: type('expire-iterators') }) },
];

/** The hardest world for a redrive: few items that change and are evicted while their letters are redriven. */
const duels = [
  { weight: 30, arbitrary: step({ ...order, id: upTo(2), passMs: often([10, 4], [0, 2], [100, 1]) }) },
  { weight: 6, arbitrary: step({ type: type('deploy'), code: often(['good', 4], ['broken', 2], ['limping', 2]), view: upTo(6) }) },
  {
    weight: 6,
    arbitrary: step({
      type: type('weather'),
      of: often<Service>(['table', 3], ['cache', 1], ['letters', 1]),
      is: often<Weather>(['fine', 2], ['slow', 2], ['flaky', 1]),
    }),
  },
  { weight: 10, arbitrary: redrive },
  { weight: 10, arbitrary: step({ type: type('evict'), list: fc.boolean(), target: upTo(30), part: upTo(4) }) },
  { weight: 4, arbitrary: step({ type: type('flush') }) },
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
  { weight: 3, arbitrary: historyOf('all', true, ...duels) },
  { weight: 3, arbitrary: historyOf('latest', true, ...moves, ...troubles, ...fills(lists), ...losses(lists)) },
);
