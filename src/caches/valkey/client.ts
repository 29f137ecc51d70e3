import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { AbstractConnector, Cluster, Redis, type RedisOptions } from 'iovalkey';
import { asError, CacheUnavailableError } from '../../errors.ts';
import type { Login } from './login.ts';
import { APPLY } from './scripts/apply.ts';
import { LEASE_DOCUMENT } from './scripts/lease-document.ts';
import { LEASE_LIST } from './scripts/lease-list.ts';
import { PAGE } from './scripts/page.ts';
import { SETTLE_DOCUMENT } from './scripts/settle-document.ts';
import { SETTLE_LIST } from './scripts/settle-list.ts';
import { parseCacheUrl } from './url.ts';

export interface ValkeyConnectionOptions {
  /** `valkey://` or `redis://`; with TLS `valkeys://` or `rediss://`. May contain a user, a password and a database number. */
  readonly url: string;
  /** For `valkeys://`: options of `node:tls`, for example `{ ca }` for a private certificate authority. Default: `{}`. */
  readonly tls?: TlsOptions;
  /** Passwords that expire, for example ElastiCache's IAM tokens (`elastiCacheLogin`). Default: user and password of the URL. */
  readonly login?: Login;
  /** True if the server is a cluster; `url` is then one of its nodes or its configuration endpoint. Default: false. */
  readonly cluster?: boolean;
  /** Timeout of opening one connection, ms. Default: 1,000. */
  readonly connectTimeoutMs?: number;
  /** Timeout of one command on one connection, ms. Default: 2,000. */
  readonly commandTimeoutMs?: number;
  /**
   * Timeout of one call of the cache with all retries, reconnections and redirections, ms. Keep it below the function's timeout. Default:
   * 5,000.
   */
  readonly deadlineMs?: number;
}

type Script = (keyCount: number, ...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** The commands that this backend sends. A script is sent as its digest, and as its text to a server that does not know the digest. */
interface Commands {
  /** Unlike GET, answers null for a key of another type. */
  mget(keys: string[]): Promise<(string | null)[]>;
  readonly millraceApply: Script;
  readonly millracePage: Script;
  readonly millraceLeaseDocument: Script;
  readonly millraceSettleDocument: Script;
  readonly millraceLeaseList: Script;
  readonly millraceSettleList: Script;
}

const SCRIPTS: Record<Exclude<keyof Commands, 'mget'>, string> = {
  millraceApply: APPLY,
  millracePage: PAGE,
  millraceLeaseDocument: LEASE_DOCUMENT,
  millraceSettleDocument: SETTLE_DOCUMENT,
  millraceLeaseList: LEASE_LIST,
  millraceSettleList: SETTLE_LIST,
};

export interface ValkeyConnection {
  /** @throws CacheUnavailableError when there is no answer within the deadline, or the server refuses the command. */
  call<T>(send: (commands: Commands) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Connects at the first call, and again whenever the connection is lost. */
export function connectValkey(options: ValkeyConnectionOptions): ValkeyConnection {
  const { connectTimeoutMs = 1_000, commandTimeoutMs = 2_000, deadlineMs = 5_000 } = options;
  const { port, host, tls, username, password, db } = parseCacheUrl(options.url, options.cluster);
  const redisOptions: RedisOptions = {
    ...(username && { username }),
    ...(password && { password }),
    ...(tls && { tls: options.tls ?? {} }),
    ...options.login?.options(AbstractConnector),
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    // Replaces a connection that died silently, for example while the function was frozen, instead of waiting for it.
    socketTimeout: commandTimeoutMs,
    keepAlive: 30_000,
    // Sends a command again if its reply was lost. Applying it twice is harmless.
    maxRetriesPerRequest: 3,
    retryStrategy: reconnectDelayMs,
  };
  const client = options.cluster
    ? new Cluster([{ host, port }], {
        lazyConnect: true,
        redisOptions,
        clusterRetryStrategy: reconnectDelayMs,
        slotsRefreshTimeout: connectTimeoutMs,
        // Keeps host names unresolved, because the certificate of a managed cluster names its hosts.
        ...(tls && { dnsLookup: (address: string, done: (error: null, address: string) => void) => done(null, address) }),
      })
    : new Redis({ ...redisOptions, host, port, db, lazyConnect: true });
  // Without a listener the client would print its errors. Callers see them in the calls that fail.
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
        // Without a cause: the client's errors contain the command, and so values of items.
        const reason = asError(error).message;
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

/** From 50 ms to 1 s, doubling. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 6), 1_000);
}
