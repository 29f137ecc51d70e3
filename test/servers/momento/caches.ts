import { status } from '@grpc/grpc-js';
import { Failure, invalid, noSuchCache } from './failure.ts';
import type { Keyspace } from './keyspace.ts';
import type { Limits } from './limits.ts';

export interface CachesOptions {
  readonly limits: Limits;
  /** `true` refuses a call on an unknown cache; `false` creates the cache. */
  readonly strict: boolean;
  readonly keyspace: () => Keyspace;
}

export class Caches {
  readonly limits: Limits;
  readonly #strict: boolean;
  readonly #keyspace: () => Keyspace;
  readonly #spaces = new Map<string, Keyspace>();

  constructor({ limits, strict, keyspace }: CachesOptions) {
    this.limits = limits;
    this.#strict = strict;
    this.#keyspace = keyspace;
  }

  create(name: string): Keyspace {
    checkName(name);
    if (this.#spaces.has(name)) throw new Failure(status.ALREADY_EXISTS, `Cache with name: ${name} already exists`);
    if (this.#spaces.size >= this.limits.caches)
      throw new Failure(status.RESOURCE_EXHAUSTED, `Limit of ${this.limits.caches} caches exceeded`);
    const space = this.#keyspace();
    this.#spaces.set(name, space);
    return space;
  }

  delete(name: string): void {
    this.existing(name);
    this.#spaces.delete(name);
  }

  existing(name: string): Keyspace {
    checkName(name);
    const space = this.#spaces.get(name);
    if (space === undefined) throw noSuchCache(name);
    return space;
  }

  /** The cache for a call on items. */
  used(name: string): Keyspace {
    return this.#spaces.get(name) ?? (this.#strict ? this.existing(name) : this.create(name));
  }

  names(): string[] {
    return [...this.#spaces.keys()];
  }

  clear(): void {
    for (const space of this.#spaces.values()) space.clear();
  }
}

function checkName(name: string): void {
  if (name.trim() === '') throw invalid('cache name must not be empty');
}
