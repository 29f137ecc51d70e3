import * as fc from 'fast-check';
import type { Numbering } from './table.ts';
import type { ViewSet } from './views.ts';

/**
 * - `calm`: duplicates, replays and stragglers, but no evictions and no fills, so answers never step back.
 * - `forked`: like calm, but a renewed stream is read before the old one is drained, so the changes of an item come out of order.
 * - `filled`: like calm, but readers fill lists. A late record then finds lists that dropped a newer version of its member.
 * - `rough`: evictions, flushes and fills by readers. The stream comes in order, and is replayed.
 */
type Mode = 'calm' | 'forked' | 'filled' | 'rough';

/** What happens to one call of `apply`. */
export interface Fate {
  readonly kind: 'none' | 'before' | 'after' | 'part';
  /** How many of its mutations are applied, for the kind `part`. */
  readonly part: number;
  /** How many microtasks run first. */
  readonly wait: number;
}

/** A number chooses one of the things that exist at that time, modulo their count. */
export type Step =
  | {
      readonly type: 'order';
      readonly id: number;
      readonly how: 'replace' | 'status' | 'creator' | 'rank' | 'listed' | 'delete' | 'nothing';
      readonly day: number;
      readonly rank: number;
      readonly creator: number;
      readonly status: 'plain' | 'large' | 'cursed';
      readonly curse: number;
      readonly largeItems: boolean;
      readonly listed: boolean;
    }
  | {
      readonly type: 'line';
      readonly owner: number;
      readonly product: number;
      readonly detail: 'plain' | 'large' | 'cursed';
      readonly how: 'put' | 'delete' | 'expire';
    }
  | { readonly type: 'stranger'; readonly n: number }
  | {
      readonly type: 'deliver';
      readonly shard: number;
      readonly size: number;
      readonly fates: readonly Fate[];
      /** The records of this item come before the others of the batch. */
      readonly first: number | undefined;
      /** Another shard is delivered at the same time. */
      readonly beside: number | undefined;
      readonly setAsideFails: boolean;
    }
  | { readonly type: 'replay'; readonly shard: number; readonly back: number }
  | { readonly type: 'straggle'; readonly shard: number; readonly index: number }
  | { readonly type: 'renew' }
  | { readonly type: 'evict'; readonly list: boolean; readonly target: number; readonly key: number }
  | { readonly type: 'flush' }
  | { readonly type: 'lease'; readonly list: boolean; readonly target: number; readonly read: boolean }
  | { readonly type: 'read'; readonly lease: number }
  | { readonly type: 'settle'; readonly lease: number };

export type OrderStep = Extract<Step, { readonly type: 'order' }>;
export type LineStep = Extract<Step, { readonly type: 'line' }>;
export type DeliverStep = Extract<Step, { readonly type: 'deliver' }>;

export interface History {
  readonly mode: Mode;
  readonly shards: number;
  readonly numbering: Numbering;
  readonly views: ViewSet;
  /** No value is too large and no view throws, because such members leave lists incomplete and so hide other faults. */
  readonly plain: boolean;
  readonly steps: readonly Step[];
}

