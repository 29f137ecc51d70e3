import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Kind, nameOf } from './item.ts';
import { checkTtl } from './limits.ts';
import { read, type Scope } from './scope.ts';

const { ItemType } = cache_client._ItemGetTypeResponse;

const types: { readonly [K in Kind]: cache_client._ItemGetTypeResponse.ItemType } = {
  scalar: ItemType.SCALAR,
  dictionary: ItemType.DICTIONARY,
  set: ItemType.SET,
  list: ItemType.LIST,
  'sorted set': ItemType.SORTED_SET,
};

/** Calls on the TTL and the kind of any item. */
export const expiry = {
  UpdateTtl({ space, limits }: Scope, request: cache_client._UpdateTtlRequest) {
    const { _Set, _NotSet, _Missing } = cache_client._UpdateTtlResponse;
    const ttlMs = ttlOf(request);
    checkTtl(limits, ttlMs);
    const name = nameOf(request.cache_key);
    space.claim(name, 'plain');
    const item = space.current(name);
    if (item === undefined) return new cache_client._UpdateTtlResponse({ missing: new _Missing() });
    const expires = space.expiry(ttlMs);
    const refused =
      (request.update_ttl === 'increase_to_milliseconds' && expires <= item.expires) ||
      (request.update_ttl === 'decrease_to_milliseconds' && expires >= item.expires);
    if (refused) return new cache_client._UpdateTtlResponse({ not_set: new _NotSet() });
    space.put(name, { ...item, expires });
    return new cache_client._UpdateTtlResponse({ set: new _Set() });
  },

  ItemGetTtl(scope: Scope, { cache_key }: cache_client._ItemGetTtlRequest) {
    const { _Found, _Missing } = cache_client._ItemGetTtlResponse;
    const item = read(scope, cache_key);
    if (item === undefined) return new cache_client._ItemGetTtlResponse({ missing: new _Missing() });
    const remaining_ttl_millis = item.expires - scope.space.expiry(0);
    return new cache_client._ItemGetTtlResponse({ found: new _Found({ remaining_ttl_millis }) });
  },

  ItemGetType(scope: Scope, { cache_key }: cache_client._ItemGetTypeRequest) {
    const { _Found, _Missing } = cache_client._ItemGetTypeResponse;
    const item = read(scope, cache_key);
    if (item === undefined) return new cache_client._ItemGetTypeResponse({ missing: new _Missing() });
    return new cache_client._ItemGetTypeResponse({ found: new _Found({ item_type: types[item.kind] }) });
  },
};

function ttlOf(request: cache_client._UpdateTtlRequest): number {
  switch (request.update_ttl) {
    case 'increase_to_milliseconds':
      return request.increase_to_milliseconds;
    case 'decrease_to_milliseconds':
      return request.decrease_to_milliseconds;
    case 'overwrite_to_milliseconds':
      return request.overwrite_to_milliseconds;
    case 'none':
      throw invalid('a TTL is required');
  }
}
