import { fastCheck } from '../fast-check.ts';
import type { Case, Section, Trial } from './case.ts';
import { HOSTILE_NAMES } from './names.ts';
import { type Operation, operations, type Setting } from './operations.ts';
import { World } from './world.ts';

/** Counts the histories. The count is part of all names, so the histories of a client do not share keys. */
let worlds = 0;

export const histories: Section = {
  about: 'random histories',
  cases: [
    history('of one document', { documents: 1, lists: 0 }),
    history('of one list', { documents: 0, lists: 1 }),
    history('of one list, with scores of any size', {
      documents: 0,
      lists: 1,
      scores: [5e-324, 0, -0, 0.1 + 0.2, 0.3, 2 ** 53, 2 ** 53 + 2, 1e308],
    }),
    history('of many documents and lists, several in one call', { documents: 3, lists: 3 }),
    history('of one document, with evictions', { documents: 1, lists: 0 }, 'evict'),
    history('of one list, with evictions', { documents: 0, lists: 1 }, 'evict'),
    history('of many documents and lists, with evictions', { documents: 3, lists: 3 }, 'evict'),
    history('of lists that lose single keys', { documents: 0, lists: 2 }, 'evictPart'),
  ],
};

function history(what: string, setting: Setting, ...needs: ('evict' | 'evictPart')[]): Case {
  return {
    it: `equals the model after every step ${what}`,
    needs,
    async run(trial) {
      const fc = fastCheck();
      const evictions = { whole: needs.includes('evict'), parts: needs.includes('evictPart') };
      const histories = operations(fc, { ...setting, evictions, tooLarge: Number.isFinite(trial.maxValueBytes) });
      const property = fc.asyncProperty(histories, (history) => replay(trial, setting, history));
      await fc.assert(property, { numRuns: trial.histories, ...(trial.seed !== undefined && { seed: trial.seed }) });
    },
  };
}

async function replay(trial: Trial, setting: Setting, { keep, steps }: { keep: number; steps: readonly Operation[] }): Promise<void> {
  const run = worlds++;
  const names = (kind: string, n: number) =>
    Array.from({ length: n }, (_, i) => `${HOSTILE_NAMES[(run + i) % (HOSTILE_NAMES.length - 2)]} ${kind} ${run} ${i}`);
  const world = new World(trial, names('document', setting.documents), names('list', setting.lists), keep);
  for (const step of steps) await world.do(step);
}
