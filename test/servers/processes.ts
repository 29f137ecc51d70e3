import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface OwnedProcess {
  readonly pid: number;
  /** The last 8,000 characters of its output. */
  output(): string;
  /** Ends the process, and resolves when it has ended. `SIGKILL` follows after two seconds. */
  end(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface OwnOptions {
  readonly name: string;
  readonly ready: (child: OwnedProcess) => boolean | Promise<boolean>;
  /** Folders to remove if this process dies before the child. Otherwise the caller removes them. */
  readonly folders?: readonly string[];
  /** The longest wait until it is ready, ms. Default: 30,000. */
  readonly timeoutMs?: number;
}

/**
 * A child's guard reads from a pipe of this process. The kernel closes the pipe when this process ends: by `exit`, a signal, a crash or
 * `SIGKILL`. Then the guard kills the child. A line on the pipe tells the guard that the child has ended.
 */
const GUARD = 'read -r line || { kill -9 "$0" 2>/dev/null; rm -rf "$@"; }';

function guard(pid: number, folders: readonly string[]): () => void {
  // Detached, because a signal to this process group (Ctrl-C) must not end the guard.
  const sh = spawn('sh', ['-c', GUARD, String(pid), ...folders], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  for (const it of [sh, sh.stdin]) it.on('error', () => {});
  sh.unref();
  (sh.stdin as Socket).unref();
  return () => sh.stdin.end('gone\n');
}

/** Owns a child that was just spawned with pipes. Resolves when it is ready; the child ends with this process at the latest. */
export async function own(child: ChildProcess, { name, ready, folders = [], timeoutMs = 30_000 }: OwnOptions): Promise<OwnedProcess> {
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      printed = (printed + data.toString()).slice(-8_000);
    });
    (stream as Socket | null)?.unref();
  }
  if (child.pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error];
    throw new Error(`${name} does not start: ${error.message}`);
  }
  // Because a forgotten child must not keep this process alive.
  child.unref();
  const release = guard(child.pid, folders);
  const running = () => child.exitCode === null && child.signalCode === null;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(release);

  const owned: OwnedProcess = {
    pid: child.pid,
    output: () => printed,
    async end(signal = 'SIGTERM') {
      if (!running()) return;
      child.kill(signal);
      const impatience = setTimeout(() => child.kill('SIGKILL'), 2_000);
      await gone;
      clearTimeout(impatience);
    },
  };
  try {
    await until(
      `${name} to be ready`,
      async () => {
        if (!running()) throw new Ended(`${name} ended before it was ready`);
        return await ready(owned);
      },
      timeoutMs,
    );
  } catch (error) {
    await owned.end('SIGKILL');
    throw new Error(`${(error as Error).message}; it printed:\n${printed}`);
  }
  return owned;
}

class Ended extends Error {}

/** Repeats a question every 25 ms until the answer is true. An error counts as false. Throws after `timeoutMs`. */
export async function until(what: string, answer: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (let last = ''; ; await sleep(25)) {
    try {
      if (await answer()) return;
      last = '';
    } catch (error) {
      if (error instanceof Ended) throw error;
      last = `: ${(error as Error).message}`;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}${last}`);
  }
}

const handedOut = new Set<number>();

/**
 * Finds a free port of 127.0.0.1 whose port 10,000 higher is free too, for the bus of a cluster node. Both are below the range of
 * outgoing connections, so the port stays free while its server is stopped.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 12_000 + randomInt(10_000);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
  throw new Error('no free port between 12000 and 22000');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
