import { connectValkey, type ValkeyConnectionOptions } from './client.ts';

export interface SweepOptions extends ValkeyConnectionOptions {
  readonly namespace: string;
  /** Whether a document or a list stays. Called with its name, as `keyOf` makes it, for each of its keys. */
  keeps(name: string): boolean;
  /** True: remove nothing, and count what would be removed. */
  readonly dryRun: boolean;
}

/** The counts of a sweep so far, in keys of the server. A list has three keys, and a fourth while a lease stands. */
export interface Swept {
  /** Keys of the server at the start, of all namespaces. */
  readonly total: number;
  /** Keys of all namespaces that the sweep went past. Those that the server moves or adds meanwhile may count twice, or not at all. */
  seen: number;
  kept: number;
  removed: number;
  /** Keys of the namespace that are no documents and no parts of lists. They stay. */
  foreign: number;
}

/** The keys that one step looks at. The server serves other clients between the steps. */
const KEYS_A_STEP = 500;

/**
 * Goes through all keys of a namespace in small steps, and removes the documents and lists that are not to be kept. Yields the counts after each
 * step. Writing and reading may go on: removing a key is an eviction.
 *
 * @throws CacheUnavailableError when the server gives no answer. What was removed stays removed; a new sweep goes on.
 */
export async function* sweep({ namespace, keeps, dryRun, ...options }: SweepOptions): AsyncGenerator<Swept> {
  const connection = connectValkey(options);
  try {
    const primaries = await connection.primaries();
    const sizes = await Promise.all(primaries.map((node) => connection.call(() => node.dbsize())));
    const swept: Swept = { total: sizes.reduce((sum, size) => sum + size, 0), seen: 0, kept: 0, removed: 0, foreign: 0 };
    for (const [i, node] of primaries.entries()) {
      const steps = Math.max(1, Math.ceil((sizes[i] ?? 0) / KEYS_A_STEP));
      const before = swept.seen;
      let step = 0;
      let cursor = '0';
      do {
        const from = cursor;
        const [next, keys] = await connection.call(() => node.scan(from, 'MATCH', `${namespace}:*`, 'COUNT', KEYS_A_STEP));
        const doomed: string[] = [];
        for (const key of keys) {
          const name = nameIn(key.slice(namespace.length + 1));
          if (name === undefined) swept.foreign += 1;
          else if (keeps(name)) swept.kept += 1;
          else doomed.push(key);
        }
        if (doomed.length > 0 && !dryRun) await connection.call((commands) => commands.unlink(doomed));
        swept.removed += doomed.length;
        step += 1;
        cursor = next;
        swept.seen = before + (cursor === '0' ? (sizes[i] ?? 0) : Math.min(sizes[i] ?? 0, Math.round(((sizes[i] ?? 0) * step) / steps)));
        yield { ...swept };
      } while (cursor !== '0');
    }
  } finally {
    await connection.close();
  }
}

/**
 * Lists the documents and lists of a namespace in small steps, each once, unless the server moves its keys meanwhile. Yields the names of each step, as `keyOf`
 * makes them.
 *
 * @throws CacheUnavailableError when the server gives no answer
 */
export async function* cacheNames({
  namespace,
  ...options
}: ValkeyConnectionOptions & Pick<SweepOptions, 'namespace'>): AsyncGenerator<readonly string[]> {
  const connection = connectValkey(options);
  try {
    for (const node of await connection.primaries()) {
      let cursor = '0';
      do {
        const from = cursor;
        const [next, keys] = await connection.call(() => node.scan(from, 'MATCH', `${namespace}:*`, 'COUNT', KEYS_A_STEP));
        yield namesIn(keys, namespace);
        cursor = next;
      } while (cursor !== '0');
    }
  } finally {
    await connection.close();
  }
}

/** The keys that one call asks for. */
const RANDOM_KEYS = 100;
/** After this number of calls that gave no key of the namespace, others have nearly all keys of the server. */
const MOST_VAIN_CALLS = 100;

/**
 * Names documents and lists of a namespace at random, as `keyOf` makes them, without end; one may come several times. Ends if it finds none.
 *
 * @throws CacheUnavailableError when the server gives no answer
 */
export async function* randomNames({
  namespace,
  random = Math.random,
  ...options
}: ValkeyConnectionOptions & Pick<SweepOptions, 'namespace'> & { readonly random?: () => number }): AsyncGenerator<readonly string[]> {
  const connection = connectValkey(options);
  try {
    const primaries = await connection.primaries();
    const sizes = await Promise.all(primaries.map((node) => connection.call(() => node.dbsize())));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    for (let vain = 0; total > 0 && vain < MOST_VAIN_CALLS; ) {
      let place = random() * total;
      const i = sizes.findIndex((size) => {
        place -= size;
        return place < 0;
      });
      const node = primaries[Math.max(0, i)] as (typeof primaries)[number];
      const keys = await connection.call(() => Promise.all(Array.from({ length: RANDOM_KEYS }, () => node.randomkey())));
      const names = namesIn(
        keys.filter((key) => key?.startsWith(`${namespace}:`)).map((key) => key ?? ''),
        namespace,
      );
      vain = names.length > 0 ? 0 : vain + 1;
      yield names;
    }
  } finally {
    await connection.close();
  }
}

/** The names of documents and lists. Of the keys of a list, one stands for the list. */
function namesIn(keys: readonly string[], namespace: string): readonly string[] {
  const own = keys.map((key) => key.slice(namespace.length + 1));
  return own.filter((key) => key.startsWith('doc:') || key.endsWith(':members')).flatMap((key) => nameIn(key) ?? []);
}

/** The name of the document or list that a key belongs to; undefined if it belongs to none. @param key without the namespace */
function nameIn(key: string): string | undefined {
  const list = /^list:\{([^}]*)\}:(?:members|scores|peaks|lease)$/s.exec(key)?.[1];
  if (list !== undefined) return list.replace(/%(?:25|7D)/g, decodeURIComponent);
  return key.startsWith('doc:') ? key.slice('doc:'.length) : undefined;
}
