/**
 * How the workshop version of this worker keeps a list: all of it as one JSON array under one key, that is read, edited and written
 * back. Written as published, with its faults: the comparison is never true, so that every change adds an element, and a writer that
 * comes in between is overwritten.
 *
 * @param {import('iovalkey').Redis} client @param {string} key @param {{ readonly id: string }} item
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
