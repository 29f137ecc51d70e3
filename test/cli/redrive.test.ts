import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import type { _Record } from '@aws-sdk/client-dynamodb-streams';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { marshall } from '@aws-sdk/util-dynamodb';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appViews } from '../../src/app.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { decodeRecord, type StreamRecord } from '../../src/dynamodb/record.ts';
import { folderStore } from '../../src/letters/folder.ts';
import { s3Store } from '../../src/letters/s3.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { lambdaLetter, lambdaName } from '../letters/letters.ts';
import {
  createShopTable,
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  type StreamReader,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { HOW_TO_GET_MOTO, type MotoServer, motoAvailable, startMoto } from '../servers/moto.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const ROOT = join(import.meta.dirname, '../..');
const AWS = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' };

/** A folder with the bundled command. */
let home: string;

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(script: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return node([script, 'redrive', ...args], env);
}

function node(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
    // Suppresses the AWS SDK's warning about Node 20.
    const all = { ...inherited, ...AWS, NODE_NO_WARNINGS: '1', ...env };
    execFile(process.execPath, args, { cwd: home, env: all }, (error, stdout, stderr) => {
      resolve({ status: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr });
    });
  });
}

const millrace = (args: readonly string[], env?: NodeJS.ProcessEnv) => run(join(home, 'dist/cli/millrace.js'), args, env);

