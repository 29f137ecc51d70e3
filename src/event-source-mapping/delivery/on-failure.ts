import { asError } from '../../errors.ts';
import type { Condition } from '../events.ts';
import type { MappingSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { uuidOf } from '../uuid.ts';
import { eventText, type InvocationResult, numbersOf, type RecordBatch } from './batch.ts';
import { functionArn } from './invocation.ts';

/**
 * Sends the records of a batch to the on-failure destination, if there is one, until it takes them. Returns false if the mapping is to
 * stop before that: then the records are not done.
 */
export async function giveUp(run: Run, shardId: string, batch: RecordBatch, condition: Condition): Promise<boolean> {
  const { settings } = run;
  const records = { shardId, sequenceNumbers: numbersOf(batch.entries) };
  const destination = destinationOf(settings, { batch, condition, shardId, now: settings.clock.now() });
  if (!destination) {
    run.emit({ type: 'dropped', ...records, condition });
    return true;
  }
  for (let failures = 1; ; failures += 1) {
    try {
      await destination.deliver();
      break;
    } catch (error) {
      const delayMs = settings.backoffMs(failures);
      run.emit({ type: 'delivery-failed', ...records, error: asError(error), delayMs });
      await run.pause(delayMs);
      if (run.stopping.aborted) return false;
    }
  }
  if (run.killed) return false;
  run.emit({ type: 'delivered', ...records, condition, ...(destination.name !== undefined && { name: destination.name }) });
  return true;
}

interface GivenUp {
  readonly batch: RecordBatch;
  readonly condition: Condition;
  readonly shardId: string;
  /** Epoch ms. */
  readonly now: number;
}

type Request = Pick<InvocationResult, 'requestId' | 'functionArn'>;

interface Destination {
  /** Of the letter, where it has one. */
  readonly name?: string;
  /** Can be repeated: the letter is the same, and has the same name. */
  deliver(): Promise<unknown>;
}

/** Undefined: there is none. */
function destinationOf({ onFailure, uuid, random, functionName }: MappingSettings, givenUp: GivenUp): Destination | undefined {
  if (!onFailure) return undefined;
  const streamArn = givenUp.batch.entries[0]?.record.eventSourceARN;
  const request = givenUp.batch.last ?? { requestId: uuidOf(random), functionArn: functionArn(functionName, streamArn) };
  const message = messageOf(givenUp, request, streamArn);
  if ('send' in onFailure) return { deliver: () => onFailure.send(JSON.stringify(message)) };
  const name = nameOf(uuid, givenUp.shardId, givenUp.now, uuidOf(random));
  const text = JSON.stringify({ ...message, payload: eventText(givenUp.batch.entries) });
  return { name, deliver: () => onFailure.put(name, text) };
}

/** What Lambda sends to a queue or a topic, and writes to a bucket with the event (Lambda Developer Guide, "Retaining discarded records"). */
function messageOf({ batch, condition, shardId, now }: GivenUp, { requestId, functionArn }: Request, streamArn: string | undefined) {
  const { entries, invocations, last } = batch;
  const [first, final] = [entries[0], entries.at(-1)];
  const functionError = last && last.outcome.type !== 'answered' ? { functionError: 'Unhandled' } : {};
  return {
    requestContext: { requestId, functionArn, condition, approximateInvokeCount: invocations },
    ...(last && { responseContext: { statusCode: 200, executedVersion: '$LATEST', ...functionError } }),
    version: '1.0',
    timestamp: new Date(now).toISOString(),
    DDBStreamBatchInfo: {
      shardId,
      startSequenceNumber: first?.sequenceNumber,
      endSequenceNumber: final?.sequenceNumber,
      approximateArrivalOfFirstRecord: toTheSecond(first?.at),
      approximateArrivalOfLastRecord: toTheSecond(final?.at),
      batchSize: entries.length,
      streamArn,
    },
  };
}

/** As Lambda names the objects in the bucket. */
function nameOf(mapping: string, shardId: string, now: number, uuid: string): string {
  const time = new Date(now).toISOString().slice(0, 19);
  return `aws/lambda/${mapping}/${shardId}/${time.slice(0, 10).replaceAll('-', '/')}/${time.replaceAll(':', '.')}-${uuid}`;
}

/** Epoch ms as `2019-11-14T00:13:19Z`. */
function toTheSecond(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
