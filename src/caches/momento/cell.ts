import { randomUUID } from 'node:crypto';
import { CacheUnavailableError } from '../../errors.ts';
import { type Deadline, waitForRetry } from './deadline.ts';
import type { Memo } from './memo.ts';
import type { Store } from './store.ts';

/** Converts the state of a cell to bytes and back. */
export interface Codec<State> {
  /**
   * @param nonce differs for each write, so that a writer recognizes its own write, and cells of equal state have different hashes
   * @param key where the state is stored. Default: a short key.
   */
  encode(state: State, nonce: string, key?: string): Encoded;
  /** Makes a state that says nothing: readers take it for an empty cell. No two are alike. */
  blank(): State;
  /** Returns undefined for bytes that `encode` did not make. */
  decode(bytes: Uint8Array): Decoded<State> | undefined;
  /** How long the state lives from now, ms. */
  ttlMs(state: State): number;
}

interface Encoded {
  readonly bytes: Uint8Array;
  /** Roughly the bytes that the state takes in memory. */
  readonly weight: number;
}

interface Decoded<State> {
  readonly state: State;
  readonly nonce: string;
  readonly weight: number;
}

/** What a cell held when it was last read or written. */
export interface Snapshot<State> {
  /** Absent: the cell was empty, or held bytes that Millrace did not write. */
  readonly state?: State;
  /** Absent: the cell was empty, or Momento did not return the hash of a write. */
  readonly hash?: Uint8Array;
  readonly weight: number;
}

/**
 * Computes a result and the next state of a cell; without `next` the state stays as it is. Runs again if another writer was faster, and on a
 * blank state if it gives an empty cell a next state. It may change the state in place if it returns it as `next`.
 */
export type Edit<State, Result> = (state: State | undefined) => { readonly result: Result; readonly next?: State };

export interface Cells<State> {
  /** @throws CacheUnavailableError when it cannot tell whether the edit was written */
  update<Result>(key: string, deadline: Deadline, edit: Edit<State, Result>): Promise<Result>;
}

interface Call<State> {
  readonly edit: Edit<State, unknown>;
  readonly deadline: Deadline;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export const NONCE_LENGTH = 16;
const FIRST_WAIT_MS = 5;

export function newNonce(): string {
  return randomUUID().replaceAll('-', '').slice(0, NONCE_LENGTH);
}

/**
 * Values that change by compare-and-set: read the cell, edit its state, and write the result if the cell still has the hash that was read.
 *
 * - The memo keeps the last snapshot of a cell, so the usual edit takes one call. A snapshot may be out of date; then the write that is
 *   based on it is refused. An edit that writes nothing is decided by a fresh read.
 * - Edits of one cell that come in one turn of the event loop, or while a write of the cell is under way, are written together.
 * - A write may arrive minutes after its call has failed. It lands only on the very bytes that it was based on, so nothing was written to the
 *   cell since. An empty cell has no bytes: it may be empty because newer ones were evicted. So the first write into it is a blank state,
 *   which does no harm, and the edit is based on that. No bytes are sent twice into an empty cell, or else an edit could find its base again.
 */
export function cells<State>(store: Store, codec: Codec<State>, memo: Memo<Snapshot<State>>): Cells<State> {
  /** By key: the calls that wait for the cell's next write. */
  const lanes = new Map<string, Call<State>[]>();

  const read = async (key: string, deadline: Deadline): Promise<Snapshot<State> & { readonly nonce?: string }> => {
    const stored = await store.read(key, deadline);
    if (!stored) return { weight: 0 };
    // Bytes that Millrace did not write: treat as empty, but compare-and-set against their hash so that nothing newer is overwritten.
    return { hash: stored.hash, weight: 0, ...codec.decode(stored.bytes) };
  };
  const ttlSecondsOf = (state: State): number => Math.max(1, Math.ceil(codec.ttlMs(state) / 1_000));
  const remember = (key: string, snapshot: Snapshot<State>): void => {
    if (snapshot.hash) memo.put(key, snapshot, snapshot.weight + key.length);
  };

  /** Writes a blank state into a cell without a state. Returns undefined if another writer was faster, or the hash is unknown. */
  const place = async (key: string, expected: Uint8Array | undefined, deadline: Deadline): Promise<Snapshot<State> | undefined> => {
    const sent: Snapshot<State>[] = [];
    const makeBytes = () => {
      const state = codec.blank();
      const { bytes, weight } = codec.encode(state, newNonce());
      sent.push({ state, weight });
      return bytes;
    };
    const outcome = await store.write(key, makeBytes, ttlSecondsOf(codec.blank()), expected, deadline);
    const last = sent.at(-1);
    return last && outcome.stored && outcome.hash ? { ...last, hash: outcome.hash } : undefined;
  };

  const write = async (key: string, edits: readonly Edit<State, unknown>[], deadline: Deadline): Promise<readonly unknown[]> => {
    /** The results of each attempt by its nonce. If the reply to a write was lost, the next read finds its nonce in the cell. */
    const sent = new Map<string, readonly unknown[]>();
    let held = memo.take(key);
    /** Whether this call has read or written what is held; else it is out of date if anybody wrote since. */
    let fresh = false;
    for (let attempt = 0; ; attempt += 1) {
      if (!held) {
        const stored = await read(key, deadline);
        const written = stored.nonce === undefined ? undefined : sent.get(stored.nonce);
        if (written) {
          remember(key, stored);
          return written;
        }
        [held, fresh] = [stored, true];
      }
      const { results, next } = applyAll(edits, held.state);
      if (next === undefined && fresh) {
        remember(key, held);
        return results;
      }
      if (next !== undefined && held.state === undefined) {
        held = await place(key, held.hash, deadline);
        if (held) continue;
      } else if (next !== undefined) {
        const nonce = newNonce();
        const { bytes, weight } = codec.encode(next, nonce, key);
        sent.set(nonce, results);
        const outcome = await store.write(key, () => bytes, ttlSecondsOf(next), held.hash, deadline);
        if (outcome.stored) {
          remember(key, { state: next, weight, ...(outcome.hash && { hash: outcome.hash }) });
          return results;
        }
      }
      if (fresh && !(await waitForRetry(attempt, FIRST_WAIT_MS, deadline))) {
        throw new CacheUnavailableError(`other writers of one key were faster in each of ${attempt + 1} attempts: try again`);
      }
      [held, fresh] = [undefined, false];
    }
  };

  const run = async (key: string, lane: Call<State>[]): Promise<void> => {
    // Wait for the other edits of this turn of the event loop.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    while (lane.length > 0) {
      const calls = lane.splice(0);
      const deadline = { at: Math.min(...calls.map(({ deadline: { at } }) => at)) };
      try {
        const results = await write(
          key,
          calls.map(({ edit }) => edit),
          deadline,
        );
        for (const [i, { resolve }] of calls.entries()) resolve(results[i]);
      } catch (error) {
        for (const { reject } of calls) reject(error);
      }
    }
    lanes.delete(key);
  };

  return {
    update(key, deadline, edit) {
      return new Promise((resolve, reject) => {
        const call = { edit, deadline, resolve: resolve as (result: unknown) => void, reject };
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

/** Each edit works on what the one before it left. `next` is absent if no edit changed the state. */
function applyAll<State>(edits: readonly Edit<State, unknown>[], state: State | undefined) {
  const results: unknown[] = [];
  let next: State | undefined;
  for (const edit of edits) {
    const edited = edit(next ?? state);
    results.push(edited.result);
    next = edited.next ?? next;
  }
  return { results, next };
}
