/** How the connection was configured. */
export interface ConnectionFacts {
  readonly tls: boolean;
  readonly cluster: boolean;
  /** Whether the login is by IAM. */
  readonly iam: boolean;
}

interface Fault {
  readonly pattern: RegExp;
  /** Whether only a change of the configuration can help, so that calls fail at once. */
  readonly isFinal: boolean;
  /** What to change; undefined: the fault has another reason with this configuration. */
  wayOut(facts: ConnectionFacts): string | undefined;
}

const PRIVATE_AUTHORITY = 'name a private certificate authority in NODE_EXTRA_CA_CERTS, or in the option tls: { ca }';

/** The first that fits counts. */
const FAULTS: readonly Fault[] = [
  {
    pattern: /^database \d+ cannot be selected: .*cluster mode/,
    isFinal: true,
    wayOut: () => 'the server is a node of a cluster: leave the database number out of CACHE_URL, and set CACHE_CLUSTER=true',
  },
  {
    pattern: /^database \d+ cannot be selected/,
    isFinal: true,
    wayOut: () => 'change the database number in CACHE_URL, or leave it out',
  },
  {
    pattern: /^WRONGPASS|^NOAUTH|invalid password/,
    isFinal: true,
    wayOut: ({ iam }) =>
      iam
        ? 'check CACHE_IAM_USER and CACHE_IAM_CACHE_NAME, and that the function has elasticache:Connect'
        : 'check the user and the password in CACHE_URL (valkey://USER:PASSWORD@HOST:PORT)',
  },
  {
    pattern: /^NOPERM/,
    isFinal: true,
    wayOut: ({ iam }) =>
      `give the user in ${iam ? 'CACHE_IAM_USER' : 'CACHE_URL'} the permissions that docs/configuration.md lists, for the keys of CACHE_NAMESPACE`,
  },
  {
    pattern: /cluster support disabled|unknown command .?cluster/i,
    isFinal: true,
    wayOut: ({ cluster }) => (cluster ? 'the server is not a cluster: set CACHE_CLUSTER=false' : undefined),
  },
  {
    pattern: /^(MOVED|ASK|CROSSSLOT|CLUSTERDOWN|TRYAGAIN) |non local key/,
    isFinal: false,
    wayOut: ({ cluster }) => (cluster ? undefined : 'the server is a node of a cluster: set CACHE_CLUSTER=true'),
  },
  {
    pattern: /does not tell the hosts/,
    isFinal: true,
    wayOut: () =>
      'set cluster-announce-ip or cluster-announce-hostname on each node, or cluster-preferred-endpoint-type to one that is set',
  },
  {
    pattern: /alert (certificate required|bad certificate|handshake failure)/,
    isFinal: true,
    wayOut: () => 'the server asks for a certificate of the client: give the option tls: { cert, key }, or set tls-auth-clients no',
  },
  {
    pattern: /altname/i,
    isFinal: true,
    wayOut: () => 'give the host in CACHE_URL by a name that is in the certificate',
  },
  {
    pattern: /certificate/i,
    isFinal: true,
    wayOut: () => PRIVATE_AUTHORITY,
  },
  {
    pattern: /wrong version number|packet length too long|http request/i,
    isFinal: true,
    wayOut: () => 'the server is without TLS: give valkey:// instead of valkeys:// in CACHE_URL',
  },
  {
    // The first byte of a TLS alert.
    pattern: /^Protocol error, got "\\u0015"/,
    isFinal: true,
    wayOut: () => 'the server speaks TLS: give valkeys:// instead of valkey:// in CACHE_URL',
  },
  {
    pattern: /does not answer in TLS|secure TLS connection was established/,
    isFinal: false,
    wayOut: () => 'if the server is without TLS, give valkey:// instead of valkeys:// in CACHE_URL',
  },
  {
    pattern: /closed the connection before it answered|does not answer$/,
    isFinal: false,
    wayOut: ({ tls }) => (tls ? undefined : 'if the server speaks TLS, give valkeys:// instead of valkey:// in CACHE_URL'),
  },
  {
    pattern: /^OOM /,
    isFinal: false,
    wayOut: () => 'the server is full: raise its maxmemory, or set maxmemory-policy allkeys-lru',
  },
  {
    pattern: /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|^no connection to/,
    isFinal: false,
    wayOut: () => 'check host and port in CACHE_URL, and that the network lets the function reach them',
  },
];

/** Whether every call fails until the configuration of the cache or of its server changes. */
export function isFinal(message: string): boolean {
  return FAULTS.find(({ pattern }) => pattern.test(message))?.isFinal ?? false;
}

/** The setting to change, if the message shows one. */
export function wayOut(message: string, facts: ConnectionFacts): string | undefined {
  for (const fault of FAULTS) {
    const advice = fault.pattern.test(message) ? fault.wayOut(facts) : undefined;
    if (advice !== undefined) return advice;
  }
  return undefined;
}

/**
 * Whether another server may be at the address by now. These are the answers of a former primary: a replica, one that loads the data of the new
 * primary, one that has lost its primary or its replicas.
 */
export function isFormerPrimary(message: string): boolean {
  return /^(READONLY|LOADING|MASTERDOWN|NOREPLICAS) /.test(message);
}

/** Whether the same call may succeed a moment later, on this server or on another one. */
export function isPassing(message: string): boolean {
  return (
    isFormerPrimary(message) ||
    /^(CLUSTERDOWN|TRYAGAIN|BUSY|UNKILLABLE) |^Too many Cluster redirections|^Connection is closed/.test(message)
  );
}

/** Whether the message says that a connection failed, but not why. */
export function isVague(message: string): boolean {
  return /^(Connection is closed|Reached the max retries|None of startup nodes|Failed to refresh slots|timeout$|NOAUTH)/.test(message);
}

/** An error of the client or of the server in its common form, for people and for the patterns above. */
export function plainMessage(message: string): string {
  return (
    message
      // A serverless cache says "ERR MOVED 7572 host:port".
      .replace(/^ERR (?=(MOVED|ASK) \d)/, '')
      // Redis quotes the arguments of an unknown command: a password, or values of items.
      .replace(/, with args beginning with:.*$/s, '')
      // OpenSSL's error is 807CE2F18F7F0000:error:0A00045C:SSL routines:FUNCTION:REASON:FILE:LINE.
      .replace(/^.*:SSL routines:[^:]*:([^:]+):.*$/s, '$1')
      .replace(/[.:\s]+$/, '')
  );
}
