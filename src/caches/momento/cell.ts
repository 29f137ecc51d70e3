import { randomUUID } from 'node:crypto';
import { CacheUnavailableError } from '../../errors.ts';
import { type Deadline, pause } from './deadline.ts';
import type { Memo } from './memo.ts';
import type { Store } from './store.ts';

/** How the state of a cell is kept as bytes. */
export interface Codec<State> {
  /** Each writing has a nonce, by which its writer knows it again, and no two cells are ever alike. */
  encode(state: State, nonce: string): Encoded;
  /** Undefined for bytes that it has not written. */
  decode(bytes: Uint8Array): Decoded<State> | undefined;
  /** How long the state is to live from now, ms. */
  ttlMs(state: State): number;
}

export interface Encoded {
  readonly bytes: Uint8Array;
  /** About how many bytes the state takes in memory. */
  readonly weight: number;
}

export interface Decoded<State> {
  readonly state: State;
  readonly nonce: string;
  readonly weight: number;
}

/** What a cell held at some time. `hash`: absent where nothing was there. */
export interface Known<State> {
  readonly state?: State;
  readonly hash?: Uint8Array;
  readonly weight: number;
}

/**
 * What to make of a cell's state; without `next` it stays as it is. Runs again when another writer was faster. It may change the state in
 * place, if it then returns it as `next`.
 */
export type Change<State, Result> = (state: State | undefined) => { readonly result: Result; readonly next?: State };

export interface Cells<State> {
  /** @throws CacheUnavailableError when it cannot tell whether the change was written. */
  update<Result>(key: string, deadline: Deadline, change: Change<State, Result>): Promise<Result>;
}

interface Call<State> {
  readonly change: Change<State, unknown>;
  readonly deadline: Deadline;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export const NONCE_LENGTH = 16;
const FIRST_PAUSE_MS = 5;

export function newNonce(): string {
  return randomUUID().replaceAll('-', '').slice(0, NONCE_LENGTH);
}

/**
 * Values that change by compare-and-set: read, change, write if nobody else has written. What was written last is remembered with its
 * hash, so the usual change is one call. Changes of one cell that come together, or while one is under way, are written as one.
 *
 * A memory may be out of date: a write that relies on it is refused, and nothing is concluded from it without a write.
 */
export function cells<State>(store: Store, codec: Codec<State>, memo: Memo<Known<State>>): Cells<State> {
  const lanes = new Map<string, Call<State>[]>();

  const read = async (key: string, deadline: Deadline): Promise<Known<State> & { readonly nonce?: string }> => {
    const stored = await store.read(key, deadline);
    if (!stored) return { weight: 0 };
    // What something else wrote is no knowledge to keep: it is written over, and only it.
    return { hash: stored.hash, weight: 0, ...codec.decode(stored.bytes) };
  };
  const remember = (key: string, known: Known<State>): void => {
    if (known.hash) memo.hold(key, known, known.weight + key.length);
  };

  const change = async (key: string, changes: readonly Change<State, unknown>[], deadline: Deadline): Promise<readonly unknown[]> => {
    /** Results by the nonce of the writing: one whose reply was lost is found by it. */
    const sent = new Map<string, readonly unknown[]>();
    let known = memo.take(key);
    for (let attempt = 0; ; attempt += 1) {
      const fresh = known ? undefined : await read(key, deadline);
      const written = fresh?.nonce === undefined ? undefined : sent.get(fresh.nonce);
      if (fresh && written) {
        remember(key, fresh);
        return written;
      }
      const base: Known<State> = known ?? fresh ?? { weight: 0 };
      const { results, next } = fold(changes, base.state);
      if (next === undefined && fresh) {
        remember(key, fresh);
        return results;
      }
      known = undefined;
      if (next === undefined) continue;
      const nonce = newNonce();
      const { bytes, weight } = codec.encode(next, nonce);
      sent.set(nonce, results);
      const ttlSeconds = Math.max(1, Math.ceil(codec.ttlMs(next) / 1_000));
      const outcome = await store.write(key, bytes, ttlSeconds, base.hash, deadline);
      if (outcome.stored) {
        remember(key, { state: next, weight, ...(outcome.hash && { hash: outcome.hash }) });
        return results;
      }
      if (fresh && !(await pause(attempt, FIRST_PAUSE_MS, deadline))) {
        throw new CacheUnavailableError(`others were faster in each of ${attempt + 1} tries to write one key: try again`);
      }
    }
  };

  const run = async (key: string, lane: Call<State>[]): Promise<void> => {
    // Changes of one turn of the event loop come together.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    while (lane.length > 0) {
      const group = lane.splice(0);
      const deadline = { at: Math.min(...group.map(({ deadline: { at } }) => at)) };
      try {
        const results = await change(
          key,
          group.map((call) => call.change),
          deadline,
        );
        for (const [i, { resolve }] of group.entries()) resolve(results[i]);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    lanes.delete(key);
  };

  return {
    update(key, deadline, change) {
      return new Promise((resolve, reject) => {
        const call = { change, deadline, resolve: resolve as (result: unknown) => void, reject };
        const lane = lanes.get(key);
        if (lane) lane.push(call);
        else {
          const started = [call];
          lanes.set(key, started);
          void run(key, started);
        }
      });
    },
  };
}

function fold<State>(changes: readonly Change<State, unknown>[], state: State | undefined) {
  const results: unknown[] = [];
  let next: State | undefined;
  for (const change of changes) {
    const changed = change(next ?? state);
    results.push(changed.result);
    next = changed.next ?? next;
  }
  return { results, next };
}
