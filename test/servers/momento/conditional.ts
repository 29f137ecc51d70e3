import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Bytes, nameOf, sameBytes } from './item.ts';
import { only } from './keyspace.ts';
import { checkWrite, store } from './scalars.ts';
import type { Scope } from './scope.ts';

/** Conditional writes. They compare with the current item, even where ordinary reads see an older one. */
export const conditional = {
  SetIf(scope: Scope, request: cache_client._SetIfRequest) {
    checkWrite(scope, request.cache_key, request.cache_body, request.ttl_milliseconds);
    const { _Stored, _NotStored } = cache_client._SetIfResponse;
    if (!holds(request, claimed(scope, request.cache_key))) return new cache_client._SetIfResponse({ not_stored: new _NotStored() });
    store(scope, request.cache_key, request.cache_body, request.ttl_milliseconds, 'conditional');
    return new cache_client._SetIfResponse({ stored: new _Stored() });
  },

  SetIfNotExists(scope: Scope, request: cache_client._SetIfNotExistsRequest) {
    checkWrite(scope, request.cache_key, request.cache_body, request.ttl_milliseconds);
    const { _Stored, _NotStored } = cache_client._SetIfNotExistsResponse;
    if (claimed(scope, request.cache_key) !== undefined) return new cache_client._SetIfNotExistsResponse({ not_stored: new _NotStored() });
    store(scope, request.cache_key, request.cache_body, request.ttl_milliseconds, 'conditional');
    return new cache_client._SetIfNotExistsResponse({ stored: new _Stored() });
  },

  SetIfHash(scope: Scope, request: cache_client._SetIfHashRequest) {
    checkWrite(scope, request.cache_key, request.cache_body, request.ttl_milliseconds);
    const { _Stored, _NotStored } = cache_client._SetIfHashResponse;
    if (!hashHolds(scope, request, claimed(scope, request.cache_key)))
      return new cache_client._SetIfHashResponse({ not_stored: new _NotStored() });
    store(scope, request.cache_key, request.cache_body, request.ttl_milliseconds, 'conditional');
    return new cache_client._SetIfHashResponse({ stored: new _Stored({ new_hash: scope.hash(request.cache_body) }) });
  },
};

/** Claims the key for conditional writes, and returns its current value. */
function claimed({ space }: Scope, key: Bytes): Bytes | undefined {
  const name = nameOf(key);
  space.claim(name, 'conditional');
  return only('scalar', space.current(name))?.value;
}

function holds(request: cache_client._SetIfRequest, stored: Bytes | undefined): boolean {
  switch (request.condition) {
    case 'absent':
      return stored === undefined;
    case 'present':
      return stored !== undefined;
    case 'equal':
      return stored !== undefined && sameBytes(stored, request.equal.value_to_check);
    case 'not_equal':
      return stored === undefined || !sameBytes(stored, request.not_equal.value_to_check);
    case 'present_and_not_equal':
      return stored !== undefined && !sameBytes(stored, request.present_and_not_equal.value_to_check);
    case 'absent_or_equal':
      return stored === undefined || sameBytes(stored, request.absent_or_equal.value_to_check);
    case 'none':
      throw invalid('a condition is required');
  }
}

function hashHolds({ hash }: Scope, request: cache_client._SetIfHashRequest, stored: Bytes | undefined): boolean {
  const equals = (wanted: Bytes) => stored !== undefined && sameBytes(hash(stored), wanted);
  switch (request.condition) {
    case 'unconditional':
      return true;
    case 'present_and_hash_equal':
      return equals(request.present_and_hash_equal.hash_to_check);
    case 'present_and_not_hash_equal':
      return stored !== undefined && !equals(request.present_and_not_hash_equal.hash_to_check);
    case 'absent_or_hash_equal':
      return stored === undefined || equals(request.absent_or_hash_equal.hash_to_check);
    case 'absent_or_not_hash_equal':
      return stored === undefined || !equals(request.absent_or_not_hash_equal.hash_to_check);
    case 'none':
      throw invalid('a condition is required');
  }
}
