import { defineConfig } from 'vitest/config';

/** The tests of the pure core, which `npm run mutate` runs against each mutant. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    include: [
      'test/{version,mutation,views}.test.ts',
      'test/plan/*.test.ts',
      'test/sync/*.test.ts',
      'test/caches/list/*.test.ts',
      'test/caches/memory.test.ts',
    ],
  },
});
