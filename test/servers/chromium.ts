import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

export const HOW_TO_GET_CHROMIUM =
  'these tests need Chromium: `apt-get install chromium`, or set CHROMIUM to a binary of Chromium or Chrome';

const chosen = process.env.CHROMIUM;
const binary = (chosen ? [chosen] : ['chromium', 'chromium-browser', 'google-chrome']).find(
  (name) => spawnSync(name, ['--version'], { encoding: 'utf8' }).status === 0,
);

export function chromiumAvailable(): boolean {
  return binary !== undefined;
}

/** Starts Chromium without a window. @throws Error if there is none */
export async function startChromium(): Promise<Browser> {
  const path = binary === undefined ? '' : spawnSync('which', [binary], { encoding: 'utf8' }).stdout.trim();
  if (path === '') throw new Error(HOW_TO_GET_CHROMIUM);
  // As root, and in containers with little shared memory, Chromium starts only so.
  return await chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
