import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis } from 'iovalkey';

/** A server that speaks the Redis protocol on 127.0.0.1, answers some commands itself, and has a real server answer the others. */
export interface Front {
  readonly port: number;
  /** The commands that it received, in lower case, without those with which a client opens a connection. */
  readonly received: string[];
  /** Ends all connections. */
  cut(): void;
  close(): Promise<void>;
}

export interface FrontOptions {
  /** URL of the real server. Default: none, and every command that is not answered is unknown. */
  readonly backend?: string;
  /** A reply of the protocol, without its line break at the end; undefined: the real server answers. */
  readonly answer?: (name: string, args: readonly string[], connection: number) => string | undefined;
}

/** What a client asks when it opens a connection, and what a server answers. */
const GREETINGS: Readonly<Record<string, string>> = {
  info: '$9\r\nloading:0',
  auth: '+OK',
  select: '+OK',
  readonly: '+OK',
  readwrite: '+OK',
};

export async function startFront({ backend, answer = () => undefined }: FrontOptions): Promise<Front> {
  const real = backend === undefined ? undefined : new Redis(backend);
  const received: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const replyTo = async ([name, ...args]: readonly Buffer[], connection: number): Promise<Buffer> => {
    const command = String(name).toLowerCase();
    const words = args.map((arg) => arg.toString());
    const own = answer(command, words, connection) ?? GREETINGS[command];
    if (GREETINGS[command] === undefined) received.push(command);
    if (own !== undefined) return Buffer.from(`${own}\r\n`);
    if (!real) return Buffer.from(`-ERR unknown command '${command}'\r\n`);
    return encoded(await real.callBuffer(command, ...args).catch((error: unknown) => error));
  };
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((socket) => {
    const connection = connections;
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    let unread: Buffer = Buffer.alloc(0);
    let turn = Promise.resolve();
    socket.on('data', (data: Buffer) => {
      unread = Buffer.concat([unread, data]);
      for (let read = parsed(unread); read; read = parsed(unread)) {
        const { command, bytes } = read;
        unread = unread.subarray(bytes);
        turn = turn.then(async () => {
          socket.write(await replyTo(command, connection));
        });
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    received,
    cut,
    async close() {
      cut();
      real?.disconnect();
      await new Promise((done) => server.close(done));
    },
  };
}

/** `CLUSTER SLOTS` of a cluster with one node. A host of null is one that the node does not know. */
export function oneNode(host: string | null, port: number): string {
  const name = host === null ? '$-1' : `$${host.length}\r\n${host}`;
  return `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n${name}\r\n:${port}\r\n$2\r\nid`;
}

/** The first command of the bytes, if it has arrived whole. */
function parsed(bytes: Buffer): { command: Buffer[]; bytes: number } | undefined {
  let at = 0;
  const number = (): number | undefined => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  const count = number();
  if (count === undefined) return undefined;
  const command: Buffer[] = [];
  for (let i = 0; i < count; i += 1) {
    const length = number();
    if (length === undefined || bytes.length < at + length + 2) return undefined;
    command.push(bytes.subarray(at, at + length));
    at += length + 2;
  }
  return { command, bytes: at };
}

function encoded(reply: unknown): Buffer {
  if (reply === null) return Buffer.from('$-1\r\n');
  if (typeof reply === 'number') return Buffer.from(`:${reply}\r\n`);
  if (reply instanceof Error) return Buffer.from(`-${reply.message}\r\n`);
  if (Array.isArray(reply)) return Buffer.concat([Buffer.from(`*${reply.length}\r\n`), ...reply.map(encoded)]);
  const bytes = Buffer.from(reply as Buffer);
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}
