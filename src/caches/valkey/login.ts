import type { Redis } from 'iovalkey';

/** Logs in with passwords that expire. Each connection gets its own password, made when the connection is opened. */
export interface Login {
  readonly username: string;
  /** The newest password. The client copies this reference before it asks for a connection, and reads the text only when it logs in. */
  readonly password: { toString(): string };
  /** Makes a new password, for the connection that is opened next. */
  prepare(): Promise<void>;
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

  return {
    username,
    password: { toString: () => newest },
    async prepare() {
      newest = await password();
    },
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
