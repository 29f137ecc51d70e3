import type { View } from '../view.ts';

/** USD for a million read request units, on demand, us-east-1; the source is in docs/backfill.md. */
export const USD_A_MILLION_UNITS = 0.125;

/** Bytes of one read unit, `ConsistentRead`. */
const UNIT_BYTES = 4_096;

/** What one part of a backfill is expected to take. */
export interface EstimatedRead {
  readonly what: 'mark' | 'documents' | 'fill' | 'seal';
  readonly units: number;
  readonly usd: number;
  /** At the given read units a second, s. */
  readonly seconds: number;
}

/**
 * What a backfill takes at most: each item of a table gives documents, the cache is empty, and there are more lists than memory holds, so that the last
 * pass scans.
 *
 * @param bytes the size of the table
 */
export function estimateOf(
  items: number,
  bytes: number,
  views: readonly Pick<View, 'kind'>[],
  unitsPerSecond: number,
): readonly EstimatedRead[] {
  const read = (what: EstimatedRead['what'], units: number): EstimatedRead => {
    const whole = Math.ceil(units);
    return { what, units: whole, usd: (whole * USD_A_MILLION_UNITS) / 1_000_000, seconds: whole / unitsPerSecond };
  };
  const scan = bytes / UNIT_BYTES;
  // Each item is read by itself, and rounded up.
  const byKey = items === 0 ? 0 : items * Math.ceil(Math.max(1, bytes / items) / UNIT_BYTES);
  const hasDocuments = views.some(({ kind }) => kind === 'document');
  const hasLists = views.some(({ kind }) => kind === 'list');
  return [
    read('mark', scan / 2),
    ...(hasDocuments ? [read('documents', byKey)] : []),
    ...(hasLists ? [read('fill', scan), read('seal', scan / 2)] : []),
  ];
}
