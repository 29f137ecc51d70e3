import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Bytes, nameOf } from './item.ts';
import { only } from './keyspace.ts';
import { checkElement, checkItem, checkTtl } from './limits.ts';
import { read, type Scope } from './scope.ts';
import type { Member } from './sorted-members.ts';
import { byIndex, byScore } from './sorted-range.ts';

const { ECacheResult } = cache_client;
const { Order } = cache_client._SortedSetFetchRequest;

/** Bytes of a score in the size of an item. */
export const SCORE_BYTES = 8;

export const sortedSets = {
  SortedSetPut(scope: Scope, request: cache_client._SortedSetPutRequest) {
    put(
      scope,
      request,
      request.elements.map(({ value, score }) => ({ value, score })),
    );
    return new cache_client._SortedSetPutResponse();
  },

  SortedSetIncrement(scope: Scope, request: cache_client._SortedSetIncrementRequest) {
    const { value, amount } = request;
    const before = only('sorted set', scope.space.current(nameOf(request.set_name)))?.members.get(nameOf(value));
    const score = (before?.score ?? 0) + amount;
    put(scope, request, [{ value, score }]);
    return new cache_client._SortedSetIncrementResponse({ score });
  },

  SortedSetFetch(scope: Scope, request: cache_client._SortedSetFetchRequest) {
    const { _Found, _Missing } = cache_client._SortedSetFetchResponse;
    const set = only('sorted set', read(scope, request.set_name));
    if (set === undefined) return new cache_client._SortedSetFetchResponse({ missing: new _Missing() });
    const sorted = request.order === Order.DESCENDING ? set.members.sorted().toReversed() : set.members.sorted();
    const found = request.range === 'by_score' ? byScore(sorted, request.by_score) : byIndex(sorted, request.by_index);
    if (!request.with_scores) {
      const values = new _Found._Values({ values: found.map(({ value }) => value) });
      return new cache_client._SortedSetFetchResponse({ found: new _Found({ values }) });
    }
    const elements = found.map((member) => new cache_client._SortedSetElement(member));
    const values_with_scores = new _Found._ValuesWithScores({ elements });
    return new cache_client._SortedSetFetchResponse({ found: new _Found({ values_with_scores }) });
  },

  SortedSetGetScore(scope: Scope, { set_name, values }: cache_client._SortedSetGetScoreRequest) {
    const { _SortedSetFound, _SortedSetMissing, _SortedSetGetScoreResponsePart } = cache_client._SortedSetGetScoreResponse;
    const set = only('sorted set', read(scope, set_name));
    if (set === undefined) return new cache_client._SortedSetGetScoreResponse({ missing: new _SortedSetMissing() });
    const elements = values.map((value) => {
      const member = set.members.get(nameOf(value));
      if (member === undefined) return new _SortedSetGetScoreResponsePart({ result: ECacheResult.Miss });
      return new _SortedSetGetScoreResponsePart({ result: ECacheResult.Hit, score: member.score });
    });
    return new cache_client._SortedSetGetScoreResponse({ found: new _SortedSetFound({ elements }) });
  },

  SortedSetGetRank(scope: Scope, { set_name, value, order }: cache_client._SortedSetGetRankRequest) {
    const { _RankResponsePart, _SortedSetMissing } = cache_client._SortedSetGetRankResponse;
    const set = only('sorted set', read(scope, set_name));
    if (set === undefined) return new cache_client._SortedSetGetRankResponse({ missing: new _SortedSetMissing() });
    const member = set.members.get(nameOf(value));
    if (member === undefined)
      return new cache_client._SortedSetGetRankResponse({ element_rank: new _RankResponsePart({ result: ECacheResult.Miss }) });
    const ascending = set.members.sorted().indexOf(member);
    const rank = order === cache_client._SortedSetGetRankRequest.Order.DESCENDING ? set.members.size - 1 - ascending : ascending;
    return new cache_client._SortedSetGetRankResponse({ element_rank: new _RankResponsePart({ result: ECacheResult.Hit, rank }) });
  },

  SortedSetRemove({ space }: Scope, request: cache_client._SortedSetRemoveRequest) {
    if (request.remove_elements === 'none') throw invalid('what to remove is required');
    const name = nameOf(request.set_name);
    space.claim(name, 'plain');
    const set = space.edit(name, 'sorted set');
    if (set === undefined) return new cache_client._SortedSetRemoveResponse();
    const unwanted = request.remove_elements === 'some' ? request.some.values : set.members.sorted().map(({ value }) => value);
    for (const value of unwanted) if (set.members.delete(nameOf(value))) set.size -= value.length + SCORE_BYTES;
    space.settled(name, set);
    return new cache_client._SortedSetRemoveResponse();
  },

  SortedSetLength(scope: Scope, { set_name }: cache_client._SortedSetLengthRequest) {
    const { _Found, _Missing } = cache_client._SortedSetLengthResponse;
    const set = only('sorted set', read(scope, set_name));
    if (set === undefined) return new cache_client._SortedSetLengthResponse({ missing: new _Missing() });
    return new cache_client._SortedSetLengthResponse({ found: new _Found({ length: set.members.size }) });
  },
};

interface Put {
  readonly set_name: Bytes;
  readonly ttl_milliseconds: number;
  readonly refresh_ttl: boolean;
}

function put({ space, limits }: Scope, request: Put, members: readonly Member[]): void {
  const name = nameOf(request.set_name);
  checkTtl(limits, request.ttl_milliseconds);
  const added = new Map(members.map((member) => [nameOf(member.value), member]));
  const held = only('sorted set', space.current(name));
  let size = held?.size ?? 0;
  for (const [key, { value, score }] of added) {
    if (Number.isNaN(score)) throw invalid('score must be a number');
    checkElement(limits, value);
    if (held?.members.get(key) === undefined) size += value.length + SCORE_BYTES;
  }
  checkItem(limits, size);
  space.claim(name, 'plain');
  if (added.size === 0) return;
  const set = space.open(name, 'sorted set', request.ttl_milliseconds, request.refresh_ttl);
  for (const [key, member] of added) set.members.set(key, member);
  set.size = size;
}
