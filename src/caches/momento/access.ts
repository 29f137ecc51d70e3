import { shownValue } from '../../errors.ts';

/** Where the API key comes from, or a server that needs none. */
export type MomentoAccess = MomentoSecret | ({ readonly kind: 'key' } & MomentoKey) | MomentoLocal;

interface MomentoSecret {
  readonly kind: 'secret';
  /** Name or ARN in Secrets Manager. The secret is the key alone, or `{"apiKey": "…", "endpoint": "…"}`. */
  readonly secretId: string;
  /** Used if the secret does not contain an endpoint. */
  readonly endpoint?: string;
}

export interface MomentoLocal {
  readonly kind: 'local';
  readonly host: string;
  readonly port: number;
}

export interface MomentoKey {
  readonly apiKey: string;
  /** For example `cell-4-us-west-2-1.prod.a.momentohq.com`. A version 1 key contains its endpoint. */
  readonly endpoint?: string;
}

/** Visible ASCII, as in an HTTP header. With other characters in the key, a call of the SDK never ends. */
const KEY = /^[\x21-\x7e]+$/;
const HOST = /^[\w.-]+(:\d+)?$/;
const LOCAL = /^([\w.-]+):(\d{1,5})$/;

type Given = Readonly<Record<string, string | undefined>>;

/** Reads the variables MOMENTO_… and appends what is wrong with them to `faults`. No fault shows the key. */
export function parseAccess(given: Given, faults: string[]): MomentoAccess | undefined {
  const { MOMENTO_SECRET_ID: secretId, MOMENTO_API_KEY: apiKey, MOMENTO_ENDPOINT, MOMENTO_LOCAL: local } = given;
  const chosen = ['MOMENTO_SECRET_ID', 'MOMENTO_API_KEY', 'MOMENTO_LOCAL'].filter((name) => given[name] !== undefined);
  if (chosen.length === 0) {
    faults.push('MOMENTO_SECRET_ID is absent: name the secret with the API key, or give MOMENTO_API_KEY, or MOMENTO_LOCAL=HOST:PORT');
  }
  if (chosen.length > 1) faults.push(`${chosen.join(' and ')} are given: leave all but one out`);
  const endpoint = MOMENTO_ENDPOINT === undefined ? {} : { endpoint: MOMENTO_ENDPOINT.trim() };
  if (secretId !== undefined) {
    faults.push(...nameFaults(secretId, 'MOMENTO_SECRET_ID'));
    if (endpoint.endpoint !== undefined) faults.push(...endpointFaults(endpoint.endpoint));
    return { kind: 'secret', secretId: secretId.trim(), ...endpoint };
  }
  if (apiKey !== undefined) {
    const key = { apiKey: apiKey.trim(), ...endpoint };
    faults.push(...keyFaults(key, 'MOMENTO_API_KEY'));
    return { kind: 'key', ...key };
  }
  if (local === undefined) return undefined;
  const [whole, host = '', port] = LOCAL.exec(local.trim()) ?? [];
  if (whole === undefined) faults.push(`MOMENTO_LOCAL is ${shownValue(local)}: give HOST:PORT`);
  return { kind: 'local', host, port: Number(port) };
}

/** Refuses a URL or an API key in the place of a name, because messages of later failures show the name. */
export function nameFaults(name: string, variable: string): string[] {
  // An API key is JSON in base64, which begins with this.
  if (!/:\/\/|^\s*eyJ/.test(name)) return [];
  return [`${variable} is a URL or an API key, which is not shown: give a name; a key belongs in MOMENTO_API_KEY`];
}

/** @param where the key comes from, for example `MOMENTO_API_KEY` */
export function keyFaults({ apiKey, endpoint }: MomentoKey, where: string): string[] {
  const faults = KEY.test(apiKey) ? [] : [`${where} holds no API key: it is empty, or has blanks or characters beyond ASCII`];
  return endpoint === undefined ? faults : [...faults, ...endpointFaults(endpoint)];
}

function endpointFaults(endpoint: string): string[] {
  return HOST.test(endpoint) ? [] : ['the endpoint of Momento is no host name: give it as cell-4-us-west-2-1.prod.a.momentohq.com'];
}
