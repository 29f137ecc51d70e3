import { Redis } from 'iovalkey';
import { importTypeScript } from './typescript.mjs';

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {string} url
 * @property {Redis} admin
 * @property {() => Promise<void>} empty deletes all keys, and resolves when their memory is free: without SYNC, Valkey 8 frees it later
 * @property {() => Promise<void>} close
 */

/** @type {typeof import('../test/servers/valkey.ts')} */
const { startValkey, valkeyVersion } = await importTypeScript('test/servers/valkey.ts');

/** Name and version of the server, such as `Valkey 9.1.2`. */
export const serverVersion = valkeyVersion();

/** Starts an empty server of the tests. It ends with this process. @returns {Promise<Server>} */
export async function startServer() {
  const { port, url, close } = await startValkey();
  const admin = new Redis(url);
  return {
    port,
    url,
    admin,
    async empty() {
      await admin.flushall('SYNC');
    },
    async close() {
      admin.disconnect();
      await close();
    },
  };
}

/** Reads one number of INFO. @param {Redis} admin @param {string} section @param {string} field */
export async function infoNumber(admin, section, field) {
  const line = (await admin.info(section)).split('\r\n').find((text) => text.startsWith(`${field}:`));
  if (!line) throw new Error(`INFO ${section} has no ${field}`);
  return Number(line.slice(field.length + 1));
}

/** The CPU time that the server has used since its start, µs. @param {Redis} admin */
export async function serverCpu(admin) {
  const text = await admin.info('cpu');
  const seconds = [...text.matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
  return seconds * 1e6;
}

/**
 * The time that the server has spent on these commands since CONFIG RESETSTAT, µs.
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