async function bundle(outdir: string, entry = 'cli/millrace.ts') {
  return await build({
    entryPoints: [join(ROOT, 'src', entry)],
    outdir: join(outdir, entry, '..'),
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-redrive-'));
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(home, name));
  await bundle(join(home, 'dist'));
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('millrace redrive', () => {
  it('documents every option, the exit status and examples', async () => {
    const { status, stdout, stderr } = await millrace(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const option of [
      '--dry-run',
      '--since',
      '--until',
      '--cause',
      '--table',
      '--limit',
      '--backend',
      '--url',
      '--namespace',
      '--endpoint',
      '--region',
      '--trust-letters',
      '--json',
    ]) {
      expect(stdout).toContain(option);
    }
    expect(stdout).toMatch(/Exit status: 0 if[\s\S]*Examples:\n/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([
    [[], {}, /DEAD_LETTERS is absent: give s3:\/\/BUCKET or a folder/],
    [['letters'], {}, /CACHE_BACKEND is absent, so the cache is memory: .*removed for nothing.*or give --url on the command line/],
    [['letters', '--backend', 'memory'], {}, /the options are wrong:\n {2}--backend is "memory": that cache ends with this process/],
    [['letters', '--url', 'foo'], {}, /the options are wrong:\n {2}--url is not a URL/],
    [['letters', '--url', 'foo'], { READ_UNITS_PER_SECOND: '0' }, /READ_UNITS_PER_SECOND is "0".*\n {2}--url is not a URL/],
    [['letters', '--cause', 'bogus', '--dry-run'], {}, /Give decode, view or rejected; or the condition/],
    [['letters', '--endpoint', 'localhost:8123', '--dry-run'], {}, /Give a URL, such as http:\/\/localhost:8123/],
    [['letters', '--dry-run'], { AWS_REGION: undefined }, /no AWS Region is known.*give --region or set AWS_REGION/],
    [['letters', '--dry'], {}, /Run millrace redrive --help for usage\./],
    [['nowhere', '--url', 'valkey://127.0.0.1:1'], {}, /^millrace: nowhere: there is no such folder/],
    [['letters', '--url', 'valkey://127.0.0.1:1', '--since', 'monday'], {}, /since is "monday": give a time like/],
    [['letters', '--limit', '0'], {}, /positive whole number/],
    [['ftp://letters', '--dry-run'], {}, /the store is "ftp:\/\/letters": give s3/],
    [['letters'], { CACHE_BACKEND: 'redsi' }, /CACHE_BACKEND is "redsi"/],
  ])('explains the fault of the arguments %j with the environment %j, and does nothing', async (args, env, message) => {
    mkdirSync(join(home, 'letters'), { recursive: true });
    const { status, stdout, stderr } = await millrace(args, env);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('succeeds in a folder without letters', async () => {
    mkdirSync(join(home, 'empty'));
    writeFileSync(join(home, 'empty/README.txt'), 'not a letter');
    const { status, stdout } = await millrace(['empty', '--dry-run']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '0 letters in empty, a dry run: nothing was changed\n' });
  });

  it('refuses a cache that does not answer, before it changes a letter', async () => {
    const store = folderStore(join(home, 'unchanged'));
    await store.put(lambdaName(1), '{"no": "letter"}');
    const { status, stdout, stderr } = await millrace(['unchanged', '--url', 'valkey://127.0.0.1:1', '--json']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^millrace: nothing was done, because the cache cannot be read: .*127\.0\.0\.1:1.* or correct --url\n$/);
    expect(await store.get(lambdaName(1))).toBe('{"no": "letter"}');
  });

  it('refuses to run as an installed package, which has the views of the sample', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'millrace-installed-'));
    try {
      mkdirSync(join(elsewhere, 'node_modules/millrace'), { recursive: true });
      for (const name of readdirSync(join(ROOT, 'node_modules'))) {
        symlinkSync(join(ROOT, 'node_modules', name), join(elsewhere, 'node_modules', name));
      }
      writeFileSync(join(elsewhere, 'node_modules/millrace/package.json'), readFileSync(join(ROOT, 'package.json')));
      await bundle(join(elsewhere, 'node_modules/millrace/dist'));
      const { status, stderr } = await run(join(elsewhere, 'node_modules/millrace/dist/cli/millrace.js'), ['letters', '--dry-run']);
      expect(status).toBe(1);
      expect(stderr).toMatch(/installed package.*deploy redriveHandler/);
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });
});

describe('s3Store', () => {
  it('names the package to install if the S3 client is missing', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'millrace-letters-'));
    try {
      writeFileSync(join(elsewhere, 'package.json'), '{ "type": "module" }');
      await bundle(elsewhere, 'letters/index.ts');
      const script = `const { s3Store } = await import(${JSON.stringify(join(elsewhere, 'letters/index.js'))});
        await s3Store({ bucket: 'letters' }).put('a', '{}').catch(({ message }) => console.log(message));`;
      const { stdout } = await node(['--input-type=module', '--eval', script]);
      expect(stdout).toBe('letters in S3 need a package that is not installed: npm install @aws-sdk/client-s3\n');
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });
});

const order = (id: string, more: { readonly status?: string; readonly creator?: string } = {}) => ({
  pk: `order#${id}`,
  sk: 'order',
  id,
  createdAt: '2026-11-22T12:00:00.000Z',
  status: 'new',
  numItems: 1,
  items: [{ size: 'L', crust: 'thin', sauce: 'tomato', toppings: ['ham'] }],
  creator: 'ann',
  ...more,
});

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY))(
  'a redrive of a real table into a real cache',
  () => {
    let local: DynamoDbLocal;
    let valkey: ValkeyServer;
    let streamArn: string;
    let stream: StreamReader;
    let folder: string;
    let n = 0;

    beforeAll(async () => {
      [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
      ({ streamArn } = await createShopTable(local.client, 'shop'));
      stream = readStream(local.streams, streamArn);
    });
    afterAll(async () => {
      await Promise.all([local?.close(), valkey?.close()]);
    });
    beforeEach(() => {
      n += 1;
      folder = mkdtempSync(join(home, 'letters-'));
    });

    const put = (item: Record<string, unknown>) => local.client.send(new PutItemCommand({ TableName: 'shop', Item: marshall(item) }));
    const drop = (id: string) =>
      local.client.send(new DeleteItemCommand({ TableName: 'shop', Key: marshall({ pk: `order#${id}`, sk: 'order' }) }));
    const records = async (): Promise<StreamRecord[]> =>
      (await stream.readNew()).map((record: _Record) => ({ ...(record as StreamRecord), eventSourceARN: streamArn }));
    const where = () => ['--endpoint', local.endpoint, '--url', valkey.url, '--namespace', `redrive${n}`];
    const letters = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
    const cached = async (key: string) => {
      const cache = valkeyCache({ url: valkey.url, namespace: `redrive${n}` });
      try {
        const found = await cache.get(key);
        return found.type === 'hit' ? found.value : found.type;
      } finally {
        await cache.close();
      }
    };

    it('writes the current items of the table to the cache, and removes the letters', async () => {
      await put(order('a'));
      await put(order('b'));
      await put(order('c'));
      const store = folderStore(folder);
      const some = await records();
      await store.put(lambdaName(1), lambdaLetter(some));
      await put(order('a', { status: 'baked' }));
      await drop('b');
      await store.put(lambdaName(2), lambdaLetter((await records()).slice(0, 1), 'RecordAgeExceeded'));
      const { status, stdout, stderr } = await millrace([folder, ...where()]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain(`2 letters in ${folder}, redriven into the valkey cache\n`);
      expect(stdout).toMatch(/\nLETTERS +COUNT +WHY\nremoved +2\n\nAll letters are settled\n$/);
      expect(stdout).not.toContain('\x1b');
      expect(letters()).toBe(0);
      expect(await cached('detail@1:a')).toMatchObject({ id: 'a', status: 'baked' });
      expect(await cached('detail@1:b')).toBe('gone');
      expect(await cached('admin@1:c')).toMatchObject({ id: 'c', creator: 'ann' });
    });

    it('ignores the AWS environment for DynamoDB Local', async () => {
      await put(order('local'));
      await folderStore(folder).put(lambdaName(1), lambdaLetter(await records()));
      const without = Object.fromEntries(Object.keys(AWS).map((name) => [name, undefined]));
      const args = [folder, '--endpoint', local.endpoint, '--dry-run'];
      const others = { AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'another', AWS_SECRET_ACCESS_KEY: 'another' };
      for (const env of [without, others]) {
        const { status, stdout } = await millrace(args, env);
        expect(stdout).toMatch(/would be removed +1\n/);
        expect(status).toBe(0);
      }
      const elsewhere = await millrace([...args, '--access-key', 'another']);
      expect(elsewhere.stdout).toMatch(/would stay: table +1/);
    });

    it('redrives more items than one BatchGetItem call takes', async () => {
      const items = Array.from({ length: 130 }, (_, i) => order(`m${i}`));
      for (let i = 0; i < items.length; i += 10) await Promise.all(items.slice(i, i + 10).map(put));
      await folderStore(folder).put(lambdaName(1), lambdaLetter(await records()));
      const { status, stdout } = await millrace([folder, ...where(), '--json', '--read-units', '100000']);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toEqual({
        store: folder,
        backend: 'valkey',
        dryRun: false,
        trustLetters: false,
        removed: 1,
        kept: 0,
        letters: [{ name: lambdaName(1), path: join(folder, lambdaName(1)), records: 130, status: 'removed', causes: [] }],
      });
      expect(await cached('detail@1:m129')).toMatchObject({ id: 'm129' });
    });

    it('exits with 1 if letters are kept, and prints the count and an example of each cause', async () => {
      await put({ ...order('d'), createdAt: 'noon' });
      await put(order('e'));
      const [bad, good] = await records();
      const store = folderStore(folder);
      await store.put(lambdaName(1), lambdaLetter([bad as StreamRecord]));
      await store.put(lambdaName(2), lambdaLetter([good as StreamRecord]));
      await store.put(lambdaName(3), '{"no": "letter"}');
      const dry = await millrace([folder, '--endpoint', local.endpoint, '--dry-run']);
      expect(dry.status).toBe(1);
      expect(dry.stdout).toMatch(/a dry run: nothing was changed\n[\s\S]*would be removed +1\n[\s\S]*2 letters would stay\n/);
      expect([letters(), await cached('detail@1:e')]).toEqual([3, 'miss']);
      const { status, stdout } = await millrace([folder, ...where()]);
      expect(status).toBe(1);
      expect(stdout).toMatch(
        /removed +1\nkept: view +1 +a view fails on the current item\nkept: letter +1 +not a dead letter, or one without records\n/,
      );
      expect(stdout).toContain(`
kept: view, e.g. ${join(folder, lambdaName(1))}
└ detail@1, admin@1, orders@1: cannot project ["order#d","order"] as it is now: createdAt `);
      expect(stdout.match(/cannot project/g)).toHaveLength(1);
      expect(stdout).toContain(`\nkept: letter, e.g. ${join(folder, lambdaName(3))}\n└ letter: not a dead letter`);
      expect(stdout).toMatch(/2 letters stay\n--json prints every letter/);
      expect(stdout).not.toContain('noon');
      expect(JSON.parse((await store.get(lambdaName(1))) ?? '')).toMatchObject({ millrace: { redrives: { count: 1 } } });
      expect((await millrace([folder, ...where(), '--cause', 'RecordAgeExceeded'])).stdout).toMatch(/^0 letters/);
      expect((await millrace([folder, ...where(), '--table', 'other', '--until', '2026-11-22T03:00:02Z'])).stdout).toMatch(/^0 letters/);
    });

    it('shows letters that must be deleted as a kind of their own, with the command that deletes them', async () => {
      await put({ ...order('w'), items: [{ size: 1 }] });
      await drop('w');
      await put({ ...order('x'), id: 7 });
      await put(order('x'));
      await put({ ...order('y'), id: 7 });
      const [, deleted, , corrected, bad] = await records();
      const store = folderStore(folder);
      for (const [i, record] of [deleted, corrected, bad].entries()) await store.put(lambdaName(i), lambdaLetter([record as StreamRecord]));
      const dry = await millrace([folder, '--endpoint', local.endpoint, '--dry-run']);
      expect(dry.stdout).toMatch(/would stay: old image +2 +the item is settled, and you must delete the letter\n/);
      const { status, stdout } = await millrace([folder, ...where()]);
      expect(status).toBe(1);
      expect(stdout).toMatch(/removed +0\nkept: old image +2 +the item is settled, and you must delete the letter\nkept: view +1 /);
      expect(stdout).toContain(`
kept: old image, e.g. ${join(folder, lambdaName(0))}
└ detail@1, admin@1, orders@1: cannot project the old image of ["order#w","order"]: items[0].size is not a valid string, items[0].crust `);
      expect(stdout).toContain(`
First read "The letter that you must delete" in docs/operations.md. Then delete:
  rm ${join(folder, lambdaName(0))}
  rm ${join(folder, lambdaName(1))}
`);
      const json = await millrace([folder, ...where(), '--json']);
      expect(JSON.parse(json.stdout).letters).toMatchObject([
        { path: join(folder, lambdaName(0)), kind: 'old image', causes: [{ fields: expect.arrayContaining(['items[0].size']) }, {}, {}] },
        { path: join(folder, lambdaName(1)), kind: 'old image' },
        { path: join(folder, lambdaName(2)), kind: 'view' },
      ]);
    });

    it('reads the place of the letters from the environment, and no table with --trust-letters', async () => {
      await put(order('f', { status: 'then' }));
      await folderStore(folder).put(lambdaName(1), lambdaLetter(await records()));
      await put(order('f', { status: 'now' }));
      await records();
      const env = { DEAD_LETTERS: folder, CACHE_BACKEND: 'valkey', CACHE_URL: valkey.url, CACHE_NAMESPACE: `redrive${n}` };
      const { status, stdout } = await millrace(['--trust-letters'], env);
      expect(status).toBe(0);
      expect(stdout).toContain('letters are trusted');
      expect(await cached('detail@1:f')).toMatchObject({ status: 'then' });
    });

    it('runs as the Lambda function too, whose bundle contains no code of the command line', async () => {
      const { metafile } = await bundle(join(home, 'dist'), 'lambdas/redrive.ts');
      const inputs = Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules'));
      expect(inputs).toContainEqual(expect.stringMatching(/src\/redrive\/redrive\.ts$/));
      expect(inputs.filter((file) => /src\/(cli|testing|shop)\//.test(file))).toEqual([]);
      const packages = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
      expect(packages).toContain('@aws-sdk/client-dynamodb');
      expect(packages.filter((name) => /commander|cli-|fast-check/.test(name))).toEqual([]);
      await put(order('i'));
      await folderStore(folder).put(lambdaName(1), lambdaLetter(await records()));
      const env = {
        DEAD_LETTERS: folder,
        CACHE_BACKEND: 'valkey',
        CACHE_URL: valkey.url,
        CACHE_NAMESPACE: `redrive${n}`,
        TABLE_NAME: 'shop',
        METRICS: 'true',
        AWS_ENDPOINT_URL_DYNAMODB: local.endpoint,
      };
      const script = `const { handler } = await import('./dist/lambdas/redrive.js');
        console.log(JSON.stringify(await handler({ 'detail-type': 'Scheduled Event' }, { getRemainingTimeInMillis: () => 60_000, functionName: 'redrive' })));
        process.exit();`;
      const run = async () => {
        const { status, stdout, stderr } = await node(['--input-type=module', '--eval', script], env);
        expect(status).toBe(0);
        return `${stderr}${stdout}`
          .trim()
          .split('\n')
          .map((text) => JSON.parse(text));
      };
      // No worker has started the lives of the views yet.
      const [warning, , early] = await run();
      expect(warning).toMatchObject({ level: 'WARN', kept: 1, cause: { stage: 'cache', view: 'detail@1' } });
      expect(warning.cause.error.message).toBe('detail@1: the view has no life: deploy a worker that contains it');
      expect(early).toEqual({ removed: 0, kept: 1, causes: { cache: 1 }, dryRun: false });
      expect(letters()).toBe(1);
      const living = withLives(valkeyCache({ url: valkey.url, namespace: `redrive${n}` }), { views: appViews, waitMs: 0 });
      await living.apply([]);
      const [line, answer] = await run();
      expect(line).toMatchObject({ level: 'INFO', message: 'redrive', Redriven: 1, Kept: 0, function_name: 'redrive' });
      expect(answer).toEqual({ removed: 1, kept: 0, causes: {}, dryRun: false });
      expect(await living.get('detail@1:i')).toMatchObject({ type: 'hit', value: { id: 'i' } });
      expect(await cached('detail@1:i')).toBe('miss');
      await living.close();
    });

    it('keeps all letters and exits with 1 while the table is away', async () => {
      await put(order('g'));
      await folderStore(folder).put(lambdaName(1), lambdaLetter(await records()));
      const { status, stdout } = await millrace([folder, ...where(), '--endpoint', 'http://127.0.0.1:1']);
      expect(status).toBe(1);
      expect(stdout).toMatch(/kept: table +1 +the table could not be read\n\nkept: table, e.g. .*\n└ table: .*ECONNREFUSED/);
      expect(letters()).toBe(1);
    });

    it.skipIf(missing(motoAvailable(), HOW_TO_GET_MOTO))('redrives the letters of a bucket', async () => {
      const moto: MotoServer = await startMoto();
      const client = new S3Client(moto.settings);
      try {
        await client.send(new CreateBucketCommand({ Bucket: 'dead-letters' }));
        await put(order('h'));
        const some = await records();
        const store = s3Store({ bucket: 'dead-letters', client });
        await store.put(lambdaName(1), lambdaLetter(some));
        await client.send(new PutObjectCommand({ Bucket: 'dead-letters', Key: 'something/else.json', Body: '{}' }));
        const { AWS_REGION: _, ...aws } = { ...AWS, AWS_ENDPOINT_URL_S3: moto.settings.endpoint };
        const { status, stdout } = await millrace(['s3://dead-letters', ...where()], aws);
        expect(stdout).toMatch(/^1 letter in s3:\/\/dead-letters, redriven/);
        expect(status).toBe(0);
        const { version } = decodeRecord(some[0] as StreamRecord, 0);
        const cache = valkeyCache({ url: valkey.url, namespace: `redrive${n}` });
        expect(await cache.get('detail@1:h')).toMatchObject({ type: 'hit', version });
        await cache.close();
        expect(await store.get(lambdaName(1))).toBeUndefined();
        expect(await store.get('something/else.json')).toBe('{}');
        await store.put(lambdaName(2), '{"no": "letter"}');
        const kept = await millrace(['s3://dead-letters', ...where()], aws);
        expect(kept.stdout).toContain(`kept: letter, e.g. s3://dead-letters/${lambdaName(2)}\n`);
        const absent = await millrace(['s3://no-such-bucket', ...where()], aws);
        expect(absent).toMatchObject({
          status: 1,
          stdout: '',
          stderr: expect.stringMatching(/^millrace: s3:\/\/no-such-bucket: .*bucket/),
        });
      } finally {
        client.destroy();
        await moto.close();
      }
    });
  },
);
