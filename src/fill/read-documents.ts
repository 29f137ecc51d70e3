import { setTimeout as sleep } from 'node:timers/promises';
import type { Fill, Lease, LookupOrLease } from '../cache.ts';
import { itemOf } from '../change.ts';
import { asError } from '../errors.ts';
import { MAX_KEY_BYTES, nameFault } from '../mutation.ts';
import type { Version } from '../version.ts';
import { type DocumentView, type KeyAttributes, keyOf } from '../view.ts';
import { valueIn } from './found.ts';
import { itemKeyOf } from './from.ts';
import { lookPauseMs, type Surroundings } from './surroundings.ts';

/** What is known of a document, and whether the cache or the table said so. `version`: of the change that made the cache's entry. */
export type Look<Value = unknown> =
  | { readonly type: 'found'; readonly value: Value; readonly by: 'cache' | 'table'; readonly version?: Version }
  | { readonly type: 'absent'; readonly by: 'cache' | 'table' };

type AnyDocumentView = DocumentView<unknown, unknown>;

/**
 * Reads documents through the cache. A miss is read from the table and filled, and each document answers by itself: the error of one hides no other.
 *
 * @param keys each once
 * @returns the answers, in the order of the keys
 */
export function readDocuments(
  surroundings: Surroundings,
  view: AnyDocumentView,
  keys: readonly string[],
  signal: () => AbortSignal,
): readonly Promise<Look>[] {
  const answers = throughCache(surroundings, view, keys, signal);
  return keys.map(async (key) => settledIn(await answers, key));
}

/** Reads one document as `readDocuments` does. A hit costs less than there. */
export async function readDocument(
  surroundings: Surroundings,
  view: AnyDocumentView,
  key: string,
  signal: () => AbortSignal,
): Promise<Look> {
  const address: string = keyOf(view, key);
  const lookups = await surroundings.guard.call(() => surroundings.cache.getOrLease([address]));
  const lookup = lookups?.[0];
  if (lookup && lookup.type !== 'miss') return fromCache(surroundings, lookup);
  return settledIn(await throughCache(surroundings, view, [key], signal, { lookups }), key);
}

/** Reads documents from the table alone, and fills nothing. */
export function readFromTable(
  surroundings: Surroundings,
  view: AnyDocumentView,
  keys: readonly string[],
  signal: () => AbortSignal,
): readonly Promise<Look>[] {
  const answers = inTable(surroundings, view, keys, signal());
  return keys.map(async (key) => settledIn(await answers, key).answer);
}

type Result<T> = { readonly value: T } | { readonly error: Error };
type Results<T> = ReadonlyMap<string, Result<T>>;

function settledIn<T>(results: Results<T>, key: string): T {
  const result = results.get(key);
  if (result === undefined) throw new Error('a document has no answer');
  if ('error' in result) throw result.error;
  return result.value;
}

/** @param first the cache's answers to the keys, if it was asked; without `lookups` it has not answered */
async function throughCache(
  surroundings: Surroundings,
  view: AnyDocumentView,
  keys: readonly string[],
  signal: () => AbortSignal,
  first?: { readonly lookups: readonly LookupOrLease[] | undefined },
): Promise<Results<Look>> {
  const { cache, guard, counts } = surroundings;
  const results = new Map<string, Result<Look>>();
  // The cache rejects a call with a key that it cannot hold.
  const possible = keys.filter((key) => {
    const fault = nameFault(keyOf(view, key), MAX_KEY_BYTES);
    if (fault !== undefined) results.set(key, { error: new TypeError(`the key of a document ${fault}`) });
    return fault === undefined;
  });
  let known = first;
  for (let waiting = possible; waiting.length > 0; known = undefined) {
    const wanted = waiting;
    const { lookups } = known ?? { lookups: await guard.call(() => cache.getOrLease(wanted.map((key) => keyOf(view, key) as string))) };
    const missing = new Map<string, Lease | undefined>();
    const standing: string[] = [];
    for (const [i, key] of wanted.entries()) {
      const lookup = lookups?.[i];
      if (lookup !== undefined && lookup.type !== 'miss') {
        results.set(key, { value: fromCache(surroundings, lookup) });
      } else if (lookup?.lease.standingMs !== undefined) standing.push(key);
      else missing.set(key, lookup?.lease);
    }
    // First the own leases: two readers that waited for each other would wait in vain.
    if (missing.size > 0) await fill(surroundings, view, missing, results, signal());
    else if (standing.length > 0) await sleep(lookPauseMs(), undefined, { signal: signal() });
    counts.waited += standing.length;
    waiting = standing;
  }
  return results;
}

