import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const { forbidden } = createRequire(import.meta.url)('../../.dependency-cruiser.cjs') as {
  forbidden: readonly { readonly name: string; readonly from: { readonly path?: string } }[];
};

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join('src', file).replaceAll('\\', '/'));
const codeOf = (file: string) => readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');

describe('the source tree', () => {
  it.each(files.filter((file) => file !== 'src/index.ts'))('gives %s exactly one rule of imports', (file) => {
    const rules = forbidden.filter(
      ({ name, from }) => !/^(no|concrete|caches)-|-packages$/.test(name) && new RegExp(from.path ?? '').test(file),
    );
    expect(rules.map(({ name }) => name)).toHaveLength(1);
  });

  it('reads the environment in config/ alone', () => {
    const environment =
      /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\s*\[|\benv\b[^}]*\}\s*=\s*process\b|\bimport\.meta\.env\b|\benv\b[^;]*from '(node:)?process'/;
    expect(files.filter((file) => !file.startsWith('src/config/') && environment.test(codeOf(file)))).toEqual([]);
  });

  it('declares each exported name once', () => {
    // A file declares the overloads of a function, which have one name.
    const declared = new Map<string, Set<string>>();
    for (const file of files.filter((file) => !file.startsWith('src/lambdas/'))) {
      for (const [, name = ''] of codeOf(file).matchAll(/^export (?:async )?(?:interface|type|class|function\*?|const) (\w+)/gm)) {
        declared.set(name, new Set([...(declared.get(name) ?? []), file]));
      }
    }
    // The contract suite has its own `found`, of names and scores instead of items.
    declared.get('found')?.delete('src/testing/contract/case.ts');
    expect([...declared].filter(([, places]) => places.size > 1)).toEqual([]);
  });
});
