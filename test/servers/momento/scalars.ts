import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid, precondition } from './failure.ts';
import { type Bytes, nameOf } from './item.ts';
import { type Family, only } from './keyspace.ts';
import { checkTtl, checkValue } from './limits.ts';
import { read, type Scope } from './scope.ts';

const { ECacheResult } = cache_client;

export function store(scope: Scope, key: Bytes, value: Bytes, ttlMs: number, family: Family): void {
  const name = nameOf(key);
  scope.space.claim(name, family);
  scope.space.put(name, { kind: 'scalar', value, size: value.length, expires: scope.space.expiry(ttlMs) });
}

export function checkWrite({ limits }: Scope, key: Bytes, value: Bytes, ttlMs: number): void {
  if (key.length === 0) throw invalid('key must not be empty');
  checkTtl(limits, ttlMs);
  checkValue(limits, value);
}

export const scalars = {
  Get(scope: Scope, { cache_key }: cache_client._GetRequest) {
    const item = only('scalar', read(scope, cache_key));
    if (item === undefined) return new cache_client._GetResponse({ result: ECacheResult.Miss });
    return new cache_client._GetResponse({ result: ECacheResult.Hit, cache_body: item.value });
  },

  GetWithHash(scope: Scope, { cache_key }: cache_client._GetWithHashRequest) {
    const item = only('scalar', read(scope, cache_key));
    const { _Found, _Missing } = cache_client._GetWithHashResponse;
    if (item === undefined) return new cache_client._GetWithHashResponse({ missing: new _Missing() });
    return new cache_client._GetWithHashResponse({ found: new _Found({ value: item.value, hash: scope.hash(item.value) }) });
  },

  Set(scope: Scope, { cache_key, cache_body, ttl_milliseconds }: cache_client._SetRequest) {
    checkWrite(scope, cache_key, cache_body, ttl_milliseconds);
    store(scope, cache_key, cache_body, ttl_milliseconds, 'plain');
    return new cache_client._SetResponse({ result: ECacheResult.Ok });
  },

  Delete({ space }: Scope, { cache_key }: cache_client._DeleteRequest) {
    const name = nameOf(cache_key);
    space.claim(name, 'plain');
    space.drop(name);
    return new cache_client._DeleteResponse();
  },

  KeysExist(scope: Scope, { cache_keys }: cache_client._KeysExistRequest) {
    return new cache_client._KeysExistResponse({ exists: cache_keys.map((key) => read(scope, key) !== undefined) });
  },

  /** Every increment sets the TTL, the first one included. */
  Increment(scope: Scope, { cache_key, amount, ttl_milliseconds }: cache_client._IncrementRequest) {
    const item = only('scalar', scope.space.current(nameOf(cache_key)));
    const sum = add(item?.value, amount);
    const value = Buffer.from(String(sum));
    checkWrite(scope, cache_key, value, ttl_milliseconds);
    store(scope, cache_key, value, ttl_milliseconds, 'plain');
    return new cache_client._IncrementResponse({ value: Number(sum) });
  },
};

const INT64 = { least: -(2n ** 63n), greatest: 2n ** 63n - 1n };

/** The stored value is a 64-bit integer in base 10, or absent. */
export function add(stored: Bytes | undefined, amount: number): bigint {
  const text = stored === undefined ? '0' : Buffer.from(stored).toString('latin1');
  if (!/^[+-]?\d{1,20}$/.test(text)) throw precondition('the stored value is not an integer in base 10');
  const [before, sum] = [BigInt(text.replace('+', '')), BigInt(text.replace('+', '')) + BigInt(amount)];
  for (const value of [before, sum])
    if (value < INT64.least || value > INT64.greatest) throw precondition('the value does not fit in 64 bits');
  return sum;
}
