import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { AbstractConnector, Cluster, Redis, type RedisOptions } from 'iovalkey';
import { CacheUnavailableError } from '../../errors.ts';
import type { Login } from './login.ts';
import { APPLY, LEASE_DOCUMENT, LEASE_LIST, PAGE, SETTLE_DOCUMENT, SETTLE_LIST } from './scripts.ts';
import { parseCacheUrl } from './url.ts';

export interface ConnectionOptions {
  /** `valkey://` or `redis://`; with TLS `valkeys://` or `rediss://`. May carry user, password and a database number. */
  readonly url: string;
  /** For `valkeys://`: what `node:tls` takes, a private certificate authority say (`{ ca }`). */
  readonly tls?: TlsOptions;
  /** Instead of user and password in the URL: passwords that expire, ElastiCache's IAM tokens say (`elastiCacheLogin`). */
  readonly login?: Login;
  /** The server is a cluster, and `url` one of its nodes or its configuration endpoint. */
  readonly cluster?: boolean;
  /** ms */
  readonly connectTimeoutMs?: number;
  /** For one command on one connection, ms. */
  readonly commandTimeoutMs?: number;
  /** For one call of the cache with all its retries, reconnections and redirections, ms. Keep it below the function's timeout. */
  readonly deadlineMs?: number;
}

type Script = (keyCount: number, ...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** The commands that this backend sends. Scripts go by their digest, and are sent whole to a server that does not know them. */
export interface Commands {
  get(key: string): Promise<string | null>;
  mget(keys: string[]): Promise<(string | null)[]>;
  readonly millraceApply: Script;
  readonly millracePage: Script;
  readonly millraceLeaseDocument: Script;
  readonly millraceSettleDocument: Script;
  readonly millraceLeaseList: Script;
  readonly millraceSettleList: Script;
}

const SCRIPTS: Record<Exclude<keyof Commands, 'get' | 'mget'>, string> = {
  millraceApply: APPLY,
  millracePage: PAGE,
  millraceLeaseDocument: LEASE_DOCUMENT,
  millraceSettleDocument: SETTLE_DOCUMENT,
  millraceLeaseList: LEASE_LIST,
  millraceSettleList: SETTLE_LIST,
};

export interface Connection {
  /** @throws CacheUnavailableError when there is no answer within the deadline, or the server refuses. */
  call<T>(send: (commands: Commands) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Connects at the first call, and again whenever the connection is lost. */
export function connect(options: ConnectionOptions): Connection {
  const { connectTimeoutMs = 1_000, commandTimeoutMs = 2_000, deadlineMs = 5_000 } = options;
  const { port, host, tls, username, password, db } = parseCacheUrl(options.url, options.cluster);
  const redisOptions: RedisOptions = {
    ...(username && { username }),
    ...(password && { password }),
    ...(tls && { tls: options.tls ?? {} }),
    ...options.login?.options(AbstractConnector),
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    // A connection that was dropped without a word (a frozen function, a firewall) is given up, not waited for.
    socketTimeout: commandTimeoutMs,
    keepAlive: 30_000,
    // A command whose reply was lost is sent again: applying it twice is harmless.
    maxRetriesPerRequest: 3,
    retryStrategy: backoff,
  };
  const client = options.cluster
    ? new Cluster([{ host, port }], {
        lazyConnect: true,
        redisOptions,
        clusterRetryStrategy: backoff,
        slotsRefreshTimeout: connectTimeoutMs,
        // A managed cluster's certificate names its hosts: keep the names, do not resolve them.
        ...(tls && { dnsLookup: (address: string, done: (error: null, address: string) => void) => done(null, address) }),
      })
    : new Redis({ ...redisOptions, host, port, db, lazyConnect: true });
  // Without a listener the client prints its errors; they reach the caller by the calls that fail.
  let lastError: Error | undefined;
  client.on('error', (error: Error) => {
    lastError = error;
  });
  client.on('ready', () => {
    lastError = undefined;
  });
  for (const [name, lua] of Object.entries(SCRIPTS)) client.defineCommand(name, { lua });
  const commands = client as unknown as Commands;

  return {
    async call(send) {
      options.login?.renew(() => ('nodes' in client ? client.nodes() : [client]));
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer in ${deadlineMs} ms`)), deadlineMs);
      });
      try {
        return await Promise.race([send(commands), deadline]);
      } catch (error) {
        // Not as the cause: the client's errors carry the command, and so values of items.
        const reason = error instanceof Error ? error.message : String(error);
        const connection = lastError && lastError.message !== reason ? ` (connection: ${lastError.message})` : '';
        throw new CacheUnavailableError(`cache at ${host}:${port}: ${reason}${connection}`);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      if (client.status === 'ready')
        await Promise.race([client.quit().catch(() => {}), new Promise((done) => setTimeout(done, commandTimeoutMs).unref())]);
      client.disconnect();
    },
  };
}

function backoff(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 6), 1_000);
}
