import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { momentoCache } from '../../src/caches/momento.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { FLOOR, versionOf } from '../../src/version.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { startMomentoServer } from '../servers/momento/server.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

let cli: BuiltCli;
beforeAll(() => {
  cli = buildCli();
}, 120_000);
afterAll(() => cli?.remove());

const millrace = (args: readonly string[], env?: NodeJS.ProcessEnv) => cli.run(args, env);

describe.each(['get', 'list'])('millrace %s', (command) => {
  it('documents its options, in lines of 100 characters at most', async () => {
    const { status, stdout } = await millrace([command, '--help']);
    expect(status).toBe(0);
    for (const option of ['--backend', '--url', '--namespace', '--json']) expect(stdout).toContain(option);
    expect(stdout).toMatch(/Exit status: 0 if[\s\S]*Examples:\n/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([
    [['detail@1:42'], {}, /the memory cache ends with its process: give --url valkey:\/\/HOST:PORT, or set CACHE_BACKEND/],
    [['detail@1:42', '--backend', 'memory'], {}, /the memory cache ends with its process/],
    [['detail', '--url', 'valkey://127.0.0.1:1'], {}, /"detail" is not a key of a view: give one like detail@1:42, as keyOf makes it/],
    [['detail@1:', '--url', 'valkey://127.0.0.1:1'], {}, /"detail@1:" is not a key of a view/],
    [['millrace:doc:detail@1:42', '--url', 'valkey://127.0.0.1:1'], {}, /KEY, without millrace:doc: or millrace:list:/],
    [['detail@1:42', '--url', 'valkey://127.0.0.1:1'], {}, /nothing was done, because the cache cannot be read: .*correct --url/],
    [['detail@1:42'], { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://127.0.0.1:1' }, /cannot be read: .*correct CACHE_URL/],
    [[], {}, /missing required argument/],
  ])('explains the fault of the arguments %j with the environment %j', async (args, env, message) => {
    const { status, stdout, stderr } = await millrace([command, ...args], env);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('the contents of Momento', () => {
  it('gives documents without the lease, and lists', async () => {
    const server = await startMomentoServer({ caches: ['shop'] });
    const access = { kind: 'local', host: server.host, port: server.port } as const;
    const cache = await momentoCache({ access, cacheName: 'shop', namespace: 'millrace' });
    try {
      const version = versionOf('2026-11-01T09:00:00.123', '7');
      await cache.apply([{ kind: 'document', type: 'put', key: 'detail@1:a', json: '{"id":"a"}', version }]);
      const env = { CACHE_BACKEND: 'momento', MOMENTO_CACHE_NAME: 'shop', MOMENTO_LOCAL: `${server.host}:${server.port}` };
      const { status, stdout } = await millrace(['get', 'detail@1:a'], env);
      expect(status).toBe(0);
      expect(stdout).toMatch(/state {4}hit\n.*sequence number 7 in .*\n {2}lease {4}this backend does not tell\n.*\{"id":"a"\}\n$/);
      expect(JSON.parse((await millrace(['list', 'orders@1:all', '--json'], env)).stdout)).toEqual({
        key: 'orders@1:all',
        members: [],
        complete: false,
      });
    } finally {
      await cache.close();
      await server.stop();
    }
  }, 60_000);
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the contents of a real Valkey', () => {
  let server: ValkeyServer;
  let cache: CacheClient;
  let where: readonly string[];
  const version = versionOf('2026-11-01T09:00:00.123', '41800000000000000000117');
  const document = (key: string) => ({ kind: 'document', key, version }) as const;
  const member = (name: string, score: number) =>
    ({
      kind: 'member',
      type: 'put',
      list: 'orders@1:all',
      member: name,
      score,
      keep: 9,
      json: JSON.stringify({ id: name }),
      version,
    }) as const;

  beforeAll(async () => {
    server = await startValkey();
    cache = valkeyCache({ url: server.url, namespace: 'looked-at' });
    where = ['--url', server.url, '--namespace', 'looked-at'];
    await cache.apply([
      { ...document('detail@1:a'), type: 'put', json: '{"id":"a","note":"\\u001b[31m"}' },
      { ...document('detail@1:b'), type: 'delete' },
      { ...document('detail@1:c'), type: 'forget' },
      ...['x', 'y', 'z'].map((name, i) => member(name, i)),
    ]);
    const lease = await leaseOn(cache, { kind: 'document', key: 'detail@1:filled' });
    await settleOn(cache, lease, { kind: 'document', json: '1' });
    await leaseOn(cache, { kind: 'document', key: 'detail@1:a' });
    await leaseOn(cache, { kind: 'document', key: 'detail@1:leased' });
  });
  afterAll(async () => {
    await cache?.close();
    await server?.close();
  });

  it('gives state, version, lease and value of documents', async () => {
    const { status, stdout, stderr } = await millrace(['get', 'detail@1:a', 'detail@1:b', 'detail@1:c', 'detail@1:filled', ...where]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe(`detail@1:a
  state    hit
  version  sequence number 41800000000000000000117 in the stream 2026-11-01T09:00:00.123
  lease    taken, and not settled yet
  value    {"id":"a","note":"\\u001b[31m"}

detail@1:b
  state    gone
  version  sequence number 41800000000000000000117 in the stream 2026-11-01T09:00:00.123
  lease    none

detail@1:c
  state    miss: ask the table
  lease    none

detail@1:filled
  state    hit
  version  filled from the table, where the cache held no version
  lease    none
  value    1
`);
  });

  it('gives documents as JSON, and changes nothing', async () => {
    for (let i = 0; i < 2; i += 1) {
      const { stdout } = await millrace(['get', 'detail@1:a', 'detail@1:leased', 'detail@1:absent', 'detail@1:filled', '--json', ...where]);
      expect(JSON.parse(stdout)).toEqual([
        { key: 'detail@1:a', type: 'hit', value: { id: 'a', note: '\u001b[31m' }, version, leased: true },
        { key: 'detail@1:leased', type: 'miss', leased: true },
        { key: 'detail@1:absent', type: 'miss', leased: false },
        { key: 'detail@1:filled', type: 'hit', value: 1, version: FLOOR, leased: false },
      ]);
    }
  });

  it('gives completeness, members and versions of a list, page by page', async () => {
    const first = await millrace(['list', 'orders@1:all', '--limit', '2', ...where]);
    expect(first.stdout).toMatch(/^orders@1:all\n {2}complete {2}no: members may be missing, so ask the table\n {2}lease {5}not stored/);
    expect(first.stdout).toMatch(
      /\n2 {2}z\n {2}version {2}sequence number 41800000000000000000117 in .*\n {2}value {4}\{"id":"z"\}\n\n1 {2}y\n/,
    );
    const cursor = /--after (\S+)/.exec(first.stdout)?.[1] as string;
    const second = await millrace(['list', 'orders@1:all', '--limit', '2', '--after', cursor, '--json', ...where]);
    expect(JSON.parse(second.stdout)).toEqual({
      key: 'orders@1:all',
      members: [{ member: 'x', score: 0, value: { id: 'x' }, version }],
      complete: false,
    });
  });

  it('tells a list that is complete, and the order', async () => {
    const list = 'orders@1:filled';
    const lease = await leaseOn(cache, { kind: 'list', list, keep: 9 });
    const newest = [2, 1].map((score) => ({ member: String(score), score, json: '{}' }));
    await settleOn(cache, lease, { kind: 'list', newest });
    const { stdout } = await millrace(['list', list, '--order', 'asc', ...where]);
    expect(stdout).toMatch(/ {2}complete {2}yes\n/);
    expect(stdout).toMatch(/\n1 {2}1\n[\s\S]*\n2 {2}2\n/);
    expect(JSON.parse((await millrace(['list', list, '--json', ...where])).stdout)).toMatchObject({ complete: true });
  });

  it('refuses a cursor that no page gave', async () => {
    const { status, stderr } = await millrace(['list', 'orders@1:all', '--after', 'x', ...where]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^millrace: cursor "x" was not given by a page/);
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('a cache whose views have lives', () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey();
  });
  afterAll(() => server?.close());
  const version = versionOf('2026-11-01T09:00:00.123', '7');
  const change = { kind: 'document', type: 'put', key: 'detail@1:a', json: '{"id":"a"}', version } as const;
  const detail = { name: 'detail', revision: 1 };

  it('shows what is stored under the present life', async () => {
    const living = withLives(valkeyCache({ url: server.url, namespace: 'usable' }), { views: [detail], waitMs: 0 });
    await living.apply([change]);
    const where = ['--url', server.url, '--namespace', 'usable'];
    expect(await millrace(['get', 'detail@1:a', ...where])).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('state    hit'),
    });
    const other = await millrace(['list', 'orders@1:all', ...where]);
    expect(other).toMatchObject({
      status: 0,
      stderr: 'millrace: the view orders@1 has no life, because no worker contains it: until then reads miss, and changes are skipped\n',
      stdout: expect.stringContaining('complete  no'),
    });
    await living.close();
  });

  it('says when a view becomes usable, and that a replay skips its changes until then', async () => {
    const living = withLives(valkeyCache({ url: server.url, namespace: 'early' }), { views: [detail] });
    await living.apply([]);
    const { from } = (await living.lives()).get('detail@1') as { from: number };
    const at = new Date(from).toTimeString().slice(0, 8);
    const note = `millrace: the view detail@1 becomes usable at ${at}: until then reads miss, and changes are skipped\n`;
    const where = ['--url', server.url, '--namespace', 'early'];
    expect(await millrace(['get', 'detail@1:a', ...where])).toMatchObject({ stderr: note, stdout: expect.stringContaining('miss') });
    const { stdout, stderr } = await millrace(['replay', join(import.meta.dirname, '../../events/insert.json'), ...where]);
    expect(stderr).toContain(note);
    expect(stdout).toMatch(/4 skipped[\s\S]*0 mutations applied, 0 stale, 0 rejected, 4 skipped,/);
    await living.close();
  });
});
