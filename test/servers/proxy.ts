import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on 127.0.0.1: one address for servers that take turns, with a network that can stall. */
export interface TcpProxy {
  readonly port: number;
  /** Connections since the start. */
  readonly accepted: number;
  /** Sends new connections to this port. Open ones stay where they are. */
  target(port: number): void;
  /** Keeps what clients send from now on, also on connections that they give up meanwhile. */
  stall(): void;
  /** Lets through what `stall` has kept. */
  release(): void;
  close(): Promise<void>;
}

export async function startProxy(port: number): Promise<TcpProxy> {
  let target = port;
  let kept: (() => void)[] | undefined;
  let accepted = 0;
  const sockets = new Set<Socket>();
  const later = (step: () => void) => (kept ? kept.push(step) : step());
  const server = createServer((near) => {
    accepted += 1;
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    near.on('data', (data) => later(() => far.write(data)));
    near.on('close', () => later(() => far.end()));
    far.on('data', (data) => near.write(data)).on('close', () => near.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    target(other) {
      target = other;
    },
    stall() {
      kept ??= [];
    },
    release() {
      const steps = kept ?? [];
      kept = undefined;
      for (const step of steps) step();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
