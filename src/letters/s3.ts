import type { S3Client } from '@aws-sdk/client-s3';
import { MalformedLetterError } from '../errors.ts';
import { refuseLarge } from './letter.ts';
import type { LetterStore } from './store.ts';

export interface S3Options {
  readonly bucket: string;
  /** The beginning of all keys. End it with "/" to put the letters into a folder. Default: empty. */
  readonly prefix?: string;
  /** The account that must own the bucket, so that letters never go to a stranger who took the bucket's name. Default: any. */
  readonly owner?: string;
  /** The caller destroys it. Default: a client with the SDK's usual configuration. */
  readonly client?: S3Client;
}

/** Errors about one object: it is archived, or encrypted under a key of its writer. */
const UNREADABLE = new Set(['InvalidObjectState', 'InvalidRequest']);

/** Stores letters as objects of a bucket. The first call loads the SDK, because a worker without poison never needs it. */
export function s3Store({ bucket, prefix = '', owner, client }: S3Options): LetterStore {
  let loading: ReturnType<typeof load> | undefined;
  const own = async () => {
    // The next call repeats a load that failed.
    loading ??= load(client).catch((error) => {
      loading = undefined;
      throw error;
    });
    return await loading;
  };
  const at = (name: string) => ({ Bucket: bucket, Key: prefix + name, ExpectedBucketOwner: owner });

  return {
    async put(name, text) {
      const { sdk, s3 } = await own();
      await s3.send(new sdk.PutObjectCommand({ ...at(name), Body: text, ContentType: 'application/json' }));
    },
    async *names(from = '') {
      const { sdk, s3 } = await own();
      const pages = sdk.paginateListObjectsV2({ client: s3 }, { Bucket: bucket, Prefix: prefix + from, ExpectedBucketOwner: owner });
      for await (const { Contents = [] } of pages) {
        for (const { Key } of Contents) if (Key !== undefined) yield Key.slice(prefix.length);
      }
    },
    async get(name, maximumBytes) {
      const { sdk, s3 } = await own();
      try {
        const { Body, ContentLength = 0 } = await s3.send(new sdk.GetObjectCommand(at(name)));
        try {
          refuseLarge(ContentLength, maximumBytes ?? Infinity);
        } catch (error) {
          // The rest of the answer is not read.
          (Body as { destroy?(): void } | undefined)?.destroy?.();
          throw error;
        }
        return (await Body?.transformToString()) ?? '';
      } catch (error) {
        if (error instanceof sdk.NoSuchKey) return undefined;
        if (error instanceof Error && UNREADABLE.has(error.name)) {
          throw new MalformedLetterError(
            `the bucket does not give this object (${error.name}: ${error.message}): store it as Lambda does, or remove it`,
          );
        }
        throw error;
      }
    },
    async delete(name) {
      const { sdk, s3 } = await own();
      await s3.send(new sdk.DeleteObjectCommand(at(name)));
    },
    async close() {
      if (!client) (await loading)?.s3.destroy();
    },
  };
}

async function load(client: S3Client | undefined) {
  const sdk = await import('@aws-sdk/client-s3').catch((cause: Error & { readonly code?: string }) => {
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('letters in S3 need a package that is not installed: npm install @aws-sdk/client-s3', { cause });
  });
  // A call must end before the function's time is over.
  const requestHandler = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };
  return { sdk, s3: client ?? new sdk.S3Client({ requestHandler, maxAttempts: 2 }) };
}
