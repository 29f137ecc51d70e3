import { connect as connectPlain, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { AbstractConnector, Redis, RedisOptions } from 'iovalkey';

/** Logs in with passwords that expire. Each connection gets its own password, made when the connection is opened. */
export interface Login {
  /**
   * Part of the client's options for every connection.
   *
   * @param base the client's class, passed in so that this module does not load the client
   */
  options(base: typeof AbstractConnector): Pick<RedisOptions, 'username' | 'password' | 'Connector' | 'reconnectOnError'>;
  /** Logs open connections in again if that is due. Returns at once: later commands need not wait for the new login. */
  renew(connections: () => readonly Redis[]): void;
}

export interface LoginOptions {
  readonly username: string;
  /** Makes a password that is valid now. */
  readonly password: () => Promise<string>;
  /**
   * How long a connection may use the password it was opened with, ms. Checked at each call of the cache instead of by a timer, because a
   * function is frozen between its invocations, and the server may close a connection that nobody uses.
   */
  readonly renewAfterMs: number;
  /** ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Time between a failed renewal and the next one, ms. */
const RETRY_AFTER_MS = 60_000;

export function expiringLogin({ username, password, renewAfterMs, now = Date.now }: LoginOptions): Login {
  let newest = '';
  let renewalDue = now() + renewAfterMs;
  // The client reads the password before it asks its connector for a connection, but converts it to a string only when it logs in.
  const lazily = { toString: () => newest } as unknown as string;

  return {
    options: (base) => ({
      username,
      password: lazily,
      Connector: connectorThat(base, async () => {
        newest = await password();
      }),
      // The server has forgotten this connection's login: 2 makes the client reconnect and send the command again.
      reconnectOnError: ({ message }) => (message.startsWith('NOAUTH') ? 2 : false),
    }),
    renew(connections) {
      if (now() < renewalDue) return;
      renewalDue = now() + renewAfterMs;
      const renewal = async () => {
        const fresh = await password();
        const open = connections().filter(({ status }) => status === 'ready');
        await Promise.all(open.map((connection) => connection.auth(username, fresh)));
      };
      // A connection whose renewal was refused keeps working until the server closes it. The next connection gets its own password.
      renewal().catch(() => {
        renewalDue = now() + Math.min(RETRY_AFTER_MS, renewAfterMs);
      });
    },
  };
}

/** A connector like the client's own, except that it runs `prepare` before it opens a connection. */
function connectorThat(base: typeof AbstractConnector, prepare: () => Promise<void>): RedisOptions['Connector'] {
  return class extends base {
    readonly #address: { readonly host: string; readonly port: number };
    readonly #tls: TlsOptions | undefined;

    constructor(given: unknown) {
      const { host, port, tls, disconnectTimeout = 2_000 } = given as RedisOptions;
      super(disconnectTimeout);
      this.#address = { host: host as string, port: port as number };
      this.#tls = tls;
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      try {
        await prepare();
      } catch (error) {
        // Throwing would end the client for good. A failed connection is tried again.
        this.firstError = error as Error;
        return new Socket().destroy();
      }
      if (!this.connecting) throw new Error('Connection is closed.');
      const stream = this.#tls ? connectTls({ ...this.#address, ...this.#tls }) : connectPlain(this.#address);
      stream.once('error', (error) => {
        this.firstError = error;
      });
      this.stream = stream;
      return stream;
    }
  };
}
