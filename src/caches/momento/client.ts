import { randomUUID } from 'node:crypto';
import {
  type CacheClient,
  MomentoErrorCode as Code,
  Configurations,
  type CredentialProvider,
  FixedCountRetryStrategy,
  CacheClient as MomentoClient,
  NoopMomentoLoggerFactory,
} from '@gomomento/sdk';
import { CacheUnavailableError, ConfigurationError } from '../../errors.ts';
import type { MomentoAccess, MomentoKey } from './access.ts';
import { localProvider, providerOf, readKey } from './credentials.ts';
import { type Deadline, deadlineIn, pause, remaining } from './deadline.ts';
import { type Failed, isFailed, isPassing, isTimeout, keyRefused, refusal } from './refusal.ts';

export interface MomentoConnectionOptions {
  readonly cacheName: string;
  readonly access: MomentoAccess;
  /** Makes the SDK's provider of a key, for endpoints that are not Momento's public ones: a private link, a server for tests. */
  readonly provider?: (key: MomentoKey) => CredentialProvider;
  /** For one call of the service, ms. */
  readonly commandTimeoutMs?: number;
  /** For one call of the cache with all its tries, ms. Keep it below the function's timeout. */
  readonly deadlineMs?: number;
}

type Send<Answer> = (client: CacheClient, signal: AbortSignal) => Promise<Answer>;

export interface Connection {
  /**
   * Sends a call, and the same again while it fails in a way that may pass. So it must be one that may be applied twice.
   *
   * @throws CacheUnavailableError when there is no answer within the deadline, or the service refuses.
   */
  call<Answer extends object>(deadline: Deadline, send: Send<Answer>): Promise<Exclude<Answer, Failed>>;
  /** A hash of bytes that no cell holds; absent when Momento did not answer at the start. */
  readonly sample?: Uint8Array;
  /** After the last call. */
  close(): void;
}

interface Session {
  readonly client: CacheClient;
  readonly key?: MomentoKey;
}

const FIRST_PAUSE_MS = 25;
const PROBE_TTL_SECONDS = 60;
/** A secret is not read again sooner after it was read again, ms. */
const SECRET_REST_MS = 60_000;

/**
 * Connects, and writes to `probe`, a key of no other use, so that a wrong API key or cache name is told at once. A service that does not
 * answer now may do so later: that is no fault of the start.
 *
 * @throws ConfigurationError that says what to set.
 */
export async function connect(options: MomentoConnectionOptions, probe: string): Promise<Connection> {
  const { cacheName, access, provider = providerOf, commandTimeoutMs = 2_000, deadlineMs = 5_000 } = options;
  const loggerFactory = new NoopMomentoLoggerFactory();
  const configuration = Configurations.Lambda.latest(loggerFactory)
    .withClientTimeoutMillis(commandTimeoutMs)
    // The SDK would repeat reads alone, and without a pause.
    .withRetryStrategy(new FixedCountRetryStrategy({ loggerFactory, maxAttempts: 0 }));
  const sessions = new Set<Session>();
  let renewal: Promise<void> | undefined;
  let renewedAt = -Infinity;

  const open = async (key: MomentoKey | undefined): Promise<Session> => {
    const credentialProvider = access.kind === 'local' ? localProvider(access) : provider(key as MomentoKey);
    // Connects at the first call. Every write has a TTL of its own.
    const client = await MomentoClient.create({ configuration, credentialProvider, defaultTtlSeconds: 60, eagerConnectTimeout: 0 });
    const session = { client, ...(key && { key }) };
    sessions.add(session);
    return session;
  };
  const closeSession = (session: Session): void => {
    if (sessions.delete(session)) session.client.close();
  };
  const close = (): void => {
    for (const session of sessions) closeSession(session);
  };
  let current = await open(access.kind === 'local' ? undefined : await readKey(access));

  /** A key that was refused may have been replaced in its secret. */
  const renew = async (session: Session): Promise<void> => {
    if (session !== current) return;
    const refused = () => refusal(Code.AUTHENTICATION_ERROR, cacheName, access);
    if (access.kind !== 'secret' || performance.now() - renewedAt < SECRET_REST_MS) throw refused();
    renewedAt = performance.now();
    const key = await readKey(access).catch((error: Error) => {
      throw new CacheUnavailableError(`Momento cache "${cacheName}": ${keyRefused(access)}; ${error.message}`);
    });
    if (key.apiKey === session.key?.apiKey && key.endpoint === session.key.endpoint) throw refused();
    current = await open(key);
    // Its calls have ended by then.
    setTimeout(closeSession, commandTimeoutMs, session).unref();
  };
  const renewOnce = (session: Session): Promise<void> => {
    renewal ??= renew(session).finally(() => {
      renewal = undefined;
    });
    return renewal;
  };
  const attempt = async <Answer extends object>(session: Session, deadline: Deadline, send: Send<Answer>): Promise<Answer | Failed> => {
    const controller = new AbortController();
    // A batch has no timeout in the SDK.
    const timer = setTimeout(() => controller.abort(), Math.min(commandTimeoutMs, remaining(deadline)));
    try {
      return await send(session.client, controller.signal);
    } catch {
      return { errorCode: () => Code.UNKNOWN_ERROR };
    } finally {
      clearTimeout(timer);
    }
  };
  const ask = () =>
    attempt(current, deadlineIn(deadlineMs), (client, abortSignal) =>
      client.setWithHash(cacheName, probe, randomUUID(), { ttl: PROBE_TTL_SECONDS, abortSignal }),
    );

  let asked: Awaited<ReturnType<typeof ask>>;
  try {
    asked = await ask();
    if (isFailed(asked) && asked.errorCode() === Code.AUTHENTICATION_ERROR) {
      await renewOnce(current);
      asked = await ask();
    }
    if (isFailed(asked) && !isPassing(asked.errorCode())) throw refusal(asked.errorCode(), cacheName, access);
  } catch (error) {
    close();
    throw new ConfigurationError((error as Error).message);
  }
  return {
    async call(deadline, send) {
      let reason: Code | undefined;
      for (let tries = 1; ; tries += 1) {
        const session = current;
        const answer = await attempt(session, deadline, send);
        if (!isFailed(answer)) return answer as Exclude<typeof answer, Failed>;
        const code = answer.errorCode();
        if (code === Code.AUTHENTICATION_ERROR) {
          await renewOnce(session);
          continue;
        }
        if (!isPassing(code)) throw refusal(code, cacheName, access);
        // The last try often ends with the deadline, whatever was wrong before.
        reason = isTimeout(code) ? (reason ?? code) : code;
        if (!(await pause(tries - 1, FIRST_PAUSE_MS, deadline))) throw refusal(reason, cacheName, access, ` (tried ${tries} times)`);
      }
    },
    ...('hashUint8Array' in asked && { sample: asked.hashUint8Array() }),
    close,
  };
}
