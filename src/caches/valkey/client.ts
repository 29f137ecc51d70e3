import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'iovalkey';
import { fullJitter } from '../../backoff.ts';
import { asError, CacheUnavailableError } from '../../errors.ts';
import { connectorWith } from './connector.ts';
import { type ConnectionFacts, isFinal, isFormerPrimary, isPassing, isVague, plainMessage, wayOut } from './faults.ts';
import type { Login } from './login.ts';
import { callScript, NotExecutedError, type Script, scriptOf } from './script-call.ts';
import { APPLY } from './scripts/apply.ts';
import { GET_OR_LEASE_DOCUMENTS, LEASE_DOCUMENTS } from './scripts/lease-documents.ts';
import { LEASE_LIST } from './scripts/lease-list.ts';
import { PAGE } from './scripts/page.ts';
import { SETTLE_DOCUMENTS } from './scripts/settle-documents.ts';
import { SETTLE_LIST } from './scripts/settle-list.ts';
import { SURVEY_LISTS } from './scripts/survey-lists.ts';
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

type Argument = string | number | Buffer;

/** The commands that this backend sends. A script takes the number of its keys, the keys, and its arguments. */
interface Commands {
  /** Unlike GET, answers null for a key of another type. */
  mget(keys: string[]): Promise<(string | null)[]>;
  /** Removes keys of any slots and types. */
  unlink(keys: readonly string[]): Promise<unknown>;
  millraceApply(...args: readonly Argument[]): Promise<unknown>;
  millracePage(...args: readonly Argument[]): Promise<unknown>;
  millraceGetOrLeaseDocuments(...args: readonly Argument[]): Promise<unknown>;
  millraceLeaseDocuments(...args: readonly Argument[]): Promise<unknown>;
  millraceSettleDocuments(...args: readonly Argument[]): Promise<unknown>;
  millraceLeaseList(...args: readonly Argument[]): Promise<unknown>;
  millraceSettleList(...args: readonly Argument[]): Promise<unknown>;
  millraceSurveyLists(...args: readonly Argument[]): Promise<unknown>;
}

const SCRIPTS = {
  apply: scriptOf(APPLY, true),
  page: scriptOf(PAGE, false),
  getOrLeaseDocuments: scriptOf(GET_OR_LEASE_DOCUMENTS, true),
  leaseDocuments: scriptOf(LEASE_DOCUMENTS, true),
  settleDocuments: scriptOf(SETTLE_DOCUMENTS, true),
  leaseList: scriptOf(LEASE_LIST, true),
  settleList: scriptOf(SETTLE_LIST, true),
  surveyLists: scriptOf(SURVEY_LISTS, true),
};

/** The commands of one attempt. The server executes no script of it after the deadline. */
class Attempt implements Commands {
  readonly #client: Redis | Cluster;
  readonly #deadline: number;

  constructor(client: Redis | Cluster, deadline: number) {
    this.#client = client;
    this.#deadline = deadline;
  }

  mget(keys: string[]) {
    return this.#client.mget(keys);
  }

  unlink(keys: readonly string[]) {
    // The keys of one command must share a slot of a cluster.
    if ('nodes' in this.#client) return Promise.all(keys.map((key) => this.#client.unlink(key)));
    return this.#client.unlink(...keys);
  }

  millraceApply(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.apply, args);
  }

  millracePage(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.page, args);
  }

  millraceGetOrLeaseDocuments(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.getOrLeaseDocuments, args);
  }

  millraceLeaseDocuments(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.leaseDocuments, args);
  }

  millraceSettleDocuments(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.settleDocuments, args);
  }

  millraceLeaseList(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.leaseList, args);
  }

  millraceSettleList(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.settleList, args);
  }

  millraceSurveyLists(...args: readonly Argument[]) {
    return this.#script(SCRIPTS.surveyLists, args);
  }

  #script(script: Script, args: readonly Argument[]) {
    return callScript(this.#client, script, args, this.#deadline);
  }
}

