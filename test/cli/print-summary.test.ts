import { afterEach, expect, it, vi } from 'vitest';
import type { BackfillSummary } from '../../src/backfill/summary.ts';
import { printSummary } from '../../src/cli/backfill/print.ts';

afterEach(() => vi.restoreAllMocks());

function printed(lists: { readonly sealed: number; readonly incomplete: number }): string {
  const lines: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  const view = { view: 'texts@1', kind: 'list', entries: 9, threw: 0, examples: [] } as const;
  const summary: BackfillSummary = {
    ...{ table: 't', status: 'done', items: 9, readUnits: 1, strange: 0 },
    views: [{ ...view, lists: { ...lists, settledByReaders: 0, unsealed: 0, isSealable: true } }],
  };
  printSummary(summary, 'again');
  return lines.join('');
}

it('says which lists are sealed and not complete, why, and what to do', () => {
  const text = printed({ sealed: 1, incomplete: 2 });
  expect(text).toContain('1 list sealed');
  expect(text).toContain(
    'texts@1: 2 lists sealed, and not complete, because of a member that is too large for the cache, or that the stream could not apply',
  );
  expect(text).toContain('Let the view give smaller values, or redrive the letters of the worker, and run the command again');
  expect(text).toMatch(/Not all is filled\n$/);
  expect(printed({ sealed: 3, incomplete: 0 })).toMatch(/All is filled\n$/);
});
