import { randomUUID } from 'node:crypto';
import {
  type CacheClient,
  MomentoErrorCode as Code,
  Configurations,
  type CredentialProvider,
  FixedCountRetryStrategy,
  NoopMomentoLoggerFactory,
} from '@gomomento/sdk';
import { CacheUnavailableError, ConfigurationError } from '../../errors.ts';
import type { MomentoAccess, MomentoKey } from './access.ts';
import { localProvider, providerOf, readKey } from './credentials.ts';
import { type Deadline, deadlineIn, remaining, waitForRetry } from './deadline.ts';
import { type Failed, isFailed, isTimeout, isTransientCode, isUnreachable, keyRefused, refusal } from './refusal.ts';
import { Session } from './session.ts';
import { SharedPause } from './shared-pause.ts';

export interface MomentoConnectionOptions {
  readonly cacheName: string;
  readonly access: MomentoAccess;
  /**
   * Makes the SDK's credential provider for an endpoint that is not public, such as a private link. Default: that of the public endpoint.
   */
  readonly provider?: (key: MomentoKey) => CredentialProvider;
  /** Timeout of one call of Momento, ms. Default: 2,000. */
  readonly commandTimeoutMs?: number;
  /** Timeout of one call of the cache with all its retries, ms. Keep it below the function's timeout. Default: 5,000. */
  readonly deadlineMs?: number;
}

type Send<Answer> = (client: CacheClient, signal: AbortSignal) => Promise<Answer>;

export interface MomentoConnection {
  /**
   * Sends a call, and repeats it after a transient failure until the deadline. So the call must be one that may be executed twice. Nothing is
   * sent after the deadline.
   *
   * @throws CacheUnavailableError when there is no answer within the deadline, or Momento refuses the call
   */
  call<Answer extends object>(deadline: Deadline, send: Send<Answer>): Promise<Exclude<Answer, Failed>>;
  /** The hash of bytes that no cell holds; absent if Momento did not answer when the connection was made. */
  readonly sample?: Uint8Array;
  /** No call may follow. */
  close(): void;
}

const FIRST_WAIT_MS = 25;
const PROBE_TTL_SECONDS = 60;
/** The shortest time between two renewals of the key from its secret, ms. */
const RENEWAL_INTERVAL_MS = 60_000;

/**
 * Connects, and writes one value, so that a wrong API key or cache name is found at once. It is no fault if Momento does not answer,
 * because it may answer later.
 *
 * @param probe the key of that value, which nothing else uses
 * @throws ConfigurationError that says what to set
 */