export interface ValkeyConnection {
  /**
   * Sends commands, and sends all of them again while the server's answer is one that passes.
   *
   * @throws CacheUnavailableError when there is no answer within the deadline, or the server refuses the command.
   */
  call<T>(send: (commands: Commands) => Promise<T>): Promise<T>;
  /** Connects, and returns the server, or the primaries of a cluster. @throws CacheUnavailableError as `call` does */
  primaries(): Promise<readonly Redis[]>;
  /** Waits for the calls under way, and closes the connection. No call may follow. */
  close(): Promise<void>;
}

/** Connects at the first call, and again whenever the connection is lost. */
export function connectValkey(options: ValkeyConnectionOptions): ValkeyConnection {
  const { connectTimeoutMs = 1_000, commandTimeoutMs = 2_000, deadlineMs = 5_000, login } = options;
  const { port, host, tls, username, password, db } = parseCacheUrl(options.url, options.cluster);
  const facts: ConnectionFacts = { tls, cluster: options.cluster ?? false, iam: login !== undefined };
  const credentials = login ?? { username, password };
  const hasCredentials = login !== undefined || password !== '';
  /** Why the connection was lost, or why it could not be opened. */
  let lastFailure: string | undefined;
  let databaseFault: string | undefined;
  const underWay = new Set<Promise<unknown>>();

  const onFailure = (error: Error): void => {
    const message = plainMessage(error.message);
    if (lastFailure === undefined || !isVague(message)) lastFailure = message;
  };
  /** Why no call can succeed; undefined if one may. */
  const finalFault = (): string | undefined => {
    const failure = databaseFault ?? namelessHosts(client) ?? (client.status === 'ready' ? undefined : lastFailure);
    return failure !== undefined && isFinal(failure) ? failure : undefined;
  };
  /** Null ends the client; the next call connects it again. */
  const reconnectDelayMs = (attempt: number): number | null =>
    // From 50 ms to 1 s, doubling.
    finalFault() === undefined ? Math.min(25 * 2 ** Math.min(attempt, 6), 1_000) : null;

  const redisOptions: RedisOptions = {
    ...(credentials.username && { username: credentials.username }),
    // The client converts the password to a string only when it logs in.
    ...(hasCredentials && { password: credentials.password as string }),
    ...(tls && { tls: options.tls ?? {} }),
    Connector: connectorWith({ ...(login && { prepare: () => login.prepare() }), onFailure }),
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    // Replaces a connection that died silently, for example while the function was frozen, instead of waiting for it.
    socketTimeout: commandTimeoutMs,
    keepAlive: 30_000,
    // Sends a command again if its reply was lost. Applying it twice is harmless.
    maxRetriesPerRequest: 3,
    retryStrategy: reconnectDelayMs,
    // Called for each error reply, before the client acts on it. True makes it reconnect.
    reconnectOnError(error) {
      error.message = plainMessage(error.message);
      const { message } = error;
      const { command } = error as { command?: { name: string } };
      if (command?.name === 'select') {
        if (/^NOAUTH|max number of clients/.test(message)) onFailure(error);
        else databaseFault = `database ${db} cannot be selected: ${message}`;
        return true;
      }
      if (client.status !== 'ready' && (command?.name === 'auth' || command?.name === 'cluster')) onFailure(error);
      return isFormerPrimary(message) || (hasCredentials && message.startsWith('NOAUTH'));
    },
  };
  const client: Redis | Cluster = options.cluster
    ? new Cluster([{ host, port }], {
        lazyConnect: true,
        redisOptions,
        clusterRetryStrategy: reconnectDelayMs,
        slotsRefreshTimeout: connectTimeoutMs,
        // Leaves host names to the connection, because the certificate of a managed cluster names its hosts.
        dnsLookup: (address, done) => done(null, address),
      })
    : new Redis({ ...redisOptions, host, port, db, lazyConnect: true });
  // Without a listener the client would print its errors. Callers see them in the calls that fail.
  client.on('error', (error: Error & { lastNodeError?: Error }) => {
    // The connector has reported what has a code.
    if (!('code' in error)) onFailure(error.lastNodeError ?? error);
  });
  client.on('ready', () => {
    lastFailure = undefined;
  });

  const isRepeatable = (error: Error): boolean =>
    error instanceof NotExecutedError || isPassing(error.message) || (hasCredentials && error.message.startsWith('NOAUTH'));
  const unavailable = (reason: string): CacheUnavailableError => {
    const connection = lastFailure !== undefined && reason.includes(lastFailure) ? undefined : lastFailure;
    const what = connection === undefined ? reason : isVague(reason) ? connection : `${reason} (connection: ${connection})`;
    const advice = wayOut(reason, facts) ?? wayOut(connection ?? '', facts);
    // Without a cause: the client's errors contain the command, and so values of items.
    return new CacheUnavailableError(`cache at ${host}:${port}: ${what}${advice === undefined ? '' : `: ${advice}`}`);
  };

  const callUntilDeadline: ValkeyConnection['call'] = async (send) => {
    login?.renew(() => ('nodes' in client ? client.nodes() : [client]));
    const deadline = performance.now() + deadlineMs;
    let reason = `no answer in ${deadlineMs} ms`;
    let isOver = false;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        isOver = true;
        reject(new Error(reason));
      }, deadlineMs);
    });
    // The first repetition follows at once, because a new connection is pause enough.
    let [refusals, corrections] = [0, 0];
    const pauseMs = (error: Error): number => {
      if (!(error instanceof NotExecutedError)) return refusals++ === 0 ? 0 : fullJitter(refusals, 25, 500);
      return corrections++ < 4 ? 0 : 100;
    };
    try {
      for (;;) {
        if (client.status === 'end') {
          databaseFault = undefined;
          lastFailure = undefined;
          client.connect().catch(() => {});
        }
        try {
          const attempt = new Attempt(client, Math.min(deadline, performance.now() + commandTimeoutMs));
          const answer = await Promise.race([send(attempt), timeout]);
          lastFailure = undefined;
          return answer;
        } catch (thrown) {
          const error = asError(thrown);
          const fault = finalFault();
          if (fault !== undefined) reason = fault;
          else if (!(error instanceof NotExecutedError)) reason = error.message;
          const delayMs = pauseMs(error);
          isOver ||= fault !== undefined || !isRepeatable(error) || performance.now() + delayMs >= deadline;
          if (isOver) throw unavailable(reason);
          if (delayMs > 0) await sleep(delayMs);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  };

  const connection: ValkeyConnection = {
    call(send) {
      const call = callUntilDeadline(send).finally(() => underWay.delete(call));
      underWay.add(call);
      return call;
    },
    async primaries() {
      await connection.call((commands) => commands.mget(['millrace:probe']));
      return 'nodes' in client ? client.nodes('master') : [client];
    },
    async close() {
      // First, because a cluster client that is closing does not send a call again, and does not reject it.
      await Promise.allSettled(underWay);
      if (client.status === 'ready') {
        await Promise.race([client.quit().catch(() => {}), sleep(commandTimeoutMs, undefined, { ref: false })]);
      }
      client.disconnect();
    },
  };
  return connection;
}

/** What is wrong with the hosts that a cluster names; undefined if nothing is. */
function namelessHosts(client: Redis | Cluster): string | undefined {
  if (!('slots' in client)) return undefined;
  // Slots that no node serves are undefined.
  const slots: readonly (readonly string[] | undefined)[] = client.slots;
  const nameless = slots.find((nodes) => nodes && (nodes.length === 0 || nodes[0]?.startsWith('?:')));
  return nameless && `the cluster does not tell the hosts of its nodes: CLUSTER SLOTS answers ${nameless.length === 0 ? 'null' : '"?"'}`;
}
