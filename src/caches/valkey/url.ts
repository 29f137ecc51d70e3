import { ConfigurationError } from '../../errors.ts';

export interface CacheAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string;
  readonly password: string;
  readonly db: number;
}

/** What every fault ends with. */
const FORM = 'give valkey://HOST:PORT, or valkeys://USER:PASSWORD@HOST:PORT for TLS (redis:// and rediss:// work too)';

/** @throws ConfigurationError without the URL in its message, because the URL may contain a password. */
export function parseCacheUrl(url: string, cluster = false): CacheAddress {
  if (!URL.canParse(url)) throw new ConfigurationError(`CACHE_URL is not a URL: ${FORM}`);
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  if (!/^(valkey|redis)s?:$/.test(protocol) || !hostname) throw new ConfigurationError(`CACHE_URL has another scheme, or no host: ${FORM}`);
  const [, database = ''] = pathname.match(/^\/?(\d*)$/) ?? [undefined, 'none'];
  if (database === 'none') throw new ConfigurationError('CACHE_URL has a path that is no database number: leave it out, or give /0');
  if (cluster && Number(database) > 0) throw new ConfigurationError('CACHE_URL has a database number, and a cluster has database 0 only');
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 6379),
    tls: protocol === 'valkeys:' || protocol === 'rediss:',
    username: decoded(username),
    password: decoded(password),
    db: Number(database || 0),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ConfigurationError('CACHE_URL has a user or password with a "%" that escapes nothing: write it as %25');
  }
}
