import { CredentialProvider, MomentoLocalProvider } from '@gomomento/sdk';
import { ConfigurationError } from '../../errors.ts';
import { keyFaults, type MomentoAccess, type MomentoKey, type MomentoLocal } from './access.ts';

const SECRET_TIMEOUT_MS = 5_000;

/**
 * Reads the API key; one in a secret is read again at each call.
 *
 * @throws ConfigurationError when there is no usable key. No message shows any part of the key or the secret.
 */
export async function readKey(access: Exclude<MomentoAccess, MomentoLocal>): Promise<MomentoKey> {
  if (access.kind === 'key') return checked(access, 'MOMENTO_API_KEY');
  const { secretId, endpoint } = access;
  const where = `secret ${secretId}`;
  const found = parseSecret(await secretText(secretId), where);
  return checked({ ...(endpoint !== undefined && { endpoint }), ...found }, where);
}

/** @throws ConfigurationError when the SDK rejects the key */
export function providerOf({ apiKey, endpoint }: MomentoKey): CredentialProvider {
  try {
    if (endpoint !== undefined) return CredentialProvider.fromApiKeyV2({ apiKey, endpoint });
    return CredentialProvider.fromDisposableToken(apiKey);
  } catch {
    // Without a cause: the SDK's message may quote the key.
    const wayOut =
      endpoint === undefined
        ? 'it does not contain its endpoint: set MOMENTO_ENDPOINT, or put {"apiKey", "endpoint"} into the secret'
        : 'it is no version 2 key: copy the whole key, or leave the endpoint out if it is an older key, which contains its endpoint';
    throw new ConfigurationError(`the SDK rejects the Momento API key: ${wayOut}`);
  }
}

export function localProvider({ host, port }: MomentoLocal): CredentialProvider {
  return new MomentoLocalProvider({ hostname: host, port });
}

async function secretText(secretId: string): Promise<string> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({});
  try {
    const abortSignal = AbortSignal.timeout(SECRET_TIMEOUT_MS);
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId }), { abortSignal });
    if (SecretString !== undefined) return SecretString;
  } catch (error) {
    const { name, message } = error as Error;
    throw new ConfigurationError(
      `secret ${secretId} with the Momento API key cannot be read: ${name}: ${message}. ` +
        'Check MOMENTO_SECRET_ID, the region, and that secretsmanager:GetSecretValue is allowed',
    );
  } finally {
    client.destroy();
  }
  throw new ConfigurationError(`secret ${secretId} is binary: store the Momento API key as text`);
}

function parseSecret(text: string, where: string): MomentoKey {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) return { apiKey: trimmed };
  let parsed: { readonly apiKey?: unknown; readonly endpoint?: unknown } = {};
  try {
    parsed = JSON.parse(trimmed);
  } catch {
    // Without a cause: the parser's message quotes the text.
    throw new ConfigurationError(
      `${where} begins like JSON but is not valid JSON: store the key alone, or {"apiKey": "…", "endpoint": "…"}`,
    );
  }
  const { apiKey, endpoint } = parsed;
  if (typeof apiKey !== 'string') throw new ConfigurationError(`${where} has no "apiKey": store {"apiKey": "…", "endpoint": "…"}`);
  return { apiKey, ...(typeof endpoint === 'string' && endpoint.trim() !== '' && { endpoint }) };
}

function checked(key: MomentoKey, where: string): MomentoKey {
  const trimmed = { apiKey: key.apiKey.trim(), ...(key.endpoint !== undefined && { endpoint: key.endpoint.trim() }) };
  const faults = keyFaults(trimmed, where);
  if (faults.length > 0) throw new ConfigurationError(faults.join('; '));
  return trimmed;
}
