import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { SignatureV4 } from '@smithy/signature-v4';
import { expiringLogin, type Login } from './login.ts';

export interface ElastiCacheIdentity {
  /** Id of the ElastiCache user. With IAM, the user's name is equal to it. */
  readonly user: string;
  /** Name of the serverless cache, or id of the replication group. */
  readonly cacheName: string;
  readonly serverless: boolean;
  readonly region: string;
}

export interface IamOptions {
  /** Default: those that the AWS SDK finds, for example of the function's role. */
  readonly credentials?: ConstructorParameters<typeof SignatureV4>[0]['credentials'];
  /** ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** The longest life of a token that ElastiCache accepts. */
const TOKEN_LIFE_SECONDS = 900;
/** ElastiCache closes a connection 12 hours after its last login. */
const RENEW_AFTER_MS = 3_600_000;

/**
 * Logs in to ElastiCache with an IAM identity. The identity needs the permission `elasticache:Connect` for the cache and for the user.
 * https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
 */
export function elastiCacheLogin(identity: ElastiCacheIdentity, options: IamOptions = {}): Login {
  const { now = Date.now } = options;
  return expiringLogin({ username: identity.user, password: elastiCacheTokens(identity, options), renewAfterMs: RENEW_AFTER_MS, now });
}

/** Makes tokens that ElastiCache accepts as the user's password. A token is the URL of a signed request that is never sent. */
export function elastiCacheTokens(identity: ElastiCacheIdentity, options: IamOptions = {}): () => Promise<string> {
  const { credentials = defaultProvider(), now = Date.now } = options;
  const { user, serverless, region } = identity;
  // ElastiCache stores names in lower case, and the signature covers the name.
  const host = identity.cacheName.toLowerCase();
  const signer = new SignatureV4({ service: 'elasticache', region, credentials, sha256: Sha256 });
  const query = { Action: 'connect', User: user, ...(serverless && { ResourceType: 'ServerlessCache' }) };
  const request = { method: 'GET', protocol: 'http:', hostname: host, path: '/', headers: { host }, query };
  return async () => {
    const signed = await signer.presign(request, { signingDate: new Date(now()), expiresIn: TOKEN_LIFE_SECONDS });
    const parameters = Object.entries(signed.query ?? {}).map((pair) => pair.map((part) => encodeURIComponent(String(part))).join('='));
    return `${host}/?${parameters.join('&')}`;
  };
}

type SourceData = string | ArrayBuffer | ArrayBufferView;

/** Node's SHA-256 behind the interface that the signer expects. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: SourceData) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string | Uint8Array);
  }

  update(data: SourceData): void {
    this.#hash.update(data as string | Uint8Array);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}
