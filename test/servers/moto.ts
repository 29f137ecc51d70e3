import { spawn, spawnSync } from 'node:child_process';
import { freePort, type OwnedProcess, own } from './processes.ts';

export const HOW_TO_GET_MOTO = "these tests need moto's server, an S3 in memory: `pip install 'moto[s3,server]'`, or set MOTO_SERVER";

const candidates: readonly (readonly [string, ...string[]])[] = process.env.MOTO_SERVER
  ? [[process.env.MOTO_SERVER]]
  : [['moto_server'], ['python3', '-m', 'moto.server']];
const found = candidates.find(([command, ...args]) => spawnSync(command, [...args, '--help']).status === 0);

export function motoAvailable(): boolean {
  return found !== undefined;
}

export interface MotoServer {
  /** The settings of an SDK client: endpoint, region, and credentials that only this server accepts. */
  readonly settings: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
    readonly forcePathStyle: true;
  };
  readonly pid: number;
  close(): Promise<void>;
}

export async function startMoto(): Promise<MotoServer> {
  if (found === undefined) throw new Error(HOW_TO_GET_MOTO);
  const [command, ...args] = found;
  const port = await freePort();
  const child = spawn(command, [...args, '--host', '127.0.0.1', '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONUNBUFFERED: '1' },
  });
  const ready = ({ output }: OwnedProcess) => output().includes(`Running on http://127.0.0.1:${port}`);
  const server = await own(child, { name: 'moto_server', ready });
  return {
    settings: {
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      forcePathStyle: true,
    },
    pid: server.pid,
    close: () => server.end(),
  };
}
