import { type Command, InvalidArgumentError } from 'commander';

/** The options that say where the table is. */
export interface DynamoDbChoice {
  readonly endpoint?: string;
  readonly region?: string;
  readonly accessKey: string;
}

/** Where the table is. `region` absent: the Region of the environment. */
export type DynamoDbLocation =
  | { readonly where: 'aws'; readonly region?: string }
  | { readonly where: 'local'; readonly endpoint: string; readonly region: string; readonly accessKey: string };

/** The part of an SDK client's configuration that depends on where the table is. */
export interface DynamoDbClientSettings {
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Adds the options of `DynamoDbChoice`. */
export function addDynamoDbOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', 'a running DynamoDB Local, http://HOST:PORT', parseEndpoint)
    .option('--region <name>', 'Region of the table. Default: us-east-1 for DynamoDB Local, else that of your environment')
    .option('--access-key <id>', 'access key of DynamoDB Local, which keeps the tables of each key apart (without -sharedDb)', 'local');
}

/**
 * AWS, unless `--endpoint` names a DynamoDB Local. That accepts any Region and any access key, but keeps separate tables for each pair, so
 * all commands have the same defaults.
 */
export function locationOf({ endpoint, region, accessKey }: DynamoDbChoice): DynamoDbLocation {
  return endpoint === undefined ? { where: 'aws', region } : { where: 'local', endpoint, region: region ?? 'us-east-1', accessKey };
}

export function clientSettings(location: DynamoDbLocation): DynamoDbClientSettings {
  if (location.where === 'aws') return location.region === undefined ? {} : { region: location.region };
  const { endpoint, region, accessKey } = location;
  return { endpoint, region, credentials: { accessKeyId: accessKey, secretAccessKey: 'local' } };
}

/** @throws Error that says how to name a Region, if the client has none. */
export async function requireRegion({ config }: { readonly config: { region(): Promise<string> } }): Promise<void> {
  await config.region().catch((cause: Error) => {
    throw new Error(`no AWS Region is known (${cause.message}): give --region or set AWS_REGION; for DynamoDB Local give --endpoint`, {
      cause,
    });
  });
}

/** Adds the way out to an error of a call that did not reach DynamoDB. Returns other errors as they are. */
export function explained(error: Error & { readonly code?: string }, location: DynamoDbLocation): Error {
  const { code, name, message } = error;
  if (/Credentials/.test(name)) {
    const way = 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for DynamoDB Local give --endpoint';
    return new Error(`no AWS credentials are found (${message}): ${way}`, { cause: error });
  }
  if (location.where === 'aws') return error;
  const { endpoint } = location;
  if (/^E[A-Z_]+$/.test(code ?? '') || name === 'TimeoutError') {
    const way = 'start DynamoDB Local there, or correct --endpoint';
    return new Error(`nothing answers at ${endpoint} (${message || code}): ${way}`, { cause: error });
  }
  if (name === 'SyntaxError' || message === 'UnknownError') {
    return new Error(`the service at ${endpoint} is not DynamoDB: correct --endpoint`, { cause: error });
  }
  return error;
}

function parseEndpoint(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError(`Give a URL, such as http://${/^[\w.-]+(:\d+)?$/.test(text) ? text : 'localhost:8000'}.`);
}
