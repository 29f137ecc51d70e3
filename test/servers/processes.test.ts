import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort, own, until } from './processes.ts';

const listener = [
  process.execPath,
  ['-e', 'require("net").createServer().listen(0, "127.0.0.1", function () { console.log("awake " + this.address().port) })'],
] as const;
const awake = ({ output }: { output(): string }) => output().includes('awake');

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

// A killed orphan keeps its pid until init reaps it, which some containers never do. It frees its port at once.
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

describe('own', () => {
  it('resolves when the process is ready, and its end when the process has ended', async () => {
    const child = await own(spawn(...listener), { name: 'listener', ready: awake });
    expect(alive(child.pid)).toBe(true);
    await child.end();
    expect(alive(child.pid)).toBe(false);
    await child.end();
  });

  it('kills a process that ignores SIGTERM', { timeout: 15_000 }, async () => {
    const deaf = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("awake")']);
    const child = await own(deaf, { name: 'deaf', ready: awake });
    await child.end();
    expect(deaf.signalCode).toBe('SIGKILL');
  });

  it('throws with the output of a process that ends before it is ready', async () => {
    const child = spawn(process.execPath, ['-e', 'console.error("port taken"); process.exit(1)']);
    await expect(own(child, { name: 'server', ready: () => false })).rejects.toThrow(/server ended before it was ready; .*\nport taken/);
  });

  it('ends a process that is not ready in time', async () => {
    const child = spawn(...listener);
    await expect(own(child, { name: 'listener', ready: () => false, timeoutMs: 50 })).rejects.toThrow(
      'waited 50 ms for listener to be ready',
    );
    expect(alive(child.pid as number)).toBe(false);
  });

  it('throws for a command that does not exist', async () => {
    await expect(own(spawn('no-such-command'), { name: 'it', ready: () => true })).rejects.toThrow('it does not start');
  });
});

describe('the guard of an owned process', () => {
  const owner = (end: string) => {
    const { outputFiles } = buildSync({
      stdin: {
        contents: `
          import { spawn } from 'node:child_process';
          import { own } from './processes.ts';
          const options = { name: 'listener', ready: ({ output }) => output().includes('awake'), folders: [process.argv[1]] };
          const child = await own(spawn(...${JSON.stringify(listener)}), options);
          console.log(child.output());
          ${end}`,
        resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      },
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
    });
    return outputFiles[0]?.text as string;
  };

  it.each([
    ['exits', 'process.exit(0);', 'exit 0'],
    ['throws', 'throw new Error("test");', 'exit 1'],
    ['ends without an exit', '', 'exit 0'],
    ['gets SIGINT', 'process.kill(process.pid, "SIGINT"); await new Promise(() => {});', 'SIGINT'],
    ['gets SIGTERM', 'process.kill(process.pid, "SIGTERM"); await new Promise(() => {});', 'SIGTERM'],
    ['gets SIGKILL', 'process.kill(process.pid, "SIGKILL");', 'SIGKILL'],
  ])('ends the process and removes its folders when the owner %s', async (_, end, expected) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-owner-'));
    const parent = spawn(process.execPath, ['--input-type=module', '-e', owner(end), folder]);
    onTestFinished(() => void parent.kill('SIGKILL'));
    let printed = '';
    parent.stdout.on('data', (data) => {
      printed += data;
    });
    const [code, signal] = await once(parent, 'close');
    expect(signal ?? `exit ${code}`).toBe(expected);
    const port = Number(/awake (\d+)/.exec(printed)?.[1]);
    expect(port).toBeGreaterThan(0);
    await until(`port ${port} to be given up`, async () => !(await answers(port)), 3_000);
    await until('its folder to go', () => !existsSync(folder), 3_000);
  });
});

describe('freePort', () => {
  it('returns no port twice, and none in the range of outgoing connections', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, freePort));
    expect(new Set(ports).size).toBe(50);
    expect(Math.max(...ports) + 10_000).toBeLessThan(32_768);
  });
});
