import type { StreamRecord } from '../dynamodb/record.ts';
import { checkText } from '../verify/messages.ts';
import { observedIn } from '../verify/probe-stream.ts';
import type { View } from '../view.ts';
import type { CheckQueue } from './sqs-queue.ts';

/**
 * Takes the records of a batch that were applied.
 *
 * @returns how many of them were sent to be checked, and how many could not be sent
 */
export type Sample = (records: readonly StreamRecord[], signal: AbortSignal) => Promise<SampleCounts>;

export interface SampleCounts {
  readonly sampled: number;
  readonly failed: number;
}

export interface SamplerOptions {
  /** The views of the worker. */
  readonly views: readonly View[];
  /** The queue of the function that checks. It delays each message by the bound. */
  readonly queue: CheckQueue;
  /** Of this number of changes, one is sent, at random. 0: none. */
  readonly oneIn: number;
  readonly random?: () => number;
  readonly now?: () => number;
}

/** The most addresses of one change. A change of more gives some of them, at random. */
const MOST_ADDRESSES = 10;
/** Of one message. A later look adds what is known of each address, and SQS takes 262,144 bytes. */
const MOST_BYTES = 200_000;

/** Makes the option `sample` of `streamHandler`: sends a sample of the applied changes to a queue, with addresses and versions, and without values. */
export function sampler({ views, queue, oneIn, random = Math.random, now = Date.now }: SamplerOptions): Sample {
  return async (records, signal) => {
    const chosen = oneIn > 0 ? records.filter(() => random() * oneIn < 1) : [];
    const messages = chosen.flatMap((record) => {
      const observed = [...observedIn(views, record)];
      const dropOne = () => observed.splice(Math.floor(random() * observed.length), 1);
      while (observed.length > MOST_ADDRESSES) dropOne();
      for (; observed.length > 0; dropOne()) {
        const looks = observed.map(({ subject }) => ({ subject }));
        const text = checkText({ probe: 'stream', at: now(), age: 0, version: observed[0]?.expected, looks });
        if (Buffer.byteLength(text) <= MOST_BYTES) return [{ text }];
      }
      return [];
    });
    if (messages.length === 0) return { sampled: 0, failed: 0 };
    const taken = await queue.send(messages, signal);
    const sampled = taken.filter((isTaken) => isTaken).length;
    return { sampled, failed: messages.length - sampled };
  };
}
