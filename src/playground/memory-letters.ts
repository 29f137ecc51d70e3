import type { LetterStore } from '../letters/store.ts';

/** Keeps letters in this process. */
export function memoryLetters(): LetterStore {
  const letters = new Map<string, string>();
  return {
    async put(name, text) {
      letters.set(name, text);
    },
    async *names(prefix = '') {
      const names = [...letters.keys()].filter((name) => name.startsWith(prefix));
      yield* names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    },
    get: async (name) => letters.get(name),
    async delete(name) {
      letters.delete(name);
    },
    async close() {},
  };
}
