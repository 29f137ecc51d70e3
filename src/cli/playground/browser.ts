import { spawn } from 'node:child_process';

/** Opens a page in the user's browser, if a person sits at the terminal. Without a browser, nothing happens: the address was printed. */
export function openInBrowser(url: string): void {
  if (!process.stdout.isTTY) return;
  const [command, ...args] =
    process.platform === 'darwin' ? ['open', url] : process.platform === 'win32' ? ['cmd', '/c', 'start', '', url] : ['xdg-open', url];
  spawn(command as string, args, { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
