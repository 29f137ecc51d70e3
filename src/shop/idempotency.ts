import { gunzipSync, gzipSync } from 'node:zlib';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { type AttributeValue, DeleteItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** Where the records of requests are, and for how long. The defaults of the variables are those of Powertools. */
export interface IdempotencyOptions {
  readonly tableName: string;
  readonly keyAttribute: string;
  /** For a table that has a sort key: the record's key goes there, and a fixed text into `keyAttribute`. */
  readonly sortKeyAttribute?: string;
  readonly expiryAttribute: string;
  readonly inProgressExpiryAttribute: string;
  readonly statusAttribute: string;
  readonly dataAttribute: string;
  readonly validationAttribute: string;
  /** How long an answer is replayed, s. */
  readonly expiresAfterSeconds: number;
}

/** What tells a request from others. */
export interface Request {
  /** Requests of equal keys are one request. */
  readonly key: Readonly<Record<string, string>>;
  /** Must be equal, too, when the key is; it is stored as a hash. */
  readonly payload: string;
}

/** The part of Lambda's context that is used: until this time is over, the request is in progress, whatever becomes of the function. */
export interface Invocation {
  getRemainingTimeInMillis(): number;
}

export interface Outcome {
  readonly text: string;
  readonly replayed: boolean;
}

/**
 * Does the work and keeps the text it gives, or gives the text that is kept. The record is deleted when the work throws.
 *
 * @param isCurrent is asked before a kept text is given: when there is work again, the text is forgotten and the work done.
 * @throws IdempotencyAlreadyInProgressError, IdempotencyValidationError (the payload is not that of the first request),
 * IdempotencyPersistenceLayerError, and what the work throws.
 */
export type Idempotent = (
  request: Request,
  invocation: Invocation,
  work: () => Promise<string>,
  isCurrent?: () => Promise<boolean>,
) => Promise<Outcome>;

interface Kept {
  readonly idempotencyKey: string;
  readonly sortKey?: string;
  readonly expiryTimestamp?: number;
}

const ROUNDS = 5;

/** @param name of the work: the first part of its records' keys. */
export function idempotent(client: DynamoDBClient, name: string, options: IdempotencyOptions): Idempotent {
  const persistenceStore = new DynamoDBPersistenceLayer({
    awsSdkV3Client: client,
    tableName: options.tableName,
    keyAttr: options.keyAttribute,
    sortKeyAttr: options.sortKeyAttribute,
    staticPkValue: `idempotency#${name}`,
    expiryAttr: options.expiryAttribute,
    inProgressExpiryAttr: options.inProgressExpiryAttribute,
    statusAttr: options.statusAttribute,
    dataAttr: options.dataAttribute,
    validationKeyAttr: options.validationAttribute,
  });

  return async (request, invocation, work, isCurrent = async () => true) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      let kept: Kept | undefined;
      const config = new IdempotencyConfig({
        eventKeyJmesPath: 'key',
        payloadValidationJmesPath: 'payload',
        throwOnNoIdempotencyKey: true,
        expiresAfterSeconds: options.expiresAfterSeconds,
        hashFunction: 'sha256',
        // Runs for replays only.
        responseHook: (stored, record) => {
          kept = record;
          return stored;
        },
      });
      // Without it a record of a function that died would be in progress until it expires.
      config.registerLambdaContext(invocation as Parameters<IdempotencyConfig['registerLambdaContext']>[0]);
      const run = makeIdempotent(async (_: Request) => pack(await work()), { persistenceStore, config, keyPrefix: name });
      const text = unpack(await run(request));
      if (!kept) return { text, replayed: false };
      if (await isCurrent()) return { text, replayed: true };
      await forget(client, options, kept);
    }
    throw new WorkKeepsComingError(`work kept coming for ${ROUNDS} rounds`);
  };
}

export class WorkKeepsComingError extends Error {
  override readonly name = 'WorkKeepsComingError';
}

/** Unless it was replaced since. */
async function forget(
  client: DynamoDBClient,
  options: IdempotencyOptions,
  { idempotencyKey, sortKey, expiryTimestamp }: Kept,
): Promise<void> {
  const Key: Record<string, AttributeValue> = { [options.keyAttribute]: { S: idempotencyKey } };
  if (options.sortKeyAttribute && sortKey) Key[options.sortKeyAttribute] = { S: sortKey };
  const command = new DeleteItemCommand({
    TableName: options.tableName,
    Key,
    ConditionExpression: '#status = :completed AND #expiry = :expiry',
    ExpressionAttributeNames: { '#status': options.statusAttribute, '#expiry': options.expiryAttribute },
    ExpressionAttributeValues: { ':completed': { S: 'COMPLETED' }, ':expiry': { N: String(expiryTimestamp) } },
  });
  await client.send(command).catch((error: Error) => {
    if (error.name !== 'ConditionalCheckFailedException') throw error;
  });
}

const LARGE_CHARACTERS = 100_000;
const GZIP = 'gzip:';

/** An item holds 400 KB. An answer that could not be kept would make every retry of a request that is done fail. */
function pack(text: string): string {
  return text.length < LARGE_CHARACTERS ? text : GZIP + gzipSync(text).toString('base64');
}

function unpack(stored: string): string {
  return stored.startsWith(GZIP) ? gunzipSync(Buffer.from(stored.slice(GZIP.length), 'base64')).toString() : stored;
}
