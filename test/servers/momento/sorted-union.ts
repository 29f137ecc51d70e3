import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { nameOf } from './item.ts';
import { only } from './keyspace.ts';
import { checkItem, checkTtl } from './limits.ts';
import type { Scope } from './scope.ts';
import { type Member, SortedMembers } from './sorted-members.ts';
import { SCORE_BYTES } from './sorted-sets.ts';

const { AggregateFunction } = cache_client._SortedSetUnionStoreRequest;

const aggregates: { readonly [A in cache_client._SortedSetUnionStoreRequest.AggregateFunction]: (a: number, b: number) => number } = {
  [AggregateFunction.SUM]: (a, b) => finite(a + b),
  [AggregateFunction.MIN]: Math.min,
  [AggregateFunction.MAX]: Math.max,
};

/** Replaces NaN, the sum of opposite infinities and their product with zero, by zero. */
function finite(score: number): number {
  return Number.isNaN(score) ? 0 : score;
}

export const sortedUnion = {
  /** Replaces the destination by the union, with the given TTL. An empty union removes it. */
  SortedSetUnionStore({ space, limits }: Scope, request: cache_client._SortedSetUnionStoreRequest) {
    if (request.sources.length === 0) throw invalid('sources must not be empty');
    checkTtl(limits, request.ttl_milliseconds);
    const combine = aggregates[request.aggregate];
    const union = new Map<string, Member>();
    let size = 0;
    for (const { set_name, weight } of request.sources) {
      if (!Number.isFinite(weight)) throw invalid('weight must be a finite number');
      for (const [key, { value, score }] of only('sorted set', space.current(nameOf(set_name)))?.members.entries() ?? []) {
        const before = union.get(key);
        const weighted = finite(score * weight);
        union.set(key, { value, score: before === undefined ? weighted : combine(before.score, weighted) });
        if (before === undefined) size += value.length + SCORE_BYTES;
      }
    }
    checkItem(limits, size);
    const name = nameOf(request.set_name);
    space.claim(name, 'plain');
    const held = only('sorted set', space.current(name));
    if (union.size > 0)
      space.put(name, { kind: 'sorted set', members: new SortedMembers(union), size, expires: space.expiry(request.ttl_milliseconds) });
    else if (held !== undefined) space.drop(name);
    return new cache_client._SortedSetUnionStoreResponse({ length: union.size });
  },
};
