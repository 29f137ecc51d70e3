import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'iovalkey';

const CANDIDATES = process.env.VALKEY_SERVER ? [process.env.VALKEY_SERVER] : ['valkey-server', 'redis-server'];
const START_TIMEOUT_MS = 10_000;

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {string} url
 * @property {Redis} admin
 * @property {() => Promise<void>} close
 */

/** Servers of this process, ended with it whatever happens. @type {Set<() => void>} */
const running = new Set();
process.on('exit', () => {
  for (const end of running) end();
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => process.exit(1));
}

/** An empty server of our own on a free port of 127.0.0.1, that writes nothing to disk. @returns {Promise<Server>} */
export async function startServer() {
  const binary = CANDIDATES.find((name) => spawnSync(name, ['--version']).status === 0);
  if (!binary) {
    throw new Error(
      'the bench needs valkey-server or redis-server: `apt-get install redis-server` or `brew install valkey`, or set VALKEY_SERVER',
    );
  }
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const settings = { bind: '127.0.0.1', port, dir: folder, save: '', appendonly: 'no' };
  const child = spawn(
    binary,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const end = () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    running.delete(end);
  };
  running.add(end);
  await new Promise((resolve, reject) => {
    let printed = '';
    const timer = setTimeout(() => reject(new Error(`${binary} is not ready:\n${printed}`)), START_TIMEOUT_MS);
    child.on('error', reject).on('exit', () => reject(new Error(`${binary} ended:\n${printed}`)));
    // Its own words, not a ping: a stranger may answer on this port.
    child.stdout.on('data', (data) => {
      printed = (printed + data).slice(-4_000);
      if (!printed.includes('Ready to accept connections')) return;
      clearTimeout(timer);
      resolve(undefined);
    });
  });
  const admin = new Redis({ host: '127.0.0.1', port });
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    admin,
    async close() {
      admin.disconnect();
      const gone = new Promise((resolve) => child.once('exit', resolve));
      end();
      await gone;
    },
  };
}

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** One number of INFO. @param {Redis} admin @param {string} section @param {string} field */
export async function infoNumber(admin, section, field) {
  const line = (await admin.info(section)).split('\r\n').find((text) => text.startsWith(`${field}:`));
  if (!line) throw new Error(`INFO ${section} has no ${field}`);
  return Number(line.slice(field.length + 1));
}

/** CPU time that the server has used, µs. @param {Redis} admin */
export async function serverCpu(admin) {
  const text = await admin.info('cpu');
  const seconds = [...text.matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
  return seconds * 1e6;
}

/**
 * What the server spent on these commands since CONFIG RESETSTAT, µs.
 *
 * @param {Redis} admin @param {readonly string[]} commands
 */
export async function commandTime(admin, commands) {
  const text = await admin.info('commandstats');
  return commands.reduce((sum, command) => {
    const [, usec = '0'] = text.match(new RegExp(`^cmdstat_${command}:calls=\\d+,usec=(\\d+)`, 'm')) ?? [];
    return sum + Number(usec);
  }, 0);
}
