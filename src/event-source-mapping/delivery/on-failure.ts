import { asError } from '../../errors.ts';
import { letterText, type OnFailureContent, onFailureMessage } from '../../letters/letter.ts';
import type { Condition } from '../events.ts';
import type { MappingSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { uuidOf } from '../uuid.ts';
import { numbersOf, type RecordBatch } from './batch.ts';
import { functionArn } from './invocation.ts';

/**
 * Discards a batch, as Lambda does after its last retry. If there is an on-failure destination, sends the batch's message there, again and
 * again until the destination accepts it. Returns false if the mapping stops before that; the batch is not discarded then.
 */
export async function discard(run: Run, shardId: string, batch: RecordBatch, condition: Condition): Promise<boolean> {
  const { settings } = run;
  const records = { shardId, sequenceNumbers: numbersOf(batch.records) };
  const destination = destinationOf(settings, contentOf(settings, shardId, batch, condition));
  if (!destination) {
    run.emit({ type: 'dropped', ...records, condition });
    return true;
  }
  for (let failures = 1; ; failures += 1) {
    try {
      await destination.send();
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

function contentOf(settings: MappingSettings, shardId: string, batch: RecordBatch, condition: Condition): OnFailureContent {
  const { clock, random, functionName } = settings;
  const { records, invocations, last } = batch;
  const { requestId, functionArn: arn } = last ?? {
    requestId: uuidOf(random),
    functionArn: functionArn(functionName, records[0]?.record.eventSourceARN),
  };
  const functionError = last && last.outcome.type !== 'answered' ? { functionError: 'Unhandled' } : {};
  return {
    records: records.map(({ record }) => record),
    condition,
    at: new Date(clock.now()),
    requestId,
    functionArn: arn,
    approximateInvokeCount: invocations,
    ...(last && { responseContext: { statusCode: 200, executedVersion: '$LATEST', ...functionError } }),
    shardId,
  };
}

interface Destination {
  /** Name of the letter, if the destination stores letters by name. */
  readonly name?: string;
  /** Sends the message. A repeated call sends the same message under the same name. */
  send(): Promise<unknown>;
}

/** Returns undefined if the mapping has no on-failure destination. */
function destinationOf({ onFailure, uuid, random }: MappingSettings, content: OnFailureContent): Destination | undefined {
  if (!onFailure) return undefined;
  if ('send' in onFailure) {
    const message = JSON.stringify(onFailureMessage(content));
    return { send: () => onFailure.send(message) };
  }
  const name = objectName(uuid, content, uuidOf(random));
  const letter = letterText(content);
  return { name, send: () => onFailure.put(name, letter) };
}

/** The name that Lambda gives to an object in an S3 destination (Lambda Developer Guide, "Retaining discarded records"). */
function objectName(mappingUuid: string, { shardId, at }: OnFailureContent, uuid: string): string {
  const time = at.toISOString().slice(0, 19);
  return `aws/lambda/${mappingUuid}/${shardId}/${time.slice(0, 10).replaceAll('-', '/')}/${time.replaceAll(':', '.')}-${uuid}`;
}
