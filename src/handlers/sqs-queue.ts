import type { SQSClient } from '@aws-sdk/client-sqs';
import { once } from './once.ts';

/** Where checks wait for their time. */
export interface CheckQueue {
  /**
   * Sends messages.
   *
   * @returns for each message whether the queue has taken it
   */
  send(messages: readonly CheckMessage[], signal?: AbortSignal): Promise<readonly boolean[]>;
}

export interface CheckMessage {
  readonly text: string;
  /** 0 to 900 s. Absent: as the queue is set. */
  readonly delaySeconds?: number;
}

export interface SqsQueueOptions {
  readonly url: string;
  /**
   * An `SQSClient`; needs `sqs:SendMessage`. The caller destroys it. Default: a client with the SDK's usual configuration, and short timeouts. Its type is
   * not that of the SDK, which others need not install.
   */
  readonly client?: { send(command: never, options?: never): Promise<unknown> };
}

/** Of one call (SQS API Reference, SendMessageBatch). */
const MOST_MESSAGES = 10;
/** Of one call together, since long before 2025; 1 MiB since then. */
const MOST_BYTES = 250_000;

/** Sends messages to an SQS queue. The first call loads the SDK. */
export function sqsQueue({ url, client }: SqsQueueOptions): CheckQueue {
  const own = once(() => load(client));
  return {
    async send(messages, signal) {
      const { sdk, sqs } = await own();
      const taken = messages.map(() => false);
      for (const batch of batchesOf(messages)) {
        const Entries = batch.map((i) => {
          const { text, delaySeconds } = messages[i] as CheckMessage;
          return { Id: String(i), MessageBody: text, ...(delaySeconds !== undefined && { DelaySeconds: delaySeconds }) };
        });
        const { Successful = [] } = await sqs.send(new sdk.SendMessageBatchCommand({ QueueUrl: url, Entries }), { abortSignal: signal });
        for (const { Id } of Successful) taken[Number(Id)] = true;
      }
      return taken;
    },
  };
}

/** The places of the messages, in groups that one call takes. A message that no call takes is left out. */
function batchesOf(messages: readonly CheckMessage[]): readonly (readonly number[])[] {
  const batches: number[][] = [];
  let room = 0;
  for (const [i, { text }] of messages.entries()) {
    const bytes = Buffer.byteLength(text);
    if (bytes > MOST_BYTES) continue;
    const last = batches.at(-1);
    if (last && last.length < MOST_MESSAGES && bytes <= room) {
      last.push(i);
      room -= bytes;
    } else {
      batches.push([i]);
      room = MOST_BYTES - bytes;
    }
  }
  return batches;
}

async function load(client: SqsQueueOptions['client']) {
  const sdk = await import('@aws-sdk/client-sqs').catch((cause: Error & { readonly code?: string }) => {
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('the queue of the verifier needs a package that is not installed: npm install @aws-sdk/client-sqs', { cause });
  });
  const requestHandler = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };
  return { sdk, sqs: (client as Pick<SQSClient, 'send'> | undefined) ?? new sdk.SQSClient({ requestHandler, maxAttempts: 2 }) };
}
