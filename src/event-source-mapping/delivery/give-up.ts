import { asError } from '../../errors.ts';
import type { Condition } from '../events.ts';
import type { Run } from '../run.ts';
import { type Batch, numbersOf } from './batch.ts';
import { destinationOf } from './on-failure.ts';

/**
 * Sends the records of a batch to the on-failure destination, if there is one, until it takes them. Returns false if the mapping is to
 * stop before that: then the records are not done.
 */
export async function giveUp(run: Run, shardId: string, batch: Batch, condition: Condition): Promise<boolean> {
  const { settings } = run;
  const records = { shardId, sequenceNumbers: numbersOf(batch.entries) };
  const destination = destinationOf(settings, { batch, condition, shardId, now: settings.clock.now() });
  if (!destination) {
    run.tell({ type: 'dropped', ...records, condition });
    return true;
  }
  for (let failures = 1; ; failures += 1) {
    try {
      await destination.deliver();
      break;
    } catch (error) {
      const delayMs = settings.backoffMs(failures);
      run.tell({ type: 'delivery-failed', ...records, error: asError(error), delayMs });
      await run.pause(delayMs);
      if (run.stopping.aborted) return false;
    }
  }
  if (run.killed) return false;
  run.tell({ type: 'delivered', ...records, condition, ...(destination.name !== undefined && { name: destination.name }) });
  return true;
}
