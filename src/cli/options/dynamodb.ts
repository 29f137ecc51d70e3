import { type Command, InvalidArgumentError } from 'commander';

/** What a command line may say of where the table is. */
export interface DynamoDbChoice {
  /** Of DynamoDB Local. Absent: AWS. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly accessKey: string;
}

export interface DynamoDbSettings {
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Adds the options of `DynamoDbChoice`. */
export function addDynamoDbOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', 'where DynamoDB Local runs already: http://HOST:PORT', parseEndpoint)
    .option('--region <name>', "of the table; with DynamoDB Local us-east-1, else your environment's, unless told otherwise")
    .option('--access-key <id>', 'DynamoDB Local keeps tables apart by it (unless -sharedDb)', 'local');
}

/** DynamoDB Local takes any Region and any key, but keeps tables apart by both: here they are the same for all commands. */
export function settingsOf({ endpoint, region, accessKey }: DynamoDbChoice): DynamoDbSettings {
  if (endpoint === undefined) return region === undefined ? {} : { region };
  return { endpoint, region: region ?? 'us-east-1', credentials: { accessKeyId: accessKey, secretAccessKey: 'local' } };
}

/** @throws Error that says how to name a Region, where none is known. */
export async function requireRegion({ config }: { readonly config: { region(): Promise<string> } }): Promise<void> {
  await config.region().catch((cause: Error) => {
    throw new Error(`no AWS Region is known (${cause.message}): give --region or set AWS_REGION; for DynamoDB Local give --endpoint`, {
      cause,
    });
  });
}

/** What a call of the table threw, with the way out where it did not reach DynamoDB. */
export function explained(error: Error & { readonly code?: string }, endpoint: string | undefined): Error {
  const { code, name, message } = error;
  if (/Credentials/.test(name)) {
    const way = 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for DynamoDB Local give --endpoint';
    return new Error(`no AWS credentials are found (${message}): ${way}`, { cause: error });
  }
  if (endpoint === undefined) return error;
  if (/^E[A-Z_]+$/.test(code ?? '') || name === 'TimeoutError') {
    const way = 'start DynamoDB Local there, or correct --endpoint';
    return new Error(`nothing answers at ${endpoint} (${message || code}): ${way}`, { cause: error });
  }
  if (name === 'SyntaxError' || message === 'UnknownError') {
    return new Error(`what answers at ${endpoint} is not DynamoDB: correct --endpoint`, { cause: error });
  }
  return error;
}

function parseEndpoint(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError(`Give a URL, such as http://${/^[\w.-]+(:\d+)?$/.test(text) ? text : 'localhost:8000'}.`);
}
