const HAPPENINGS = [
  'hit',
  'gone',
  'miss',
  'complete',
  'incomplete',
  'applied',
  'stale',
  'rejected',
  'poison',
  'settled',
  'lost',
  'retried',
  'evicted',
] as const;

/** How often each thing happened, over many histories. */
export type Tally = Record<(typeof HAPPENINGS)[number], number>;

export function newTally(): Tally {
  return Object.fromEntries(HAPPENINGS.map((what) => [what, 0])) as Tally;
}
