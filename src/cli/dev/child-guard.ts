import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/** Sleeps on a pipe from us, which the system closes however we end, by `kill -9` too; then ends the child. */
const GUARD = `process.stdin.on('error', () => {}).on('close', () => {
  try { process.kill(Number(process.argv[1]), 'SIGKILL'); } catch {}
}).resume();`;

/** Makes a child end with this process. The guard itself ends with the child. */
export function guardChild(child: ChildProcess): void {
  if (child.pid === undefined) return;
  // Detached: Ctrl-C goes to all processes of a terminal, and would end the guard before its work.
  const guard = spawn(process.execPath, ['--no-warnings', '-e', GUARD, String(child.pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    windowsHide: true,
  });
  for (const it of [guard, guard.stdin]) it.on('error', () => {});
  guard.unref();
  (guard.stdin as Socket).unref();
  child.once('exit', () => guard.kill('SIGKILL'));
}
