import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, valkeyAvailable } from '../servers/valkey.ts';
import { CUSTOMER_EVENT, readmeApplication } from './readme.mjs';

const ROOT = join(import.meta.dirname, '../..');
const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const TOOLS = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`);

/** For installing and compiling on a busy machine, ms. */
const SLOW = 180_000;

interface Result {
  readonly code: number;
  readonly output: string;
}

/** Node and npm of this process, in an environment that has nothing of vitest's or of an outer npm's. */
async function run(folder: string, command: string, ...args: string[]): Promise<Result> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_(?!config_)|VITEST|NODE_(?!EXTRA_CA_CERTS$)|TEST$)/.test(name)),
  );
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { cwd: folder, env, maxBuffer: 2 ** 26 });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '', message } = error as { code?: unknown; stdout?: string; stderr?: string; message: string };
    return { code: typeof code === 'number' ? code : -1, output: stdout + stderr || message };
  }
}

async function succeed(folder: string, command: string, ...args: string[]): Promise<string> {
  const { code, output } = await run(folder, command, ...args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output}`);
  return output;
}

/** Checks all of the libraries' types too. */
const STRICT = {
  target: 'es2023',
  lib: ['es2023'],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  types: ['node'],
  outDir: 'out',
  rootDir: '.',
};

describe('a fresh clone', () => {
  it.each([['pack'], ['start'], ['run', 'build']])('asks for npm ci before npm %s', async (...args) => {
    const clone = mkdtempSync(join(tmpdir(), 'millrace-clone-'));
    try {
      for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'src']) {
        cpSync(join(ROOT, name), join(clone, name), { recursive: true });
      }
      const { code, output } = await run(clone, 'npm', ...args);
      expect(code).not.toBe(0);
      expect(output).toContain('millrace: the packages that build it are not installed: run npm ci first');
    } finally {
      await rm(clone, { recursive: true, force: true });
    }
  });
});

