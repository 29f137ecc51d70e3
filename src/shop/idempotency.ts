import { gunzipSync, gzipSync } from 'node:zlib';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { type AttributeValue, DeleteItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';

/**
 * The table of idempotency records, its attributes, and the life of a record. The environment variables have the defaults of Powertools.
 */
export interface IdempotencyOptions {
  readonly tableName: string;
  readonly keyAttribute: string;
  /** The sort key of a table that has one. It then contains the record's key, and `keyAttribute` a fixed text. */
  readonly sortKeyAttribute?: string;
  readonly expiryAttribute: string;
  readonly inProgressExpiryAttribute: string;
  readonly statusAttribute: string;
  readonly dataAttribute: string;
  readonly validationAttribute: string;
  /** For how long an answer is replayed, s. */
  readonly expiresAfterSeconds: number;
}

/** The identity of a request. */
interface Request {
  /** Requests with equal keys are the same request. */
  readonly key: Readonly<Record<string, string>>;
  /** Must be the same for the same key. Only its hash is stored. */
  readonly payload: string;
}

/** The part of Lambda's context that is used. Until this time is over, the request is in progress, even if the function has died. */
export interface RemainingTime {
  getRemainingTimeInMillis(): number;
}

export interface IdempotentResult {
  readonly text: string;
  /** Whether the text is the stored one of an earlier request. */
  readonly replayed: boolean;
}

/**
 * Does the work and stores its text, or returns the stored text of an earlier request. If the work throws, nothing is stored.
 *
 * @param isCurrent is called before a stored text is returned. If it returns false, the stored text is deleted and the work done again.
 * @throws IdempotencyAlreadyInProgressError while the same request is in progress, IdempotencyValidationError if the payload differs from
 * the first request's, IdempotencyPersistenceLayerError if the table fails, WorkKeepsComingError, and errors of the work.
 */
export type Idempotent = (
  request: Request,
  context: RemainingTime,
  work: () => Promise<string>,
  isCurrent?: () => Promise<boolean>,
) => Promise<IdempotentResult>;

/** The record of a replayed text. */
interface StoredRecord {
  readonly idempotencyKey: string;
  readonly sortKey?: string;
  readonly expiryTimestamp?: number;
}

/** How often a stored text may turn out not to be current. */
const ROUNDS = 5;

/** @param name the name of the work, which begins the keys of its records. */
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

  return async (request, context, work, isCurrent = async () => true) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      let replayed: StoredRecord | undefined;
      const config = new IdempotencyConfig({
        eventKeyJmesPath: 'key',
        payloadValidationJmesPath: 'payload',
        throwOnNoIdempotencyKey: true,
        expiresAfterSeconds: options.expiresAfterSeconds,
        hashFunction: 'sha256',
        // Called only if a stored text is replayed.
        responseHook: (stored, record) => {
          replayed = record;
          return stored;
        },
      });
      // Without the context, the request of a function that died would be in progress until its record expires.
      config.registerLambdaContext(context as Parameters<IdempotencyConfig['registerLambdaContext']>[0]);
      const run = makeIdempotent(async (_: Request) => pack(await work()), { persistenceStore, config, keyPrefix: name });
      const text = unpack(await run(request));
      if (!replayed) return { text, replayed: false };
      if (await isCurrent()) return { text, replayed: true };
      await deleteRecord(client, options, replayed);
    }
    throw new WorkKeepsComingError(`the stored text was not current ${ROUNDS} times in a row`);
  };
}

class WorkKeepsComingError extends Error {
  override readonly name = 'WorkKeepsComingError';
}

/** Deletes a record, unless it has been replaced. */
async function deleteRecord(
  client: DynamoDBClient,
  options: IdempotencyOptions,
  { idempotencyKey, sortKey, expiryTimestamp }: StoredRecord,
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

/** Compresses a large text, because an item has 400 KB at most. If a text could not be stored, every retry of its request would fail. */
function pack(text: string): string {
  return text.length < LARGE_CHARACTERS ? text : GZIP + gzipSync(text).toString('base64');
}

function unpack(stored: string): string {
  return stored.startsWith(GZIP) ? gunzipSync(Buffer.from(stored.slice(GZIP.length), 'base64')).toString() : stored;
}
