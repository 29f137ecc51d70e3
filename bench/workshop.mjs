import { importTypeScript } from './typescript.mjs';

/**
 * @typedef {import('iovalkey').Redis} Redis
 * @typedef {import('../src/playground/workshop.ts')} Workshop
 */

/**
 * Adds an item to a list as the workshop's worker does: one JSON array under one key, read, edited and written back. The code has the
 * workshop's faults. Its condition is never true, so every change adds an element, and it overwrites the changes of concurrent writers.
 *
 * @param {Redis} client @param {string} key @param {{ readonly id: string }} item
 */
export async function addToArray(client, key, item) {
  const stored = await client.get(key);
  /** @type {{ readonly id: string }[]} */
  const all = stored === null ? [] : JSON.parse(stored);
  const index = all.findIndex(({ id }) => id === item.id);
  if (index < -1) all[index] = { ...all[index], ...item };
  else all.unshift(item);
  await client.set(key, JSON.stringify(all));
}

/** Makes the workshop's handler, with a Valkey server for its cache. It writes no log and no metrics. @param {Redis} client */
export async function startWorkshop(client) {
  /** @type {Workshop} */
  const { workshopHandler } = await importTypeScript('src/playground/workshop.ts');
  const done = /** @type {const} */ ({ type: 'done' });
  return workshopHandler({
    async get(key) {
      const value = await client.get(key);
      return value === null ? { type: 'miss' } : { type: 'hit', value };
    },
    async set(key, value) {
      await client.set(key, value);
      return done;
    },
    async delete(key) {
      await client.del(key);
      return done;
    },
  });
}
