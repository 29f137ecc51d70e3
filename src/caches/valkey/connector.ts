import { connect as connectPlain, isIP, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import { AbstractConnector, type RedisOptions } from 'iovalkey';

export interface ConnectorOptions {
  /** Runs before a connection is opened. If it throws, the connection fails. */
  readonly prepare?: () => Promise<void>;
  /** Called with the reason why a connection could not be opened or was lost. The client itself does not tell it for nodes of a cluster. */
  readonly onFailure: (reason: Error) => void;
}

/** A connector like the client's own that also names the host to the TLS server (SNI). */
export function connectorWith({ prepare, onFailure }: ConnectorOptions): NonNullable<RedisOptions['Connector']> {
  return class extends AbstractConnector {
    readonly #address: { readonly host: string; readonly port: number };
    readonly #tls: TlsOptions | undefined;

    constructor(given: unknown) {
      const { host = '', port = 0, tls, disconnectTimeout = 2_000 } = given as { host?: string; port?: number } & RedisOptions;
      super(disconnectTimeout);
      this.#address = { host, port };
      this.#tls = tls;
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      try {
        await prepare?.();
      } catch (error) {
        // Throwing would end the client for good. A failed connection is tried again.
        this.firstError = error as Error;
        onFailure(error as Error);
        return new Socket().destroy();
      }
      if (!this.connecting) throw new Error('Connection is closed.');
      const { host } = this.#address;
      const stream = this.#tls
        ? connectTls({ ...this.#address, ...(!isIP(host) && { servername: host }), ...this.#tls })
        : connectPlain(this.#address);
      this.stream = stream;
      this.#watch(stream);
      return stream;
    }

    /** Ends the connection without waiting for the server, which may be out of reach. */
    override disconnect(): void {
      this.connecting = false;
      this.stream?.destroy();
    }

    #watch(stream: Socket): void {
      const { host, port } = this.#address;
      const tls = this.#tls !== undefined;
      let [isConnected, isAnswered] = [false, false];
      stream.once('connect', () => {
        isConnected = true;
      });
      stream.once(tls ? 'secureConnect' : 'data', () => {
        isAnswered = true;
      });
      const silence = (): Error => {
        if (!isConnected) return new Error(`no connection to ${host}:${port}`);
        if (tls) return new Error(`${host}:${port} does not answer in TLS`);
        return new Error(`${host}:${port} ${this.connecting ? 'closed the connection before it answered' : 'does not answer'}`);
      };
      stream.once('error', (error) => {
        this.firstError = error;
        // A TLS server resets a connection without TLS.
        onFailure(isConnected && !isAnswered && !tls ? silence() : error);
      });
      stream.once('close', (hadError) => {
        if (!isAnswered && !hadError) onFailure(silence());
      });
    }
  };
}
