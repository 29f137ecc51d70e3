import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const PROJECT = join(import.meta.dirname, '../../..');
const rules = [...readFileSync(join(PROJECT, 'docs/bounded-list.md'), 'utf8').matchAll(/^\*\*(R\d+) \(([\w ]+)\)\.\*\*/gm)];
const names = new Map(rules.map(([, number, name]) => [number, name]));

const scripts = 'src/caches/valkey/scripts';
const PROGRAMS = {
  'the list in TypeScript': ['cache.ts', 'caches/list/bounded-list.ts', 'caches/memory.ts', 'caches/momento/list.ts'].map(
    (file) => `src/${file}`,
  ),
  'the list in Lua': readdirSync(join(PROJECT, scripts)).map((file) => `${scripts}/${file}`),
  'the model': ['src/testing/contract/list-model.ts'],
};
/** R11 is for lists of limited size; the model has no clock, no stored form, and cannot lose a part of a list. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'the list in Lua': ['R11'],
  'the model': ['R10', 'R11', 'R20', 'R21', 'R24'],
};

describe('the rules of docs/bounded-list.md', () => {
  it('numbers the rules in order, without gaps', () => {
    expect([...names.keys()]).toEqual(rules.map((_, i) => `R${i + 1}`));
    expect(names.size).toBeGreaterThan(20);
  });

  it.each(Object.entries(PROGRAMS))('finds each rule cited in %s by its number and name', (program, files) => {
    const text = files.map((file) => readFileSync(join(PROJECT, file), 'utf8')).join('\n');
    const cited = new Set([...text.matchAll(/\bR\d+\b/g)].map(([number]) => number));
    const expected = [...names.keys()].filter((number) => !EXCEPTIONS[program]?.includes(number as string));
    expect([...cited].sort()).toEqual(expected.sort());
    for (const [, number, name] of text.matchAll(/\b(R\d+) \(([\w ]+)\)/g)) expect(name, number).toBe(names.get(number));
  });
});
