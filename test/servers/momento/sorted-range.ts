import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { only } from './keyspace.ts';
import { read, type Scope } from './scope.ts';
import type { Member } from './sorted-members.ts';

type ByIndex = cache_client._SortedSetFetchRequest._ByIndex;
type ByScore = cache_client._SortedSetFetchRequest._ByScore;

/** Selects members by index in the requested order. Negative indexes count from the end. */
export function byIndex(sorted: readonly Member[], range: ByIndex | undefined): readonly Member[] {
  const start = range?.start === 'inclusive_start_index' ? range.inclusive_start_index : 0;
  const end = range?.end === 'exclusive_end_index' ? range.exclusive_end_index : sorted.length;
  return sorted.slice(start, end);
}

/** Selects members by score. `offset` and `count` apply to the members in the range, in the requested order. A negative count means all. */
export function byScore(sorted: readonly Member[], range: ByScore): readonly Member[] {
  const min = range.min === 'min_score' ? range.min_score : undefined;
  const max = range.max === 'max_score' ? range.max_score : undefined;
  const inside = sorted.filter(
    ({ score }) =>
      (min === undefined || (min.exclusive ? score > min.score : score >= min.score)) &&
      (max === undefined || (max.exclusive ? score < max.score : score <= max.score)),
  );
  return inside.slice(range.offset, range.count < 0 ? undefined : range.offset + range.count);
}

function above(request: cache_client._SortedSetLengthByScoreRequest, score: number): boolean {
  switch (request.min) {
    case 'inclusive_min':
      return score >= request.inclusive_min;
    case 'exclusive_min':
      return score > request.exclusive_min;
    default:
      return true;
  }
}

function below(request: cache_client._SortedSetLengthByScoreRequest, score: number): boolean {
  switch (request.max) {
    case 'inclusive_max':
      return score <= request.inclusive_max;
    case 'exclusive_max':
      return score < request.exclusive_max;
    default:
      return true;
  }
}

export const sortedLengths = {
  SortedSetLengthByScore(scope: Scope, request: cache_client._SortedSetLengthByScoreRequest) {
    const { _Found, _Missing } = cache_client._SortedSetLengthByScoreResponse;
    const set = only('sorted set', read(scope, request.set_name));
    if (set === undefined) return new cache_client._SortedSetLengthByScoreResponse({ missing: new _Missing() });
    const inside = set.members.sorted().filter(({ score }) => above(request, score) && below(request, score));
    return new cache_client._SortedSetLengthByScoreResponse({ found: new _Found({ length: inside.length }) });
  },
};
