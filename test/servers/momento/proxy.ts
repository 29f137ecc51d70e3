import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A TCP proxy that fails as networks do. Each fault strikes the connections of that moment; later ones are served. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Connections accepted since the start. */
  accepted(): number;
  /** Connections that the client has not closed yet. */
  open(): number;
  /** Drops all bytes in both directions and closes nothing, like a NAT gateway that has forgotten the connection. */
  swallow(): void;
  /** Reads nothing any more, so that the client's socket fills up, like a host that is gone. */
  stopReading(): void;
  /** Holds back what the client sends, even if the client closes its connection. Only `release` sends it on. */
  stall(): void;
  /** Sends on what was held back, in the pieces in which it came. Resolves when the server has handled them. */
  release(): Promise<void>;
  /** Resets the connections when the client sends something, like a host that has restarted. */
  resetOnData(): void;
  /** What becomes of later connections. At the start they pass. */
  later(way: Way): void;
  close(): Promise<void>;
}

/** The pause between two pieces that were held back, ms. A cancellation that follows a call comes in a piece of its own. */
const PIECE_MS = 20;

type Way = 'pass' | 'swallow' | 'stall' | 'reset';

interface Target {
  readonly host: string;
  readonly port: number;
}

/** @param at where to listen. Default: a free port. */
export async function startProxy(target: Target, at: Target = { host: '127.0.0.1', port: 0 }): Promise<TcpProxy> {
  const pairs: Pair[] = [];
  let laterWay: Way = 'pass';
  const server = createServer((near) => {
    pairs.push(new Pair(near, connect(target.port, target.host), laterWay));
  });
  await new Promise<void>((done) => server.listen(at.port, at.host, done));
  const strike = (way: Way) => () => {
    for (const pair of pairs) pair.way = way;
  };
  return {
    host: at.host,
    port: (server.address() as AddressInfo).port,
    accepted: () => pairs.length,
    open: () => pairs.filter(({ near }) => !near.closed).length,
    swallow: strike('swallow'),
    stopReading: () => {
      for (const { near } of pairs) near.pause();
    },
    stall: strike('stall'),
    release: async () => {
      await Promise.all(pairs.map((pair) => pair.release()));
    },
    resetOnData: strike('reset'),
    later: (way) => {
      laterWay = way;
    },
    close: async () => {
      for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** The client's connection, and the one to the server behind it. */
class Pair {
  readonly near: Socket;
  readonly far: Socket;
  way: Way;
  readonly #held: Buffer[] = [];

  constructor(near: Socket, far: Socket, way: Way) {
    [this.near, this.far, this.way] = [near, far, way];
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('data', (bytes) => this.#fromClient(bytes));
    far.on('data', (bytes) => {
      if (this.way === 'pass' || this.way === 'stall') near.write(bytes);
    });
    near.on('close', () => {
      if (this.way === 'pass') far.destroy();
    });
    far.on('close', () => {
      if (this.way === 'pass') near.destroy();
    });
  }

  async release(): Promise<void> {
    if (this.way !== 'stall') return;
    for (let bytes = this.#held.shift(); bytes; bytes = this.#held.shift()) {
      this.far.write(bytes);
      await sleep(PIECE_MS);
    }
    this.way = 'pass';
    if (this.near.closed) this.far.end();
  }

  #fromClient(bytes: Buffer): void {
    if (this.way === 'pass') this.far.write(bytes);
    if (this.way === 'stall') this.#held.push(bytes);
    if (this.way === 'reset') {
      this.near.resetAndDestroy();
      this.far.destroy();
    }
  }
}