export async function connectMomento(options: MomentoConnectionOptions, probe: string): Promise<MomentoConnection> {
  const { cacheName, access, provider = providerOf, commandTimeoutMs = 2_000, deadlineMs = 5_000 } = options;
  const loggerFactory = new NoopMomentoLoggerFactory();
  const configuration = Configurations.Lambda.latest(loggerFactory)
    .withClientTimeoutMillis(commandTimeoutMs)
    // `call` repeats instead: the SDK would repeat only reads, and without a pause.
    .withRetryStrategy(new FixedCountRetryStrategy({ loggerFactory, maxAttempts: 0 }));
  const sessions = new Set<Session>();
  const pause = new SharedPause();
  let renewal: Promise<void> | undefined;
  let renewedAt = -Infinity;

  const open = (key: MomentoKey | undefined, before?: Session): Session => {
    const credentialProvider = access.kind === 'local' ? localProvider(access) : provider(key as MomentoKey);
    // The client connects at its first call. The default TTL is never used, because each write has its own.
    const session = new Session({ configuration, credentialProvider, defaultTtlSeconds: 60 }, key, commandTimeoutMs, before);
    sessions.add(session);
    return session;
  };
  const closeSession = (session: Session): void => {
    if (sessions.delete(session)) session.client.close();
  };
  const close = (): void => {
    for (const session of sessions) closeSession(session);
  };
  let current = open(access.kind === 'local' ? undefined : await readKey(access));
  const replaceCurrent = (key: MomentoKey | undefined): void => {
    const old = current;
    current = open(key, old);
    // The old session's calls have ended by then.
    setTimeout(closeSession, commandTimeoutMs, old).unref();
  };

  /** Reads the secret again after its key was refused, because the key may have been replaced. */
  const renew = async (session: Session): Promise<void> => {
    if (session !== current) return;
    const refused = () => refusal(Code.AUTHENTICATION_ERROR, cacheName, access);
    if (access.kind !== 'secret' || performance.now() - renewedAt < RENEWAL_INTERVAL_MS) throw refused();
    renewedAt = performance.now();
    const key = await readKey(access).catch((error: Error) => {
      throw new CacheUnavailableError(`Momento cache "${cacheName}": ${keyRefused(access)}; ${error.message}`);
    });
    if (key.apiKey === session.key?.apiKey && key.endpoint === session.key.endpoint) throw refused();
    replaceCurrent(key);
  };
  const renewOnce = (session: Session): Promise<void> => {
    renewal ??= renew(session).finally(() => {
      renewal = undefined;
    });
    return renewal;
  };
  const attempt = async <Answer extends object>(session: Session, deadline: Deadline, send: Send<Answer>): Promise<Answer | Failed> => {
    const controller = new AbortController();
    // The SDK has no timeout for `getBatch`.
    const timer = setTimeout(() => controller.abort(), Math.min(commandTimeoutMs, remaining(deadline)));
    const sentAt = performance.now();
    let answer: Answer | Failed;
    try {
      answer = await send(session.client, controller.signal);
    } catch {
      answer = { errorCode: () => Code.UNKNOWN_ERROR };
    } finally {
      clearTimeout(timer);
    }
    const code = isFailed(answer) ? answer.errorCode() : undefined;
    if (isTimeout(code)) {
      if (session.unanswered(sentAt) && session === current) replaceCurrent(session.key);
      return answer;
    }
    session.answered();
    if (isUnreachable(code)) pause.begin(sentAt);
    else pause.end();
    return answer;
  };
  const writeProbe = () =>
    attempt(current, deadlineIn(deadlineMs), (client, abortSignal) =>
      client.setWithHash(cacheName, probe, randomUUID(), { ttl: PROBE_TTL_SECONDS, abortSignal }),
    );

  let probed: Awaited<ReturnType<typeof writeProbe>>;
  try {
    probed = await writeProbe();
    if (isFailed(probed) && probed.errorCode() === Code.AUTHENTICATION_ERROR) {
      await renewOnce(current);
      probed = await writeProbe();
    }
    if (isFailed(probed) && !isTransientCode(probed.errorCode())) throw refusal(probed.errorCode(), cacheName, access);
  } catch (error) {
    close();
    throw new ConfigurationError((error as Error).message);
  }
  return {
    async call(deadline, send) {
      let reason: Code | undefined;
      for (let attempts = 0; ; attempts += 1) {
        const tried = attempts === 0 ? '' : ` (tried ${attempts} times)`;
        if (!(await pause.wait(deadline))) throw refusal(reason ?? Code.SERVER_UNAVAILABLE, cacheName, access, tried);
        // The process may have been frozen since the call began. Its caller has given up.
        if (remaining(deadline) === 0) throw refusal(reason ?? Code.TIMEOUT_ERROR, cacheName, access, tried);
        const session = current;
        const answer = await attempt(session, deadline, send);
        if (!isFailed(answer)) return answer as Exclude<typeof answer, Failed>;
        const code = answer.errorCode();
        if (code === Code.AUTHENTICATION_ERROR) {
          await renewOnce(session);
          continue;
        }
        if (!isTransientCode(code)) throw refusal(code, cacheName, access);
        // Reports the last failure that is no timeout: the last attempt often ends with the deadline, whatever failed before.
        reason = isTimeout(code) ? (reason ?? code) : code;
        if (!(await waitForRetry(attempts, FIRST_WAIT_MS, deadline)))
          throw refusal(reason, cacheName, access, ` (tried ${attempts + 1} times)`);
      }
    },
    ...('hashUint8Array' in probed && { sample: probed.hashUint8Array() }),
    close,
  };
}