describe('the package, installed elsewhere', () => {
  let folder: string;
  let tarball: string;

  /** A project of its own, with nothing but the package, the tools and `packages`. */
  const project = async (name: string, files: Readonly<Record<string, string>>, ...packages: string[]): Promise<string> => {
    const at = join(folder, name);
    mkdirSync(at);
    const configuration = (compilerOptions: object) =>
      JSON.stringify({ compilerOptions: { ...STRICT, ...compilerOptions }, exclude: ['out', 'wrong.ts', 'entries.ts'] });
    const all = {
      'package.json': JSON.stringify({ name, private: true, type: 'module' }),
      'nodenext.json': configuration({ module: 'nodenext' }),
      'bundler.json': configuration({ module: 'esnext', moduleResolution: 'bundler', noEmit: true }),
      ...files,
    };
    for (const [file, text] of Object.entries(all)) {
      mkdirSync(join(at, file, '..'), { recursive: true });
      writeFileSync(join(at, file), text);
    }
    await succeed(at, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball, ...TOOLS, ...packages);
    return at;
  };

  /** Type-checks for both kinds of resolution at once; as nodenext it also compiles to out/. */
  const compile = async (at: string): Promise<Record<'nodenext' | 'bundler', Result>> => {
    const [nodenext, bundler] = await Promise.all([tsc(at, '-p', 'nodenext.json'), tsc(at, '-p', 'bundler.json')]);
    return { nodenext, bundler };
  };
  const tsc = (at: string, ...args: string[]): Promise<Result> => run(at, 'node', 'node_modules/typescript/bin/tsc', ...args);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-package-'));
    await succeed(ROOT, 'npm', 'pack', '--pack-destination', folder);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    tarball = join(folder, `millrace-${version}.tgz`);
  }, SLOW);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describe('in an application with a view and a backend of its own', () => {
    let at: string;
    let compiled: Record<'nodenext' | 'bundler', Result>;
    beforeAll(async () => {
      const files = {
        'main.ts': MAIN,
        'recipes.ts': RECIPES,
        'cache.ts': CACHE,
        'lambda.ts': LAMBDA,
        'typed.ts': TYPED,
        'wrong.ts': WRONG,
      };
      at = await project('application', files, 'zod@^4', `@types/aws-lambda@${devDependencies['@types/aws-lambda']}`);
      compiled = await compile(at);
    }, SLOW);

    it.each(['nodenext', 'bundler'] as const)('type-checks strictly, libraries included, as %s', (resolution) => {
      expect(compiled[resolution]).toEqual({ code: 0, output: '' });
    });

    it('follows a stream', async () => {
      const lines = (await succeed(at, 'node', 'out/main.js')).trim().split('\n');
      const logged = lines.slice(0, -1).map((line) => JSON.parse(line));
      expect(logged).toMatchObject([{ level: 'INFO', message: 'batch', records: 3, applied: 5, failed: 0 }]);
      expect(JSON.parse(lines.at(-1) as string)).toEqual({
        answer: { batchItemFailures: [] },
        found: [{ type: 'hit', value: { title: 'Focaccia', minutes: 90 } }, { type: 'gone' }, { type: 'miss' }],
        page: [{ member: '["recipe#1","recipe"]', score: 90, value: 'Focaccia' }],
        calls: 3,
      });
    });

    it('publishes metrics from a handler that is typed for Lambda, and decodes attributes', async () => {
      const lines = (await succeed(at, 'node', 'out/lambda.js')).trim().split('\n');
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([
        { message: 'batch', _aws: {}, function_name: 'sync', Records: 1, Applied: 2 },
        { batchItemFailures: [] },
        { pk: 'recipe#1', tags: ['bread', 'salt'], photo: 'AAE=', grams: '0.12345678901234567890', minutes: 80 },
      ]);
    });

    it('loads the metrics only with their entry', async () => {
      const metrics = join(at, 'node_modules/@aws-lambda-powertools/metrics');
      renameSync(metrics, `${metrics}.away`);
      try {
        await succeed(at, 'node', '-e', "import('millrace').then(() => import('millrace/redrive'))");
        expect((await run(at, 'node', '-e', "import('millrace/metrics')")).output).toContain('@aws-lambda-powertools/metrics');
      } finally {
        renameSync(`${metrics}.away`, metrics);
      }
    });

    it('knows the types of an item in a projection, and of a value by its key', async () => {
      const { code, output } = await tsc(
        at,
        '--noEmit',
        '--ignoreConfig',
        '--module',
        'nodenext',
        '--strict',
        '--skipLibCheck',
        'wrong.ts',
      );
      expect(code).not.toBe(0);
      const faults = output.split('\n').filter((line) => line.includes('error TS'));
      expect(faults).toHaveLength(7);
      expect(faults[0]).toMatch(/wrong\.ts\(6,.*'titel'.*'title'/);
      expect(faults[1]).toMatch(/wrong\.ts\(7,.*'string' is not assignable to type 'number'/);
      expect(faults[2]).toMatch(/wrong\.ts\(8,.*'score'/);
      expect(faults[3]).toMatch(/wrong\.ts\(13,.*'titel' does not exist/);
      expect(faults[4]).toMatch(/wrong\.ts\(15,.*'.*value' is of type 'unknown'/);
      expect(faults[5]).toMatch(/wrong\.ts\(17,.*'string\[\]' is not assignable to type 'number\[\]'/);
      expect(faults[6]).toMatch(/wrong\.ts\(19,.*'.*value' is of type 'unknown'/);
    });

    it('has no client of a cache, and says which one an entry needs', async () => {
      for (const name of ['iovalkey', 'fast-check', 'vitest']) {
        expect(await run(at, 'node', '-p', `require.resolve('${name}')`)).toMatchObject({ code: 1 });
      }
      const { code, output } = await run(
        at,
        'node',
        '-e',
        "import('millrace/valkey').catch(({ code, message }) => { console.log(code, message); process.exit(3); })",
      );
      expect({ code, output }).toEqual({ code: 3, output: expect.stringMatching(/ERR_MODULE_NOT_FOUND.*'?iovalkey/) });
    });

    it('has the entries that it promises, and no others', async () => {
      expect(await succeed(at, 'node', '-e', "import('millrace').then((all) => console.log(typeof all.streamHandler))")).toContain(
        'function',
      );
      expect(await succeed(at, 'node', '-e', "import('millrace/memory').then((all) => console.log(typeof all.memoryCache))")).toContain(
        'function',
      );
      expect((await run(at, 'node', '-e', "import('millrace/dist/sync/sync.js')")).output).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
    });
  });

  describe("in the README's application", () => {
    const { files, commands } = readmeApplication();
    let at: string;
    let compiled: Record<'nodenext' | 'bundler', Result>;
    beforeAll(async () => {
      const packages = commands.flatMap((command) => command.split(' ').slice(2)).filter((word) => !/^-|^\.\/millrace-/.test(word));
      at = await project('readme', { ...files, 'entries.ts': ENTRIES, 'runtime.mjs': RUNTIME }, ...packages);
      compiled = await compile(at);
    }, SLOW);
    /** Bundles with the flags that SAM makes of the BuildProperties. */
    const bundle = async (entry: string, outdir: string, without?: string): Promise<void> => {
      const { BuildProperties } = parse(files['template.yaml'] ?? '', { logLevel: 'silent' }).Resources.SyncFunction.Metadata;
      const properties = { ...BuildProperties, EntryPoints: [entry], ...(without && { [without]: undefined }) };
      await build({
        ...esbuildOptions(properties),
        absWorkingDir: at,
        outdir,
        // Backends' clients that the application does not install.
        nodePaths: [join(ROOT, 'node_modules')],
      });
    };
    const load = (file: string) =>
      run(at, 'node', '--input-type=module', '-e', `import('./${file}').then(({ handler }) => console.log(typeof handler))`);

    it('installs the packed package, and esbuild for SAM', () => {
      expect(commands).toEqual([
        expect.stringMatching(
          /^npm install \.\/millrace-\d+\.\d+\.\d+\.tgz zod iovalkey @aws-sdk\/client-dynamodb @aws-sdk\/client-dynamodb-streams @aws-sdk\/client-s3$/,
        ),
        'npm install --save-dev esbuild',
      ]);
      expect(commands[0]).toContain(basename(tarball));
    });

    it('type-checks', () => {
      expect(compiled).toEqual({ nodenext: { code: 0, output: '' }, bundler: { code: 0, output: '' } });
    });

    it('builds with the BuildProperties to a module that loads, and only with the banner', async () => {
      await bundle('src/handler.ts', 'built');
      expect(readdirSync(join(at, 'built'))).toEqual(['handler.mjs']);
      expect(await load('built/handler.mjs')).toEqual({ code: 0, output: 'function\n' });
      await bundle('src/handler.ts', 'bare', 'Banner');
      expect((await load('bare/handler.mjs')).output).toContain('Dynamic require of "events" is not supported');
    });

    it('needs no AWS SDK to load', async () => {
      await bundle('src/handler.ts', 'alone');
      const elsewhere = mkdtempSync(join(tmpdir(), 'millrace-alone-'));
      try {
        renameSync(join(at, 'alone/handler.mjs'), join(elsewhere, 'handler.mjs'));
        expect(
          (await run(elsewhere, 'node', '--input-type=module', '-e', "import('./handler.mjs').then(() => console.log('loaded'))")).output,
        ).toBe('loaded\n');
      } finally {
        await rm(elsewhere, { recursive: true });
      }
    });

    it('builds every entry but the one for tests with the same properties', async () => {
      await bundle('entries.ts', 'all');
      expect(await run(at, 'node', 'all/entries.mjs')).toEqual({ code: 0, output: `${'function '.repeat(16).trim()}\n` });
    });

    it.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('follows a stream into Valkey, and writes metrics', async () => {
      await bundle('src/handler.ts', 'running');
      const server = await startValkey();
      try {
        const views = ['profile', 'orders'].map((name) => ({ name, revision: 1 }));
        const cache = withLives(valkeyCache({ url: server.url }), { views, waitMs: 0 });
        await cache.lives();
        const lines = (await succeed(at, 'node', 'runtime.mjs', server.url, JSON.stringify(CUSTOMER_EVENT))).trim().split('\n');
        expect(lines.map((line) => JSON.parse(line))).toMatchObject([
          { message: 'batch', _aws: {}, Records: 1, Applied: 1 },
          { answer: { batchItemFailures: [] } },
        ]);
        expect(await cache.get('profile@1:42')).toMatchObject({ type: 'hit', value: { name: 'Olive' } });
        await cache.close();
      } finally {
        await server.close();
      }
    });
  });

  describe('in a project that tests its own view and backend', () => {
    let at: string;
    let compiled: Record<'nodenext' | 'bundler', Result>;
    beforeAll(async () => {
      const files = { 'main.ts': TESTS, 'recipes.ts': RECIPES, 'cache.ts': CACHE };
      at = await project('tests', files, 'zod@^4', `fast-check@${devDependencies['fast-check']}`);
      compiled = await compile(at);
    }, SLOW);

    it.each(['nodenext', 'bundler'] as const)('type-checks strictly, libraries included, as %s', (resolution) => {
      expect(compiled[resolution]).toEqual({ code: 0, output: '' });
    });

    it('runs the contract and the check of a view under node:test', async () => {
      const { code, output } = await run(at, 'node', '--test', '--test-reporter=tap', 'out/main.js');
      expect({ code, failures: output.split('\n').filter((line) => /^\s*not ok/.test(line)) }).toEqual({ code: 0, failures: [] });
      const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1]);
      expect(count('pass')).toBeGreaterThan(70);
      // What the backend cannot do is told as skipped, with the reason.
      expect(count('skipped')).toBe(output.match(/\(a counted Map cannot: .+\) # SKIP/g)?.length);
    });

    it('fails a backend that breaks the law, and says how to repeat it', async () => {
      writeFileSync(join(at, 'out/broken.js'), BROKEN);
      const { code, output } = await run(at, 'node', '--test', '--test-reporter=tap', 'out/broken.js');
      expect(code).not.toBe(0);
      expect(output).toMatch(/not ok .* reads a deleted key as gone, even after an older put/);
      expect(output).toMatch(/seed: -?\d+/);
    });
  });

  describe('in a project that runs a handler of its own on a stream', () => {
    let at: string;
    let compiled: Record<'nodenext' | 'bundler', Result>;
    beforeAll(async () => {
      at = await project('mapping', { 'main.ts': MAPPING });
      compiled = await compile(at);
    }, SLOW);

    it.each(['nodenext', 'bundler'] as const)('type-checks strictly, libraries included, as %s', (resolution) => {
      expect(compiled[resolution]).toEqual({ code: 0, output: '' });
    });

    it('needs neither fast-check nor the client of DynamoDB Streams, and says so where it does', async () => {
      for (const name of ['fast-check', '@aws-sdk/client-dynamodb-streams']) {
        expect(await run(at, 'node', '-p', `require.resolve('${name}')`)).toMatchObject({ code: 1 });
      }
      expect((await succeed(at, 'node', 'out/main.js')).trim().split('\n')).toEqual([
        'recipe#1 recipe#2',
        'sdkStreamReader needs a package that is not installed: npm install @aws-sdk/client-dynamodb-streams',
        'this needs a package that is not installed: npm install --save-dev fast-check',
      ]);
    });
  });
});

/** The options of esbuild for SAM's BuildProperties. */
function esbuildOptions(properties: BuildProperties): BuildOptions {
  const { EntryPoints, Format, OutExtension, Target, MainFields, External, Banner } = properties;
  const pairs = (items: readonly string[] = []) =>
    Object.fromEntries(items.map((item) => [item.split('=')[0], item.replace(/^[^=]*=/, '')]));
  return {
    bundle: true,
    platform: 'node',
    // SAM's default.
    minify: true,
    entryPoints: [...EntryPoints],
    format: Format,
    outExtension: pairs(OutExtension),
    target: Target,
    mainFields: MainFields.split(','),
    external: [...External],
    banner: pairs(Banner),
    logLevel: 'error',
  };
}

interface BuildProperties {
  readonly EntryPoints: readonly string[];
  readonly Format: 'esm';
  readonly OutExtension: readonly string[];
  readonly Target: string;
  readonly MainFields: string;
  readonly External: readonly string[];
  readonly Banner?: readonly string[];
}

const ENTRIES = `
import { attributesOf, streamHandler } from 'millrace';
import { folderStore, s3Store } from 'millrace/letters';
import { backfillHandler } from 'millrace/backfill';
import { loaderOf } from 'millrace/loader';
import { withLives } from 'millrace/lives';
import { memoryCache } from 'millrace/memory';
import { batchMetrics } from 'millrace/metrics';
import { momentoCache } from 'millrace/momento';
import { createReader } from 'millrace/reader';
import { redriveHandler } from 'millrace/redrive';
import { tableReader } from 'millrace/table';
import { valkeyCache } from 'millrace/valkey';
import { elastiCacheLogin } from 'millrace/valkey-iam';
import { verifyHandler } from 'millrace/verify';

const all = [attributesOf, streamHandler, folderStore, s3Store, loaderOf, backfillHandler, withLives, memoryCache, batchMetrics, momentoCache, createReader, redriveHandler, tableReader, valkeyCache, elastiCacheLogin, verifyHandler];
console.log(...all.map((part) => typeof part));
`;

const RUNTIME = `
const [url, event] = process.argv.slice(2);
process.env.CACHE_URL = url;
const { handler } = await import('./running/handler.mjs');
const answer = await handler(JSON.parse(event), { getRemainingTimeInMillis: () => 30_000 });
console.log(JSON.stringify({ answer }));
process.exit();
`;

const RECIPES = `
import * as z from 'zod';
import { documentView, entity, listView } from 'millrace';

const recipe = entity({
  name: 'recipe',
  owns: ({ sk }) => sk === 'recipe',
  schema: z.object({ pk: z.string(), title: z.string(), minutes: z.number().optional(), steps: z.array(z.object({ text: z.string() })) }),
});

export const card = documentView({
  name: 'card',
  revision: 1,
  entity: recipe,
  project: ({ pk, title, minutes }) => [{ key: pk, value: { title, minutes } }],
});

export const slowest = listView({
  name: 'slowest',
  revision: 2,
  keep: 10,
  entity: recipe,
  project: ({ title, minutes, steps }) =>
    minutes === undefined || steps.some(({ text }) => text.toLowerCase() === 'order') ? [] : [{ list: 'all', score: minutes, value: title }],
});
`;

const CACHE = `
import type { CacheClient } from 'millrace';
import { type MemoryCache, memoryCache, type MemoryOptions } from 'millrace/memory';

/** Counts its writes. */
export interface CountingCache extends CacheClient {
  readonly calls: () => number;
  readonly inner: MemoryCache;
}

export function countingCache(options?: MemoryOptions): CountingCache {
  const inner = memoryCache(options);
  let calls = 0;
  return {
    inner,
    calls: () => calls,
    apply(mutations) {
      calls += 1;
      return inner.apply(mutations);
    },
    get: (key) => inner.get(key),
    getMany: (keys) => inner.getMany(keys),
    list: (list, query) => inner.list(list, query),
    getOrLease: (keys) => inner.getOrLease(keys),
    lease: (targets) => inner.lease(targets),
    settle: (fills) => inner.settle(fills),
    mark: (lists, survey) => inner.mark(lists, survey),
    fill: (lists, survey) => inner.fill(lists, survey),
    seal: (lists, survey) => inner.seal(lists, survey),
    close: () => inner.close(),
  };
}
`;

const MAIN = `
import { keyOf, type StreamEvent, streamHandler } from 'millrace';
import { countingCache } from './cache.js';
import { card, slowest } from './recipes.js';

const cache = countingCache();
const handler = streamHandler({ views: [card, slowest], cache });

const image = (pk: string, title: string, minutes: number) => ({
  pk: { S: pk },
  sk: { S: 'recipe' },
  title: { S: title },
  minutes: { N: String(minutes) },
  steps: { L: [{ M: { text: { S: 'knead' } } }] },
});
const common = {
  eventSource: 'aws:dynamodb',
  eventSourceARN: 'arn:aws:dynamodb:eu-west-1:123456789012:table/Recipes/stream/2026-03-01T10:00:00.000',
};
const keys = (pk: string) => ({ Keys: { pk: { S: pk }, sk: { S: 'recipe' } }, StreamViewType: 'NEW_AND_OLD_IMAGES' });
const event: StreamEvent = {
  Records: [
    { ...common, eventName: 'INSERT', dynamodb: { ...keys('recipe#1'), NewImage: image('recipe#1', 'Focaccia', 80), SequenceNumber: '100000000000000000009' } },
    {
      ...common,
      eventName: 'MODIFY',
      dynamodb: {
        ...keys('recipe#1'),
        OldImage: image('recipe#1', 'Focaccia', 80),
        NewImage: image('recipe#1', 'Focaccia', 90),
        SequenceNumber: '100000000000000000010',
      },
    },
    {
      ...common,
      eventName: 'REMOVE',
      dynamodb: { ...keys('recipe#2'), OldImage: { ...image('recipe#2', 'Toast', 5), steps: { L: [{ M: { text: { S: 'order' } } }] } }, SequenceNumber: '100000000000000000011' },
    },
  ],
};

const answer = await handler(event);
const lookups = await cache.getMany(['recipe#1', 'recipe#2', 'recipe#3'].map((pk) => keyOf(card, pk)));
const found = lookups.map((lookup) => (lookup.type === 'hit' ? { type: lookup.type, value: lookup.value } : { type: lookup.type }));
const { members } = await cache.list(keyOf(slowest, 'all'), { limit: 10 });
const page = members.map(({ member, score, value }) => ({ member, score, value }));
console.log(JSON.stringify({ answer, found, page, calls: cache.calls() }));
`;

const WRONG = `import * as z from 'zod';
import { type CacheClient, documentView, entity, keyOf, listView } from 'millrace';

const recipe = entity({ name: 'recipe', owns: () => true, schema: z.object({ pk: z.string(), title: z.string() }) });
const common = { name: 'card', revision: 1, entity: recipe };
documentView({ ...common, project: (item) => [{ key: item.pk, value: item.titel }] });
listView({ ...common, keep: 3, project: (item) => [{ list: 'all', score: item.pk, value: item.title }] });
listView({ ...common, keep: 3, project: (item) => [{ list: 'all', value: item.title }] });
export type { CacheClient };
declare const cache: CacheClient;
const card = documentView({ ...common, project: ({ pk, title }) => [{ key: pk, value: { title } }] });
const found = await cache.get(keyOf(card, '1'));
if (found.type === 'hit') console.log(found.value.titel);
const plain = await cache.get('card@1:1');
if (plain.type === 'hit') console.log(plain.value.title);
const titles = listView({ ...common, keep: 3, project: ({ pk, title }) => [{ list: pk, score: 1, value: title }] });
export const [first]: number[] = (await cache.list(keyOf(titles, 'all'), { limit: 1 })).members.map(({ value }) => value);
const [mixed] = await cache.getMany([keyOf(card, '1'), 'card@1:2']);
if (mixed?.type === 'hit') console.log(mixed.value.title);
`;

const LAMBDA = `
import type { Context, DynamoDBStreamEvent, DynamoDBStreamHandler } from 'aws-lambda';
import { attributesOf, streamHandler } from 'millrace';
import { memoryCache } from 'millrace/memory';
import { batchMetrics } from 'millrace/metrics';
import { card, slowest } from './recipes.js';

const run = streamHandler({ views: [card, slowest], cache: memoryCache(), metrics: batchMetrics(), letters: undefined, logger: undefined });
export const handler: DynamoDBStreamHandler = run;

const event: DynamoDBStreamEvent = {
  Records: [
    {
      eventName: 'INSERT',
      eventSourceARN: 'arn:aws:dynamodb:eu-west-1:123456789012:table/Recipes/stream/2026-03-01T10:00:00.000',
      dynamodb: {
        Keys: { pk: { S: 'recipe#1' }, sk: { S: 'recipe' } },
        NewImage: {
          pk: { S: 'recipe#1' },
          sk: { S: 'recipe' },
          title: { S: 'Focaccia' },
          minutes: { N: '80' },
          steps: { L: [] },
          tags: { SS: ['bread', 'salt'] },
          photo: { B: 'AAE=' },
          grams: { N: '0.12345678901234567890' },
        },
        SequenceNumber: '100000000000000000009',
      },
    },
  ],
};
const context = { functionName: 'sync', getRemainingTimeInMillis: () => 30_000 } as Context;
console.log(JSON.stringify(await run(event, context)));
console.log(JSON.stringify(attributesOf(event.Records[0]?.dynamodb?.NewImage ?? {})));
`;

const TYPED = `
import type { Handler } from 'aws-lambda';
import { type CacheClient, type DocumentKey, keyOf, type ListKey, type Lookup, type Page, type View } from 'millrace';
import { memoryCache } from 'millrace/memory';
import { redriveMetrics } from 'millrace/metrics';
import { redriveHandler } from 'millrace/redrive';
import { tableReader } from 'millrace/table';
import { card, slowest } from './recipes.js';

type Is<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(_: Is<A, B>): void => {};
const cache: CacheClient = memoryCache();
type Card = { title: string; minutes: number | undefined };

const key = keyOf(card, 'recipe#1');
const text: string = key;
is<typeof key, DocumentKey<Card>>(true);
const any: View[] = [card, slowest];
const texts: string[] = any.map((view) => keyOf(view, 'recipe#1'));
is<(typeof texts)[0], string>(true);
const one = await cache.get(key);
is<typeof one, Lookup<Card>>(true);
if (one.type === 'hit') is<typeof one.value, Card>(true);

const many = await cache.getMany(['1', '2'].map((id) => keyOf(card, id)));
is<(typeof many)[number], Lookup<Card>>(true);

const list = keyOf(slowest, 'all');
is<typeof list, ListKey<string>>(true);
const page = await cache.list(list, { limit: 10 });
is<typeof page, Page<string>>(true);

const plain = await cache.get(text);
is<typeof plain, Lookup<unknown>>(true);
const rows = await cache.list('slowest@2:all', { limit: 10 });
is<typeof rows, Page<unknown>>(true);
const ofList = await cache.get(list);
is<typeof ofList, Lookup<unknown>>(true);

const client = { send: async () => ({}) } as never;
const letters = {} as never;
export const redrive: Handler = redriveHandler({ views: [card], cache, letters, table: tableReader({ client }), metrics: redriveMetrics() });
`;

const TESTS = `
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { documentView, streamHandler } from 'millrace';
import { cacheContract, checkView, insert, remove, streamEvent } from 'millrace/testing';
import { countingCache } from './cache.js';
import { card, slowest } from './recipes.js';

cacheContract(
  {
    name: 'a counted Map',
    open: ({ maxValueBytes }) => countingCache({ maxValueBytes }),
    maxValueBytes: 1_000,
    shared: { cannot: 'it lives in one process' },
    evict: (target, client) => client.inner.evict(target),
    evictPart: { cannot: 'it holds a list as one object' },
  },
  { describe, it },
  { histories: 30 },
);

describe('views', () => {
  const recipes = fc.record({
    pk: fc.constantFrom('recipe#1', 'recipe#2', 'recipe#3'),
    sk: fc.constant('recipe'),
    title: fc.constantFrom('Toast', 'Focaccia'),
    minutes: fc.nat(99),
    steps: fc.constant([{ text: 'knead' }]),
  });
  const keys = ['pk', 'sk'];

  it('keep the rules', () => {
    checkView(card, recipes, { keys });
    checkView(slowest, recipes, { keys });
  });

  it('that break them are told of', () => {
    const byTitle = documentView({ name: 'by-title', revision: 1, entity: card.entity, project: ({ title }) => [{ key: title, value: 1 }] });
    assert.throws(() => checkView(byTitle, recipes, { keys }), /view by-title: two items share the address/);
  });
});

it('events of its own', async () => {
  const cache = countingCache();
  const handler = streamHandler({ views: [card], cache, logger: { info() {}, warn() {}, error() {} } });
  const item = { pk: 'recipe#1', sk: 'recipe', title: 'Toast', steps: [] };
  await handler(streamEvent([insert(item), remove(item)]));
  assert.equal((await cache.get('card@1:recipe#1')).type, 'gone');
});
`;

const BROKEN = `
import { describe, it } from 'node:test';
import { cacheContract } from 'millrace/testing';
import { countingCache } from './cache.js';

cacheContract(
  {
    name: 'no tombstones',
    open: ({ maxValueBytes }) => {
      const cache = countingCache({ maxValueBytes });
      const drop = (mutation) => {
        if (mutation.kind === 'document' && mutation.type === 'delete') cache.inner.evict({ kind: 'document', key: mutation.key });
      };
      return {
        ...cache,
        async apply(mutations) {
          const outcomes = await cache.apply(mutations);
          mutations.forEach(drop);
          return outcomes;
        },
      };
    },
    maxValueBytes: 1_000,
    shared: { cannot: 'it lives in one process' },
    evict: (target, client) => client.inner.evict(target),
    evictPart: { cannot: 'it holds a list as one object' },
  },
  { describe, it },
  { histories: 30 },
);
`;

const MAPPING = `
import { checkView, eventSourceMapping, insert, memoryStream, sdkStreamReader, streamEvent, virtualClock } from 'millrace/testing';

const clock = virtualClock();
const stream = memoryStream({ clock });
const mapping = eventSourceMapping({
  reader: stream,
  clock,
  batchSize: 2,
  handler: async ({ Records }) => console.log(...Records.map(({ dynamodb }) => (dynamodb?.Keys?.pk as { S: string }).S)),
});
stream.append(...streamEvent([insert({ pk: 'recipe#1', sk: 'recipe' }), insert({ pk: 'recipe#2', sk: 'recipe' })]).Records);
await mapping.start();
await clock.run(mapping.drained());
await clock.run(mapping.stop());

const told = (error: Error) => console.log(error.message);
await sdkStreamReader({ client: { send: async () => ({}) }, streamArn: 'arn' }).shards().catch(told);
try {
  checkView({} as never, {} as never, { keys: ['pk'] });
} catch (error) {
  told(error as Error);
}
`;
