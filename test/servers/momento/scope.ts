import type { Bytes, Item } from './item.ts';
import { nameOf } from './item.ts';
import type { Keyspace } from './keyspace.ts';
import type { Limits } from './limits.ts';

/** What a handler knows of the call beside its request. */
export interface Scope {
  readonly space: Keyspace;
  readonly limits: Limits;
  /** Whether the call asks for `read-concern: consistent`. */
  readonly consistent: boolean;
  /** Of a value's bytes. Nobody but the server can compute it, as with the service. */
  readonly hash: (value: Bytes) => Buffer;
}

export function read({ space, consistent }: Scope, key: Bytes): Item | undefined {
  return consistent ? space.current(nameOf(key)) : space.seen(nameOf(key));
}
