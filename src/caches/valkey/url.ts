import { isIPv6 } from 'node:net';
import { ConfigurationError } from '../../errors.ts';

export interface CacheAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string;
  readonly password: string;
  readonly db: number;
}

const FORM = 'give valkey://HOST:PORT, or valkeys://USER:PASSWORD@HOST:PORT for TLS (redis:// and rediss:// work too)';
const ESCAPE = `escape it in the user or the password (%23 for #, %2F for /, %3F for ?, %40 for @); ${FORM}`;
/** Parameters of other clients' URLs, and where their values belong. */
const PARAMETERS: readonly (readonly [name: RegExp, place: string])[] = [
  [/^(user|username|pass|password|auth)$/i, 'write user and password before the host'],
  [/^(tls|ssl|secure)$/i, 'write valkeys:// for TLS'],
  [/^(db|database)$/i, 'write the database number behind the host, as in valkey://HOST:PORT/3'],
  [/^cluster$/i, 'set CACHE_CLUSTER=true'],
  [/time_?out/i, 'set CACHE_CONNECT_TIMEOUT_MS, CACHE_COMMAND_TIMEOUT_MS or CACHE_DEADLINE_MS'],
];

/** @throws ConfigurationError without the URL in its message, because the URL may contain a password. */
export function parseCacheUrl(url: string, cluster = false): CacheAddress {
  const fault = (what: string) => new ConfigurationError(`CACHE_URL ${what}`);
  const [, scheme, rest] = /^([a-z][a-z\d+.-]*):(?:\/\/(.*))?/is.exec(url.trim()) ?? [];
  if (scheme === undefined) throw fault(`is not a URL: ${FORM}`);
  const wrongPlace = () => fault(`has another scheme, no host, or no valid port: ${FORM}`);
  if (rest === undefined || !/^(valkey|redis)s?$/i.test(scheme)) throw wrongPlace();
  if (/\s/.test(rest)) throw fault(`has a blank or a line break: escape it in the user or the password (%20, %0A); ${FORM}`);
  const parameters = parametersIn(rest);
  if (parameters !== undefined) throw fault(`has ${parameters}; ${FORM}`);

  // The last @ ends the user and the password.
  const end = rest.lastIndexOf('@');
  const credentials = rest.slice(0, Math.max(end, 0));
  const place = rest.slice(end + 1);
  const stray = /[#/?@]/.exec(credentials)?.[0] ?? /[#?]/.exec(place)?.[0];
  if (stray !== undefined) throw fault(`has a "${stray}" where none belongs: ${ESCAPE}`);
  const [, name = '', port, path = ''] = /^(\[[^\]]*\]|[\w.-]*)(?::(\d*))?(\/.*)?$/.exec(place) ?? [];
  const host = name.replace(/^\[(.*)\]$/, '$1');
  if (host === '' || (host !== name && !isIPv6(host)) || !/^(?!0+$)\d{1,5}$/.test(port || '6379') || Number(port) > 65_535)
    throw wrongPlace();
  const [, database] = /^\/?(\d{0,9})$/.exec(path) ?? [];
  if (database === undefined) throw fault('has a path that is no database number: leave it out, or give /0');
  if (cluster && Number(database) > 0) throw fault('has a database number, and a cluster has database 0 only');
  const [, username = '', password = ''] = /^([^:]*)(?::(.*))?$/.exec(credentials) ?? [];
  return {
    host,
    port: Number(port || 6_379),
    tls: /^(valkeys|rediss)$/i.test(scheme),
    username: decoded(username),
    password: decoded(password),
    db: Number(database),
  };
}

/** Names the parameters of a query, and says where their values belong; undefined if there are none. Shows no value. */
function parametersIn(rest: string): string | undefined {
  const [, query] = /\?([^#]*)/.exec(rest) ?? [];
  const names = (query ?? '').split('&').flatMap((parameter) => /^([a-z][\w.-]{0,30})=/i.exec(parameter)?.[1] ?? []);
  const places = PARAMETERS.flatMap(([name, place]) => (names.some((it) => name.test(it)) ? place : []));
  // In a URL with user and password, a "?" with unknown names behind it may be part of the password.
  if (names.length === 0 || (places.length === 0 && rest.lastIndexOf('@') > rest.indexOf('?'))) return undefined;
  const them = names.map((it) => `"${it}"`).join(', ');
  return `the ${names.length > 1 ? 'parameters' : 'parameter'} ${them}, which nothing reads: ${['leave them out', ...places].join('; ')}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ConfigurationError('CACHE_URL has a user or password with a "%" that escapes nothing: write it as %25');
  }
}
