import { CacheClient } from '@gomomento/sdk';
import type { MomentoKey } from './access.ts';

type ClientProps = ConstructorParameters<typeof CacheClient>[0];

/**
 * The share of a timeout without an answer that counts as all of it. A timer may fire early by the time that its turn of the event loop has
 * taken, and an attempt may be cut short by the deadline of its call.
 */
const ENOUGH = 0.8;
/** How many timeouts a connection has for its first answer, if the one before it has answered. */
const FIRST_ANSWER = 2;
const LONGEST_FIRST_ANSWER = 8;

/** The SDK's client, for calls of a cache alone. */
class DataClient extends CacheClient {
  /** Closes the connection to the cache. The SDK would also connect to the control plane, only to close that connection. */
  override close(): void {
    for (const client of this.dataClients) client.close();
  }
}

/**
 * An SDK client, and what its calls tell of its connection.
 *
 * A connection that dies without a reset looks open, and gRPC sends calls to it until the kernel gives it up after a quarter of an hour.
 * gRPC's own remedy, keepalive, is off in the SDK's configuration for Lambda: a frozen environment cannot answer in time, so it would close
 * healthy connections at each thaw. So the calls themselves are the probes.
 */
export class Session {
  readonly client: CacheClient;
  /** The API key that the client uses; no key with a local server. */
  readonly key: MomentoKey | undefined;
  readonly #timeoutMs: number;
  readonly #firstAnswer: number;
  #answeredAt: number | undefined;
  #silentSince: number | undefined;

  /**
   * @param timeoutMs of one call
   * @param before the session that this one replaces. If it never answered, handshakes may be slow: this one gets twice its time, so that one
   *   handshake ends at last
   */
  constructor(props: ClientProps, key: MomentoKey | undefined, timeoutMs: number, before?: Session) {
    this.client = new DataClient(props);
    [this.key, this.#timeoutMs] = [key, timeoutMs];
    const isDoubled = before !== undefined && before.#answeredAt === undefined;
    this.#firstAnswer = isDoubled ? Math.min(2 * before.#firstAnswer, LONGEST_FIRST_ANSWER) : FIRST_ANSWER;
  }

  /** Call for each answer, an error of the service included. */
  answered(): void {
    this.#answeredAt = performance.now();
    this.#silentSince = undefined;
  }

  /**
   * Call for each call that got no answer. Returns true if the connection counts as dead: while calls waited, nothing was answered for one
   * timeout. A connection that has never answered may still be in its handshake, so it gets two or more.
   *
   * @param sentAt by the clock of `performance.now()`, ms
   */
  unanswered(sentAt: number): boolean {
    this.#silentSince ??= Math.max(sentAt, this.#answeredAt ?? -Infinity);
    const timeouts = this.#answeredAt === undefined ? this.#firstAnswer : 1;
    return performance.now() - this.#silentSince >= ENOUGH * timeouts * this.#timeoutMs;
  }
}
