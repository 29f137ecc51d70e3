import { CacheGetResponse, CacheGetWithHashResponse } from '@gomomento/sdk';
import type { Connection } from './client.ts';
import type { Deadline } from './deadline.ts';

/** Bytes at a key, and by what name a write can say "if it is still these". */
export interface Stored {
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/** `hash` is of what was written; absent where the service does not tell. */
export type Written = { readonly stored: true; readonly hash?: Uint8Array } | { readonly stored: false };

/**
 * The few calls of Momento that may be made on a key that is written with a condition: its documentation forbids to mix in `set`, `delete`
 * and changes of the TTL. (https://docs.momentohq.com/cache/develop/api-reference)
 */
export interface Store {
  /** May lag behind the writes by some milliseconds. */
  get(key: string, deadline: Deadline): Promise<Uint8Array | undefined>;
  getMany(keys: readonly string[], deadline: Deadline): Promise<readonly (Uint8Array | undefined)[]>;
  /** May lag, too: whoever relies on it writes by its hash. */
  read(key: string, deadline: Deadline): Promise<Stored | undefined>;
  /** Writes if what is there has this hash, or if nothing is there and none is given. */
  write(key: string, bytes: Uint8Array, ttlSeconds: number, expected: Uint8Array | undefined, deadline: Deadline): Promise<Written>;
}

export function store(connection: Connection, cacheName: string): Store {
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
        // A stream of answers that ends early is no error to the SDK.
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
    async write(key, bytes, ttl, expected, deadline) {
      const { sample } = connection;
      const answer = await connection.call(deadline, async (client, abortSignal) => {
        const options = { ttl, abortSignal };
        if (expected) return client.setIfPresentAndHashEqual(cacheName, key, bytes, expected, options);
        // Of the two that write where nothing is, the first tells the new hash.
        if (sample) return client.setIfAbsentOrHashEqual(cacheName, key, bytes, sample, options);
        return client.setIfAbsent(cacheName, key, bytes, options);
      });
      if (answer.type.toString() !== 'Stored') return { stored: false };
      return { stored: true, ...('hashUint8Array' in answer && { hash: answer.hashUint8Array() }) };
    },
  };
}
