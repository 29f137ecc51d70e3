import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { begin } from '../../src/backfill/backfill.ts';
import type { BackfillCheckpoint } from '../../src/backfill/checkpoint.ts';
import { NO_COUNTS } from '../../src/backfill/counts.ts';
import { progress } from '../../src/cli/backfill/progress.ts';

const START = begin({ tableArn: 'arn', tableId: 'id', cache: 'c', views: ['a@1'], segments: 1, survey: 's', begun: '' });

let time: number;
let printed: string[];
beforeEach(() => {
  time = 0;
  printed = [];
  vi.spyOn(performance, 'now').mockImplementation(() => time);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

function at(seconds: number, items: number): BackfillCheckpoint {
  time = seconds * 1_000;
  return { ...START, mark: START.mark.map((state) => ({ ...state, counts: { ...NO_COUNTS, items } })) };
}

it('says the rate of a table whose pages come more seldom than the lines', () => {
  const shown = progress(1_000);
  for (let i = 0; i <= 3; i += 1) shown.update(at(i * 20, i * 100));
  shown.stop();
  expect(printed).toEqual([
    'filling documents, marking lists, from item 0 of about 1000\n',
    'filling documents, marking lists: 100 items, 10 %, 5 items/s, 3 min left\n',
    'filling documents, marking lists: 200 items, 20 %, 5 items/s, 3 min left\n',
    'filling documents, marking lists: 300 items, 30 %, 5 items/s, 3 min left\n',
  ]);
});
