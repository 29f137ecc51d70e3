import { MomentoLocalProvider } from '@gomomento/sdk';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { Caches } from './caches.ts';
import { Calls } from './calls.ts';
import { type Counter, Counters } from './counters.ts';
import type { OnCall } from './faults.ts';
import { nameOfText, textOf } from './item.ts';
import { Keyspace } from './keyspace.ts';
import { type Limits, ON_DEMAND } from './limits.ts';
import { momentoServices } from './services.ts';
import { Staleness, type StaleReads } from './staleness.ts';

export { type Fault, hanging, late, lostReply, throttled, unavailable } from './faults.ts';

export interface MomentoOptions {
  /** Names of the caches that exist from the start. */
  readonly caches?: readonly string[];
  /** `true` refuses calls on other caches with NOT_FOUND, as the service does; `false` creates the cache. Default: true. */
  readonly strictCaches?: boolean;
  readonly limits?: Partial<Limits>;
  /** `reject` refuses a plain write on a key that had a conditional one, and the reverse. Default: `allow`. */
  readonly casMixing?: 'allow' | 'reject';
  readonly onCall?: OnCall;
  readonly staleReads?: StaleReads;
  /** The accepted API keys. Default: every call is accepted. */
  readonly apiKeys?: Iterable<string>;
  /** The delay of every call before it is applied, ms. Default: 0. */
  readonly latencyMs?: number;
  /** Default: a free port. */
  readonly port?: number;
}

/** Momento's cache service in this process, for the real SDK. It stores its items in memory. */
export interface MomentoServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly url: string;
  provider(): MomentoLocalProvider;
  /** Replaces the fault hook. `undefined` removes it. */
  onCall(hook: OnCall | undefined): void;
  /** Replaces the accepted API keys. `undefined` accepts every call. */
  accept(apiKeys: Iterable<string> | undefined): void;
  /** Evicts a key, as the service may at any moment. Returns false where the key is absent. */
  evict(cache: string, key: string): boolean;
  /** Evicts all items of a cache, or of all caches. */
  flush(cache?: string): void;
  /** The keys of a cache, as text. */
  keys(cache: string): string[];
  /** Moves the server's clock forward, so that TTLs end. */
  advance(ms: number): void;
  /** The counters of every rpc that was called, by its name. */
  counters(): Readonly<Record<string, Counter>>;
  /** The number of calls of one rpc, or of all. */
  calls(rpc?: string): number;
  resetCounters(): void;
  /** Tells all clients to go to new connections (GOAWAY), and closes the present ones when their calls have ended. */
  drain(): void;
  /** Ends every call and connection. Close the clients first. */
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';

export async function startMomentoServer(options: MomentoOptions = {}): Promise<MomentoServer> {
  let hook = options.onCall;
  let accepted = options.apiKeys === undefined ? undefined : new Set(options.apiKeys);
  let ahead = 0;
  const now = () => Date.now() + ahead;
  const limits = { ...ON_DEMAND, ...options.limits };
  const staleness = options.staleReads;
  const rejectsMixing = options.casMixing === 'reject';
  const keyspace = () => new Keyspace({ now, rejectsMixing, staleness: staleness && new Staleness(staleness) });
  const caches = new Caches({ limits, strict: options.strictCaches ?? true, keyspace });
  for (const name of options.caches ?? []) caches.create(name);

  const counters = new Counters();
  const calls = new Calls({ counters, accepted: () => accepted, onCall: () => hook, latencyMs: options.latencyMs ?? 0 });
  const server = momentoServices(caches, calls, counters);
  const port = await listen(server, options.port ?? 0);
  return {
    host: HOST,
    port,
    url: `${HOST}:${port}`,
    provider: () => new MomentoLocalProvider({ hostname: HOST, port }),
    onCall: (it) => {
      hook = it;
    },
    accept: (apiKeys) => {
      accepted = apiKeys === undefined ? undefined : new Set(apiKeys);
    },
    evict: (cache, key) => {
      const [space, name] = [caches.existing(cache), nameOfText(key)];
      const held = space.current(name) !== undefined;
      if (held) space.drop(name);
      return held;
    },
    flush: (cache) => (cache === undefined ? caches.clear() : caches.existing(cache).clear()),
    keys: (cache) => caches.existing(cache).names().map(textOf),
    advance: (ms) => {
      ahead += ms;
    },
    counters: () => counters.all(),
    calls: (rpc) => {
      const all = counters.all();
      return rpc === undefined ? Object.values(all).reduce((sum, { calls }) => sum + calls, 0) : (all[rpc]?.calls ?? 0);
    },
    resetCounters: () => {
      counters.reset();
      calls.forgetAttempts();
    },
    drain: () => server.drain(`${HOST}:${port}`, 60_000),
    stop: async () => {
      calls.close();
      server.forceShutdown();
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
}