/** Reads documents from the table into `results`, and settles their leases. */
async function fill(
  surroundings: Surroundings,
  view: AnyDocumentView,
  leases: ReadonlyMap<string, Lease | undefined>,
  results: Map<string, Result<Look>>,
  signal: AbortSignal,
): Promise<void> {
  surroundings.counts.misses += leases.size;
  const fills: Fill[] = [];
  const keys = [...leases.keys()];
  const read = await inTable(surroundings, view, keys, signal).catch(
    (thrown) => new Map(keys.map((key) => [key, { error: asError(thrown) }])),
  );
  for (const [key, result] of read) {
    if ('error' in result) {
      results.set(key, result);
      continue;
    }
    const { answer, json } = result.value;
    results.set(key, { value: answer });
    const lease = leases.get(key);
    if (lease) fills.push({ lease, found: json === undefined ? { kind: 'document' } : { kind: 'document', json } });
  }
  const { settle, runAfter } = surroundings;
  if (fills.length === 0) return;
  if (runAfter) runAfter(() => settle(fills));
  else await settle(fills);
}

function fromCache({ counts }: Surroundings, lookup: Exclude<LookupOrLease, { readonly type: 'miss' }>): Look {
  counts[lookup.type === 'hit' ? 'hits' : 'gone'] += 1;
  if (lookup.type === 'gone') return { type: 'absent', by: 'cache' };
  return { type: 'found', value: lookup.value, by: 'cache', version: lookup.version };
}

/** What the table has, as an answer and as the JSON text of a fill. */
async function inTable(
  { table }: Surroundings,
  view: AnyDocumentView,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<Results<{ readonly answer: Look; readonly json?: string }>> {
  const results = new Map<string, Result<{ readonly answer: Look; readonly json?: string }>>();
  /** Keys of documents by the key of their item: one item may give several documents, and BatchGetItem takes no key twice. */
  const wanted = new Map<string, { readonly item: KeyAttributes; readonly keys: string[] }>();
  for (const key of keys) {
    let item: KeyAttributes | undefined;
    try {
      item = itemKeyOf(view, key);
    } catch (error) {
      results.set(key, { error: asError(error) });
      continue;
    }
    if (item === undefined) {
      results.set(key, { value: { answer: { type: 'absent', by: 'table' } } });
      continue;
    }
    const name = itemOf(item);
    const others = wanted.get(name);
    if (others) others.keys.push(key);
    else wanted.set(name, { item, keys: [key] });
  }
  const items = [...wanted.values()];
  const answers =
    items.length === 0
      ? []
      : await table.items(
          items.map(({ item }) => item),
          signal,
        );
  for (const [i, { keys: ofItem }] of items.entries()) {
    const answer = answers[i] ?? { error: new Error('the table gave fewer answers than keys') };
    for (const key of ofItem) {
      try {
        if ('error' in answer) throw answer.error;
        const read = valueIn(view, key, answer.item);
        results.set(key, {
          value: read
            ? { answer: { type: 'found', value: read.value, by: 'table' }, json: read.json }
            : { answer: { type: 'absent', by: 'table' } },
        });
      } catch (error) {
        results.set(key, { error: asError(error) });
      }
    }
  }
  return results;
}
