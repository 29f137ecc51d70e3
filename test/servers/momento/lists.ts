import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Bytes, type List, nameOf, sameBytes } from './item.ts';
import { only } from './keyspace.ts';
import { checkElement, checkItem, checkTtl } from './limits.ts';
import { read, type Scope } from './scope.ts';

export const lists = {
  ListPushFront(scope: Scope, request: cache_client._ListPushFrontRequest) {
    const list_length = add(scope, request, [request.value], 'front', request.truncate_back_to_size);
    return new cache_client._ListPushFrontResponse({ list_length });
  },

  ListPushBack(scope: Scope, request: cache_client._ListPushBackRequest) {
    const list_length = add(scope, request, [request.value], 'back', request.truncate_front_to_size);
    return new cache_client._ListPushBackResponse({ list_length });
  },

  ListConcatenateFront(scope: Scope, request: cache_client._ListConcatenateFrontRequest) {
    const list_length = add(scope, request, request.values, 'front', request.truncate_back_to_size);
    return new cache_client._ListConcatenateFrontResponse({ list_length });
  },

  ListConcatenateBack(scope: Scope, request: cache_client._ListConcatenateBackRequest) {
    const list_length = add(scope, request, request.values, 'back', request.truncate_front_to_size);
    return new cache_client._ListConcatenateBackResponse({ list_length });
  },

  ListPopFront(scope: Scope, { list_name }: cache_client._ListPopFrontRequest) {
    const { _Found, _Missing } = cache_client._ListPopFrontResponse;
    let front: Bytes | undefined;
    const list_length = edit(scope, list_name, (list) => {
      front = list.values[0];
      return list.values.slice(1);
    });
    if (list_length === undefined) return new cache_client._ListPopFrontResponse({ missing: new _Missing() });
    return new cache_client._ListPopFrontResponse({ found: new _Found({ front: front as Bytes, list_length }) });
  },

  ListPopBack(scope: Scope, { list_name }: cache_client._ListPopBackRequest) {
    const { _Found, _Missing } = cache_client._ListPopBackResponse;
    let back: Bytes | undefined;
    const list_length = edit(scope, list_name, (list) => {
      back = list.values.at(-1);
      return list.values.slice(0, -1);
    });
    if (list_length === undefined) return new cache_client._ListPopBackResponse({ missing: new _Missing() });
    return new cache_client._ListPopBackResponse({ found: new _Found({ back: back as Bytes, list_length }) });
  },

  ListErase(scope: Scope, request: cache_client._ListEraseRequest) {
    const { _Found, _Missing } = cache_client._ListEraseResponse;
    if (request.erase === 'none') throw invalid('what to erase is required');
    const ranges = request.erase === 'all' ? [{ begin_index: 0, count: Number.POSITIVE_INFINITY }] : request.some.ranges;
    const erased = (index: number) => ranges.some(({ begin_index, count }) => index >= begin_index && index < begin_index + count);
    const list_length = edit(scope, request.list_name, (list) => list.values.filter((_, index) => !erased(index)));
    if (list_length === undefined) return new cache_client._ListEraseResponse({ missing: new _Missing() });
    return new cache_client._ListEraseResponse({ found: new _Found({ list_length }) });
  },

  ListRemove(scope: Scope, request: cache_client._ListRemoveRequest) {
    const { _Found, _Missing } = cache_client._ListRemoveResponse;
    if (request.remove === 'none') throw invalid('what to remove is required');
    const unwanted = request.all_elements_with_value;
    const list_length = edit(scope, request.list_name, (list) => list.values.filter((value) => !sameBytes(value, unwanted)));
    if (list_length === undefined) return new cache_client._ListRemoveResponse({ missing: new _Missing() });
    return new cache_client._ListRemoveResponse({ found: new _Found({ list_length }) });
  },

  ListFetch(scope: Scope, request: cache_client._ListFetchRequest) {
    const { _Found, _Missing } = cache_client._ListFetchResponse;
    const list = only('list', read(scope, request.list_name));
    if (list === undefined) return new cache_client._ListFetchResponse({ missing: new _Missing() });
    return new cache_client._ListFetchResponse({ found: new _Found({ values: range(list.values, request) }) });
  },

  ListRetain(scope: Scope, request: cache_client._ListRetainRequest) {
    const { _Found, _Missing } = cache_client._ListRetainResponse;
    checkTtl(scope.limits, request.ttl_milliseconds);
    const list_length = edit(scope, request.list_name, (list) => {
      if (request.refresh_ttl) list.expires = scope.space.expiry(request.ttl_milliseconds);
      return range(list.values, request);
    });
    if (list_length === undefined) return new cache_client._ListRetainResponse({ missing: new _Missing() });
    return new cache_client._ListRetainResponse({ found: new _Found({ list_length }) });
  },

  ListLength(scope: Scope, { list_name }: cache_client._ListLengthRequest) {
    const { _Found, _Missing } = cache_client._ListLengthResponse;
    const list = only('list', read(scope, list_name));
    if (list === undefined) return new cache_client._ListLengthResponse({ missing: new _Missing() });
    return new cache_client._ListLengthResponse({ found: new _Found({ length: list.values.length }) });
  },
};

interface Addition {
  readonly list_name: Bytes;
  readonly ttl_milliseconds: number;
  readonly refresh_ttl: boolean;
}

/** Adds at one end, then cuts the other end to `size` values; 0 cuts nothing. Returns the new length. */
function add({ space, limits }: Scope, request: Addition, values: readonly Bytes[], end: 'front' | 'back', size: number): number {
  const name = nameOf(request.list_name);
  checkTtl(limits, request.ttl_milliseconds);
  for (const value of values) checkElement(limits, value);
  const before = only('list', space.current(name))?.values ?? [];
  const all = end === 'front' ? [...values, ...before] : [...before, ...values];
  const kept = size === 0 || all.length <= size ? all : end === 'front' ? all.slice(0, size) : all.slice(-size);
  const bytes = sizeOf(kept);
  checkItem(limits, bytes);
  space.claim(name, 'plain');
  if (kept.length === 0) return 0;
  const list = space.open(name, 'list', request.ttl_milliseconds, request.refresh_ttl);
  list.values = kept;
  list.size = bytes;
  return kept.length;
}

/** Replaces a list's values. Returns the new length, or undefined where there is no list. */
function edit({ space }: Scope, listName: Bytes, change: (list: List) => Bytes[]): number | undefined {
  const name = nameOf(listName);
  space.claim(name, 'plain');
  const list = space.edit(name, 'list');
  if (list === undefined) return undefined;
  list.values = change(list);
  list.size = sizeOf(list.values);
  space.settled(name, list);
  return list.values.length;
}

function range(values: readonly Bytes[], request: cache_client._ListFetchRequest | cache_client._ListRetainRequest): Bytes[] {
  const start = request.start_index === 'inclusive_start' ? request.inclusive_start : 0;
  const end = request.end_index === 'exclusive_end' ? request.exclusive_end : values.length;
  return values.slice(start, end);
}

function sizeOf(values: readonly Bytes[]): number {
  let size = 0;
  for (const value of values) size += value.length;
  return size;
}
