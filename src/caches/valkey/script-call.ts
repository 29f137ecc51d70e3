import { createHash } from 'node:crypto';
import { Command } from 'iovalkey';
import { LATE } from './scripts/envelope.ts';

/** A call that arrives earlier than it was sent, by more than this, shows that the server's clock is another than the one that was read, ms. */
const EARLY_MS = 100;
/** Timers of Node may end a call this early, ms. */
const TIMER_SLACK_MS = 2;

export interface Script {
  readonly lua: string;
  readonly digest: string;
  /** Whether the script rejects a call outside its window, which is its last argument. */
  readonly inWindow: boolean;
}

export function scriptOf(lua: string, inWindow: boolean): Script {
  return { lua, digest: createHash('sha1').update(lua).digest('hex'), inWindow };
}

/** The server has not executed the call, but will if it is sent again. */
export class NotExecutedError extends Error {}

/** What is known of the server at the other end of a connection. */
interface Peer {
  /** What to add to our time (`performance.now`, ms since this process began) for the server's (ms since 1970), or a little less. Undefined until the server's clock was read. */
  ahead: number | undefined;
  /** Digests of the scripts that this connection has sent. */
  readonly sent: Set<string>;
}

/** By the socket, because a connection that is opened again may end at another server. */
const peers = new WeakMap<object, Peer>();

/**
 * One call of a script. It becomes bytes when a connection takes it, and again when the client sends it again over another connection. Only then
 * the server is known, and with it the window in that server's time and whether it has the script.
 *
 * The first call of a connection reads the server's clock instead. The reading takes part of a round trip to arrive, so the clock may be further
 * ahead by now, and the window closes early by that part. It never closes late. Our clock is monotonic, and may stand still while a function is
 * frozen. Then the window is in the past, the server rejects the call, and its answer contains the time.
 */
class ScriptCall extends Command {
  readonly #script: Script;
  readonly #deadline: number;
  #peer: Peer | undefined;
  readonly #scriptArgs: typeof this.args;

  constructor(script: Script, args: readonly (string | number | Buffer)[], deadline: number) {
    // The last argument is the window, which `toWritable` fills in.
    super('evalsha', [script.digest, ...args, ...(script.inWindow ? [''] : [])], { replyEncoding: 'utf8' });
    this.#script = script;
    this.#deadline = deadline;
    this.#scriptArgs = this.args;
  }

  override toWritable(socket: object): string | Buffer {
    let peer = peers.get(socket);
    if (!peer) {
      peer = { ahead: undefined, sent: new Set() };
      peers.set(socket, peer);
    }
    this.#peer = peer;
    const { lua, digest, inWindow } = this.#script;
    if (inWindow && peer.ahead === undefined) {
      this.name = 'time';
      this.args = [];
      return super.toWritable(socket);
    }
    const args = this.#scriptArgs;
    this.args = args;
    this.name = peer.sent.has(digest) ? 'evalsha' : 'eval';
    args[0] = peer.sent.has(digest) ? digest : lua;
    peer.sent.add(digest);
    if (inWindow && peer.ahead !== undefined) {
      const earliest = performance.now() + peer.ahead - EARLY_MS;
      const latest = this.#deadline + peer.ahead - TIMER_SLACK_MS;
      args[args.length - 1] = `${Math.floor(earliest)} ${Math.floor(latest)}`;
    }
    return super.toWritable(socket);
  }

  /** @throws NotExecutedError if the connection's first call read the server's clock */
  answered(reply: unknown): unknown {
    if (this.name !== 'time') return reply;
    const [seconds, microseconds] = reply as [string, string];
    this.#readClock(Number(seconds) * 1_000 + Number(microseconds) / 1_000);
    throw new NotExecutedError('the clock of the server was not known');
  }

  /** The error to throw. Learns from it what the next call must do. */
  failed(error: Error): Error {
    const [code, time] = error.message.split(' ');
    if (code === LATE) this.#readClock(Number(time));
    else if (code === 'NOSCRIPT') this.#peer?.sent.delete(this.#script.digest);
    else return error;
    return new NotExecutedError(code === LATE ? 'the call reached the server too late' : 'the server has lost the script');
  }

  #readClock(serverMs: number): void {
    if (this.#peer) this.#peer.ahead = serverMs - performance.now();
  }
}

/**
 * Calls a script.
 *
 * @param args number of keys, keys, arguments
 * @param deadline the server does not execute the call later than this, as `performance.now()` counts
 * @throws NotExecutedError when the call must be sent again; at least the first call of each connection
 */
export async function callScript(
  client: { sendCommand(command: Command): unknown },
  script: Script,
  args: readonly (string | number | Buffer)[],
  deadline: number,
): Promise<unknown> {
  const call = new ScriptCall(script, args, deadline);
  let reply: unknown;
  try {
    reply = await client.sendCommand(call);
  } catch (error) {
    throw call.failed(error as Error);
  }
  return call.answered(reply);
}
