import { CacheGetResponse, CacheGetWithHashResponse } from '@gomomento/sdk';
import type { MomentoConnection } from './client.ts';
import type { Deadline } from './deadline.ts';

interface Stored {
  readonly bytes: Uint8Array;
  /** Of the bytes, made by Momento. A write can require it. */
  readonly hash: Uint8Array;
}

/** `hash`: of the bytes written; absent if Momento does not return it. */
type Written = { readonly stored: true; readonly hash?: Uint8Array } | { readonly stored: false };

/**
 * The calls of Momento that a key allows if it is written with conditions. Momento's documentation forbids `set`, `delete` and changes of
 * the TTL on such a key: https://docs.momentohq.com/cache/develop/api-reference
 */
export interface Store {
  /** Reads the bytes. They may lag behind the writes by some milliseconds. */
  get(key: string, deadline: Deadline): Promise<Uint8Array | undefined>;
  getMany(keys: readonly string[], deadline: Deadline): Promise<readonly (Uint8Array | undefined)[]>;
  /** Reads bytes and hash. They may lag too, so write with the hash as a condition. */
  read(key: string, deadline: Deadline): Promise<Stored | undefined>;
  /**
   * Writes if the bytes at the key have the expected hash; without an expected hash, if the key is empty.
   *
   * @param makeBytes called each time that the write is sent; the hash is that of its last bytes
   */
  write(
    key: string,
    makeBytes: () => Uint8Array,
    ttlSeconds: number,
    expected: Uint8Array | undefined,
    deadline: Deadline,
  ): Promise<Written>;
}

export function store(connection: MomentoConnection, cacheName: string): Store {
  return {
    async get(key, deadline) {
      const answer = await connection.call(deadline, (client, abortSignal) => client.get(cacheName, key, { abortSignal }));
      return answer.type === CacheGetResponse.Hit ? answer.valueUint8Array() : undefined;
    },
    async getMany(keys, deadline) {
      const answers = await connection.call(deadline, async (client, abortSignal) => {
        const batch = await client.getBatch(cacheName, [...keys], { abortSignal });
        if (!('results' in batch)) return batch;
        const results = batch.results();
        // The SDK does not report a stream of answers that ends early.
        if (results.length < keys.length) throw new Error('answers are missing');
        return results.find(({ type }) => type === CacheGetResponse.Error) ?? results;
      });
      const results = answers as Extract<typeof answers, readonly unknown[]>;
      return results.map((answer) => (answer.type === CacheGetResponse.Hit ? answer.valueUint8Array() : undefined));
    },
    async read(key, deadline) {
      const answer = await connection.call(deadline, (client, abortSignal) => client.getWithHash(cacheName, key, { abortSignal }));
      if (answer.type !== CacheGetWithHashResponse.Hit) return undefined;
      return { bytes: answer.valueUint8Array(), hash: answer.hashUint8Array() };
    },
    async write(key, makeBytes, ttl, expected, deadline) {
      const { sample } = connection;
      const answer = await connection.call(deadline, async (client, abortSignal) => {
        const [bytes, options] = [makeBytes(), { ttl, abortSignal }];
        if (expected) return client.setIfPresentAndHashEqual(cacheName, key, bytes, expected, options);
        // Both write to an empty key, but only the first returns the new hash. No key has the hash `sample`.
        if (sample) return client.setIfAbsentOrHashEqual(cacheName, key, bytes, sample, options);
        return client.setIfAbsent(cacheName, key, bytes, options);
      });
      if (answer.type.toString() !== 'Stored') return { stored: false };
      return { stored: true, ...('hashUint8Array' in answer && { hash: answer.hashUint8Array() }) };
    },
  };
}
