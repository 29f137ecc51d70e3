import { existsSync } from 'node:fs';
import { Cluster, Valkey } from 'iovalkey';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from './requires.ts';
import {
  HOW_TO_GET_VALKEY,
  startCluster,
  startValkey,
  type ValkeyCluster,
  type ValkeyServer,
  valkeyAvailable,
  valkeyVersion,
} from './valkey.ts';

const skip = missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

async function using<Client extends { disconnect(): void }, Result>(client: Client, work: (client: Client) => Promise<Result>) {
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

const alive = (pid: number | undefined) => pid !== undefined && process.kill(pid, 0);

/** Closes a cluster, and checks that every node has ended. */
async function closed(cluster: ValkeyCluster | undefined): Promise<void> {
  const pids = cluster?.nodes.map((node) => node.pid) ?? [];
  await cluster?.close();
  for (const pid of pids) if (pid !== undefined) expect(() => alive(pid)).toThrow('ESRCH');
}

describe.skipIf(skip)('valkeyVersion', () => {
  it('names the server and its version', () => {
    expect(valkeyVersion()).toMatch(/^(Redis|Valkey) \d+\.\d+/);
  });
});

describe.skipIf(skip)('startValkey', () => {
  it('restarts a server without keys on its port, and leaves no process and no folder behind', async () => {
    const server = await startValkey();
    const folder = await using(new Valkey(server.url), async (client) => {
      expect(await client.ping()).toBe('PONG');
      await client.set('key', 'value');
      return ((await client.config('GET', 'dir')) as string[])[1] as string;
    });
    const first = server.pid as number;
    await server.restart();
    expect(() => alive(first)).toThrow('ESRCH');
    await using(new Valkey(server.url), async (client) => expect(await client.get('key')).toBeNull());

    const second = server.pid as number;
    expect(existsSync(folder)).toBe(true);
    await server.close();
    await server.close();
    expect(() => alive(second)).toThrow('ESRCH');
    expect(existsSync(folder)).toBe(false);
    expect(server.pid).toBeUndefined();
  });

  it('applies lines of the configuration, and puts the password into the URL', async () => {
    const server = await startValkey({ config: { requirepass: 'p@ss/word', maxmemory: '3mb', 'maxmemory-policy': 'allkeys-lru' } });
    try {
      await using(new Valkey(server.url), async (client) => {
        expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(3 * 2 ** 20)]);
      });
    } finally {
      await server.close();
    }
  });

  it('throws with the name of an unknown configuration line', async () => {
    await expect(startValkey({ config: { maxmemroy: '3mb' } })).rejects.toThrow(/maxmemroy/);
  });
});

describe.skipIf(skip)('startCluster', () => {
  let cluster: ValkeyCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterAll(() => closed(cluster));

  it('spreads keys over the nodes', async () => {
    await using(new Cluster([cluster.url]), async (client) => {
      const keys = Array.from({ length: 60 }, (_, n) => `key:${n}`);
      for (const key of keys) await client.set(key, key);
      for (const key of keys) expect(await client.get(key)).toBe(key);
    });
    for (const node of cluster.nodes) {
      await using(new Valkey(node.url), async (client) => expect(await client.dbsize()).toBeGreaterThan(5));
    }
  });

  it('moves a slot with its keys, and answers ASK midway', async () => {
    await using(new Cluster([cluster.url]), async (client) => {
      const keys = Array.from({ length: 10 }, (_, n) => `{moving}:${n}`);
      for (const key of keys) await client.set(key, key);
      const slot = await client.cluster('KEYSLOT', '{moving}');
      const owner = await cluster.ownerOf(slot);
      const [target, bystander] = cluster.nodes.filter((node) => node.port !== owner) as [ValkeyServer, ValkeyServer];
      const answers = (key: string) =>
        using(new Valkey(`redis://127.0.0.1:${owner}`), (plain) => plain.get(key).catch((error: Error) => error.message.split(' ')[0]));

      let midway: (string | null | undefined)[] = [];
      await cluster.moveSlot(slot, target.port, {
        async pauseMidway() {
          midway = await Promise.all(keys.map(answers));
          for (const key of keys) expect(await client.get(key)).toBe(key);
          await client.set('{moving}:new', 'new');
        },
      });
      expect(midway.filter((answer) => answer === 'ASK')).toHaveLength(5);
      expect(midway.filter((answer) => answer?.startsWith('{moving}'))).toHaveLength(5);

      expect(await cluster.ownerOf(slot)).toBe(target.port);
      expect(await answers('{moving}:0')).toBe('MOVED');
      for (const key of keys) expect(await client.get(key)).toBe(key);
      expect(await client.get('{moving}:new')).toBe('new');

      await cluster.moveSlot(slot, bystander.port);
      for (const key of keys) expect(await client.get(key)).toBe(key);
    });
  });
});

describe.skipIf(skip)('a cluster with replicas', () => {
  let cluster: ValkeyCluster;
  beforeAll(async () => {
    cluster = await startCluster({ replicas: 1 });
  }, 30_000);
  afterAll(() => closed(cluster));

  it('lets a replica take over after a crash, and the crashed master take over again', { timeout: 30_000 }, async () => {
    await using(new Cluster([cluster.url]), async (client) => {
      const slot = await client.cluster('KEYSLOT', 'key');
      const master = await cluster.ownerOf(slot);
      await using(new Valkey(`redis://127.0.0.1:${master}`), async (plain) => {
        await plain.set('key', 'value');
        expect(await plain.wait(1, 2_000)).toBe(1);
      });
      const heir = await cluster.failover(master, { crash: true });
      expect(heir).not.toBe(master);
      expect(await cluster.ownerOf(slot)).toBe(heir);
      expect(await client.get('key')).toBe('value');

      await cluster.nodes.find((node) => node.port === master)?.restart();
      await cluster.agreed();
      expect(await cluster.failover(heir)).toBe(master);
      expect(await client.get('key')).toBe('value');
    });
  });
});
