import { Redis } from 'iovalkey';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { REGISTER_KEY, registerText } from '../../src/lives/register.ts';
import { leaseOn, put, settleOn } from '../../src/testing/contract/case.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

let cli: BuiltCli;
beforeAll(() => {
  cli = buildCli();
}, 120_000);
afterAll(() => cli?.remove());

const prune = (args: readonly string[], env?: NodeJS.ProcessEnv) => cli.run(['prune', ...args], env);

describe('millrace prune', () => {
  it('documents its options, in lines of 100 characters at most', async () => {
    const { status, stdout } = await prune(['--help']);
    expect(status).toBe(0);
    for (const option of ['--url', '--namespace', '--dry-run', '--everything', '--json']) expect(stdout).toContain(option);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([
    [[], {}, /the memory cache ends with its process/],
    [['--url', 'valkey://127.0.0.1:1'], {}, /nothing was done, because the cache cannot be read: .*correct --url/],
  ])('explains the fault of the arguments %j', async (args, env, message) => {
    const { status, stdout, stderr } = await prune(args, env);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('millrace prune on a server', () => {
  let server: ValkeyServer;
  let raw: Redis;
  let cache: CacheClient;
  beforeEach(async () => {
    server = await startValkey();
    raw = new Redis(server.url);
    cache = valkeyCache({ url: server.url });
  });
  afterEach(async () => {
    raw?.disconnect();
    await cache?.close();
    await server?.close();
  });

  async function register(lives: Readonly<Record<string, string>>): Promise<void> {
    const json = registerText({ lives: new Map(Object.entries(lives).map(([view, life]) => [view, { life, from: 1 }])), written: 1 });
    const lease = await leaseOn(cache, { kind: 'document', key: REGISTER_KEY });
    await settleOn(cache, lease, { kind: 'document', json });
  }
  const KEYS = ['detail@1.now:1', 'detail@1.now:2', 'detail@1.past:1', 'detail@1:1', 'detail@2.now:1', 'gone@1.now:a:b', 'note'];
  const fill = async () => {
    await cache.apply(KEYS.map((key) => put(key, 1, 'x')));
    await raw.set('millrace:foreign', 'x');
    await raw.set('other', 'x');
  };
  const keys = async () => (await raw.keys('*')).sort();
  const LEFT = [
    'millrace:doc:detail@1.now:1',
    'millrace:doc:detail@1.now:2',
    'millrace:doc:lives',
    'millrace:doc:note',
    'millrace:foreign',
    'other',
  ];

  it('removes old revisions, ended lives and keys without a life, and says whose keys they were', async () => {
    await fill();
    await register({ 'detail@1': 'now', 'list@1': 'a1' });
    const { status, stdout } = await prune(['--url', server.url]);
    expect(await keys()).toEqual(LEFT);
    expect(status).toBe(0);
    expect(stdout).toMatch(/detail@1\.now +live +2\n/);
    expect(stdout).toMatch(/detail@1\.past +unused +1\n/);
    expect(stdout).toContain('removed 4 keys of the namespace millrace, kept 4\n');
    expect(stdout).toContain('1 key of other programs in the namespace stay');
    expect(JSON.parse((await prune(['--url', server.url, '--json'])).stdout)).toMatchObject({ swept: { removed: 0, kept: 4 } });
  });

  it('removes nothing with --dry-run, and counts the same', async () => {
    await fill();
    await register({ 'detail@1': 'now' });
    const before = await keys();
    const { stdout } = await prune(['--url', server.url, '--dry-run']);
    expect(stdout).toContain('would remove 4 keys of the namespace millrace, kept 4\n');
    expect(await keys()).toEqual(before);
  });

  it('removes nothing without a register of lives, and all documents and lists of views with --everything', async () => {
    await fill();
    const before = await keys();
    const { status, stderr } = await prune(['--url', server.url]);
    expect(status).toBe(1);
    expect(stderr).toContain('the namespace millrace has no register of lives: deploy a worker first, or give --everything');
    expect(await keys()).toEqual(before);
    await register({ 'detail@1': 'now' });
    expect((await prune(['--url', server.url, '--everything'])).status).toBe(0);
    expect(await keys()).toEqual(['millrace:doc:note', 'millrace:foreign', 'other']);
  });
});
