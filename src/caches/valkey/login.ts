import { connect as connectPlain, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { AbstractConnector, Redis, RedisOptions } from 'iovalkey';

/** A way to log in with passwords that expire: every connection gets one of its own, made when it is opened. */
export interface Login {
  /** For the options of every connection. The argument is the client's own class, so that this file does not load the client. */
  options(base: typeof AbstractConnector): Pick<RedisOptions, 'username' | 'password' | 'Connector' | 'reconnectOnError'>;
  /** Logs open connections in again when that is due. Returns at once; commands that follow need not wait for it. */
  renew(connections: () => readonly Redis[]): void;
}

export interface LoginOptions {
  readonly username: string;
  /** Makes a password that is good now. */
  readonly password: () => Promise<string>;
  /**
   * How long a connection may go on by the password it was opened with, ms. Looked at when the cache is called, not by a timer: between
   * invocations a function is frozen, and a connection that nobody uses may be closed.
   */
  readonly renewAfterMs: number;
  /** ms since 1970. */
  readonly now?: () => number;
}

/** After a renewal that failed, ms. */
const RETRY_AFTER_MS = 60_000;

export function expiringLogin({ username, password, renewAfterMs, now = Date.now }: LoginOptions): Login {
  let newest = '';
  let renewalDue = now() + renewAfterMs;
  // The client reads the password before it asks its connector for a connection, and makes a string of it when it logs in.
  const lazily = { toString: () => newest } as unknown as string;

  return {
    options: (base) => ({
      username,
      password: lazily,
      Connector: connectorThat(base, async () => {
        newest = await password();
      }),
      // A server that has forgotten who we are: open the connection anew and send the command again.
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
      // A connection whose renewal was refused works on until the server closes it, and then gets a password of its own.
      renewal().catch(() => {
        renewalDue = now() + Math.min(RETRY_AFTER_MS, renewAfterMs);
      });
    },
  };
}

/** As the client's own connector, but `prepare` runs before each connection is opened. */
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
        // A throw would end the client for good; a connection that failed is tried again.
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
