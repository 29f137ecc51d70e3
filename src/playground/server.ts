import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asError } from '../errors.ts';
import type { Answer, Update } from './wire.ts';

export interface PageServer {
  /** Where the page is: `http://127.0.0.1:PORT/`. */
  readonly url: string;
  close(): Promise<void>;
}

export interface PageServerOptions {
  /** Default: a free port. */
  readonly port?: number | undefined;
  /** The folder with the built page. */
  readonly page: URL;
  /** Calls the listener with everything, and then with each change. Returns what ends that. */
  subscribe(listener: (update: Update) => void): () => void;
  /** Does what the page asks for. The page shows the message of a throw. */
  command(command: unknown): Promise<Answer>;
}

const TYPES: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'main.js': 'text/javascript; charset=utf-8',
  'main.css': 'text/css; charset=utf-8',
};

/** The page loads nothing from elsewhere, runs no script of its own text, and cannot be framed. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

const MOST_BYTES = 400_000;
/** This much of a larger body is read and dropped, so that its sender gets an answer. */
const MOST_READ = 10_000_000;
/** A reader that is this far behind is sent away, and comes again. */
const MOST_BUFFERED = 8_000_000;

/**
 * Serves the page to this machine only. It refuses requests with a foreign `Host`, which come from a name that was pointed at this machine, and
 * with a foreign `Origin`, which come from another page.
 *
 * @throws Error if the port is taken, or the page was not built
 */
export async function servePage({ port = 0, page, subscribe, command }: PageServerOptions): Promise<PageServer> {
  const files = new Map<string, Buffer>();
  for (const name of Object.keys(TYPES)) {
    files.set(
      name,
      await readFile(new URL(name, page)).catch((cause) => {
        throw new Error('the page of the playground is not built: npm run build', { cause });
      }),
    );
  }
  const streams = new Map<ServerResponse, () => void>();
  let hosts: readonly string[] = [];

  const events = (response: ServerResponse): void => {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream; charset=utf-8' });
    const end = subscribe((update) => {
      if (response.writableLength > MOST_BUFFERED) response.destroy();
      else response.write(`data: ${JSON.stringify(update)}\n\n`);
    });
    streams.set(response, end);
    response.on('close', () => {
      end();
      streams.delete(response);
    });
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const fault = faultOf(request, hosts);
    if (fault !== undefined) return send(response, 403, 'text/plain', `${fault}\n`);
    const path = request.url?.split('?', 1)[0] ?? '/';
    const name = path === '/' ? 'index.html' : path.slice(1);
    if (request.method === 'GET' && path === '/events') return events(response);
    const file = files.get(name);
    if (request.method === 'GET' && file) return send(response, 200, TYPES[name] as string, file);
    if (request.method !== 'POST' || path !== '/do') return send(response, 404, 'text/plain', 'there is nothing here\n');
    // A form of another page can send other types without asking.
    if (request.headers['content-type'] !== 'application/json') return send(response, 415, 'text/plain', 'send application/json\n');
    let answer: Answer;
    try {
      answer = await command(JSON.parse(await bodyOf(request)));
    } catch (error) {
      answer = { error: asError(error).message };
    }
    send(response, 'error' in answer ? 400 : 200, 'application/json', JSON.stringify(answer));
  };

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`the playground cannot listen on port ${port} (${code}): give another --port`, { cause });
  }
  const at = (server.address() as AddressInfo).port;
  hosts = [`127.0.0.1:${at}`, `localhost:${at}`];
  return {
    url: `http://127.0.0.1:${at}/`,
    async close() {
      for (const [response, end] of streams) {
        end();
        response.destroy();
      }
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Why a request is refused. */
function faultOf({ headers, method }: IncomingMessage, hosts: readonly string[]): string | undefined {
  const { host, origin } = headers;
  if (host === undefined || !hosts.includes(host))
    return 'this page is served to this machine only, by the address that the command printed';
  const isOwn = origin !== undefined && hosts.some((own) => origin === `http://${own}`);
  if (origin === undefined ? method !== 'GET' : !isOwn) return 'another page may not use the playground';
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && headers['sec-fetch-mode'] !== 'navigate')
    return 'another page may not use the playground';
  return undefined;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > MOST_READ) break;
    if (size <= MOST_BYTES) parts.push(part as Buffer);
  }
  if (size > MOST_BYTES) throw new Error('That is too much for one item.');
  return Buffer.concat(parts).toString();
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { ...HEADERS, 'content-type': type });
  response.end(body);
}
