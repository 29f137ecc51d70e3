import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BATCHES, CHANGES, costs, numbersOf, tableOf } from './costs.ts';
import { PARAMETER_SETS } from './sam/parameter-sets.mjs';
import { ALARM, ofType, PROJECT, readAlarm, readTemplate, sourceOf, stackOf, TEMPLATES } from './template.ts';

const text = readFileSync(join(PROJECT, 'docs/costs.md'), 'utf8');

describe('docs/costs.md', () => {
  it('has a row for each number of changes and each batch size, with the amounts that follow from its assumptions', () => {
    const table = tableOf(text, 'changes, million');
    expect(table).toHaveLength(CHANGES.length * BATCHES.length);
    expect(table).toEqual(costs(text));
  });

  it('counts the metrics of the code and the alarms of the templates', () => {
    const { metrics, alarmMetrics } = numbersOf(text, 'symbol');
    const source = sourceOf('src/handlers');
    const [, counts = ''] = /const COUNTS = \[([^\]]*)\]/.exec(source) ?? [];
    const all = [...counts.matchAll(/'(\w+)'/g), ...source.matchAll(/addMetric\('(\w+)'/g)].map(([, name = '']) => name);
    // A backfill writes its metrics while it runs, and the verifier is a stack of its own, which the sample is for.
    const own = new Set(all.filter((name) => !/^(Backfill|Verify|Sample)/.test(name)));
    const ofMapping = 6;
    expect(metrics).toEqual([own.size + ofMapping]);
    const stacks = [
      stackOf(readTemplate(TEMPLATES.default), PARAMETER_SETS[TEMPLATES.default]?.['a serverless Valkey']),
      stackOf(readTemplate(TEMPLATES.valkey), PARAMETER_SETS[TEMPLATES.valkey]?.['readers and alarms']),
    ];
    const read = stacks.flatMap(({ resources }) => ofType(resources, ALARM).flatMap(([, alarm]) => readAlarm(alarm).metrics));
    expect(alarmMetrics).toEqual([read.length]);
  });

  it('names a source for each price', () => {
    const rows = tableOf(text, 'price');
    expect(rows.length).toBeGreaterThan(8);
    for (const [, , per, source = ''] of rows) expect([per, source]).toEqual([per, expect.stringMatching(/quoted in|the same/)]);
  });
});
