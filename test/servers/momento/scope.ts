import type { Bytes, Item } from './item.ts';
import { nameOf } from './item.ts';
import type { Keyspace } from './keyspace.ts';
import type { Limits } from './limits.ts';

/** The context of a call, beside its request. */
export interface Scope {
  readonly space: Keyspace;
  readonly limits: Limits;
  /** True for a call with the header `read-concern: consistent`. */
  readonly consistent: boolean;
  /** Hashes a value with a secret of this server, so clients cannot compute the hash. The service does the same. */
  readonly hash: (value: Bytes) => Buffer;
}

export function read({ space, consistent }: Scope, key: Bytes): Item | undefined {
  return consistent ? space.current(nameOf(key)) : space.seen(nameOf(key));
}
