import type { StreamRecord } from '../dynamodb/record.ts';

/** When a record was written, epoch ms, to the second. */
export function writtenAt({ dynamodb }: StreamRecord): number | undefined {
  const at = dynamodb?.ApproximateCreationDateTime;
  if (at instanceof Date) return at.getTime();
  return at === undefined ? undefined : at * 1_000;
}