const index = fc.nat(30);
const upTo = (n: number) => fc.nat(n - 1);
const maybe = (arbitrary: fc.Arbitrary<number>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const oneIn = (n: number) => upTo(n).map((dice) => n > 1 && dice === n - 1);
const often = <T>(...choices: readonly (readonly [T, number])[]) =>
  fc.oneof(...choices.map(([value, weight]) => ({ weight, arbitrary: fc.constant(value) })));

const orderParts = {
  type: fc.constant('order' as const),
  id: upTo(7),
  how: often<OrderStep['how']>(['replace', 3], ['status', 2], ['creator', 2], ['rank', 3], ['listed', 1], ['delete', 3], ['nothing', 1]),
  day: upTo(4),
  rank: upTo(10),
  creator: upTo(2),
  status: often<OrderStep['status']>(['plain', 14], ['large', 1], ['cursed', 2]),
  curse: upTo(5),
  largeItems: oneIn(12),
  listed: oneIn(5).map((not) => !not),
};

const line = fc.record({
  type: fc.constant('line' as const),
  owner: upTo(2),
  product: upTo(3),
  detail: often<'plain' | 'large' | 'cursed'>(['plain', 12], ['large', 1], ['cursed', 1]),
  how: often<'put' | 'delete' | 'expire'>(['put', 4], ['delete', 2], ['expire', 1]),
});

const fate = fc.record({
  kind: often<Fate['kind']>(['none', 9], ['before', 1], ['after', 1], ['part', 1]),
  part: upTo(6),
  wait: upTo(4),
});

const deliver = fc.record({
  type: fc.constant('deliver' as const),
  shard: upTo(3),
  size: fc.integer({ min: 1, max: 8 }),
  fates: fc.array(fate, { maxLength: 8, size: 'max' }),
  first: maybe(upTo(8)),
  beside: maybe(upTo(3)),
  setAsideFails: oneIn(20),
});

const changes = [
  { weight: 38, arbitrary: fc.record(orderParts) },
  { weight: 8, arbitrary: line },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('stranger' as const), n: upTo(3) }) },
  { weight: 26, arbitrary: deliver },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('replay' as const), shard: upTo(3), back: upTo(10) }) },
  { weight: 2, arbitrary: fc.constant({ type: 'renew' as const }) },
];

/** The hardest changes for a short list: its members go up and down, leave, and come back. */
const move = fc.record({ ...orderParts, how: often<OrderStep['how']>(['rank', 6], ['listed', 1], ['delete', 2]), creator: fc.constant(0) });

const moves = [{ weight: 46, arbitrary: move }, ...changes.slice(3)];

const stragglers = { weight: 6, arbitrary: fc.record({ type: fc.constant('straggle' as const), shard: upTo(3), index }) };

const losses = (list: fc.Arbitrary<boolean>) => [
  { weight: 4, arbitrary: fc.record({ type: fc.constant('evict' as const), list, target: index, key: upTo(4) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'flush' as const }) },
];

const fills = (list: fc.Arbitrary<boolean>) => [
  { weight: 14, arbitrary: fc.record({ type: fc.constant('lease' as const), list, target: index, read: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('read' as const), lease: index }) },
  { weight: 12, arbitrary: fc.record({ type: fc.constant('settle' as const), lease: index }) },
];

/** Numbers where strings, doubles and lengths go wrong: around 2^53, around a further digit, low ones with and without leading zeros. */
const numbering: fc.Arbitrary<Numbering> = fc.constantFrom(
  { from: 999_999_999_999_999_999_990n, digits: 0 },
  { from: 700_000_000_000_888_747_038n, digits: 0 },
  { from: 99_999_999_999_999_999_999_995n, digits: 0 },
  { from: 9_007_199_254_740_990n, digits: 21 },
  { from: 5n, digits: 0 },
);

const historyOf = (mode: Mode, views: ViewSet, step: fc.Arbitrary<Step>): fc.Arbitrary<History> =>
  fc.record({
    mode: fc.constant(mode),
    shards: fc.integer({ min: 1, max: 3 }),
    numbering,
    views: fc.constant(views),
    plain: fc.boolean(),
    steps: fc.array(step, { minLength: 1, maxLength: 90, size: 'max' }),
  });

export const history: fc.Arbitrary<History> = fc.oneof(
  { weight: 4, arbitrary: historyOf('calm', 'all', fc.oneof(...changes, stragglers)) },
  { weight: 2, arbitrary: historyOf('forked', 'all', fc.oneof(...changes, stragglers)) },
  { weight: 6, arbitrary: historyOf('rough', 'all', fc.oneof(...changes, ...losses(fc.boolean()), ...fills(fc.boolean()))) },
  { weight: 5, arbitrary: historyOf('rough', 'latest', fc.oneof(...moves, ...losses(fc.constant(true)), ...fills(fc.constant(true)))) },
  { weight: 4, arbitrary: historyOf('filled', 'latest', fc.oneof(...moves, stragglers, ...fills(fc.constant(true)))) },
);
