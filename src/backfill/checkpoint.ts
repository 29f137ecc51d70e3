import type { LifeIds } from './lives.ts';
import type { Pass, SegmentCheckpoint } from './segment.ts';

/** What a backfill works on. A checkpoint serves for the same place only. */
export interface BackfillPlace {
  readonly tableArn: string;
  /** DynamoDB's id of the table: a table that is made again has the ARN of the former one, but another id. */
  readonly tableId: string;
  /** Tells the cache from others, without secrets. */
  readonly cache: string;
  /** The names of the views, such as `detail@1`, in ascending order. */
  readonly views: readonly string[];
  readonly segments: number;
  /** Whether the backfill began by starting new lives of the views. Default: false. */
  readonly fresh?: boolean;
}

/** Where a backfill stands. It is plain data. */
export interface BackfillCheckpoint extends BackfillPlace {
  /** Tells the backfill from all others; see `CacheClient.mark`. */
  readonly survey: string;
  /** When it began, ISO 8601. */
  readonly begun: string;
  /** The lives that are filled. The checkpoint is worth nothing once they have ended. */
  readonly lives: LifeIds;
  readonly pass: Pass | 'done';
  /** One state a segment and pass, in the order of the segments. */
  readonly mark: readonly SegmentCheckpoint[];
  readonly fill: readonly SegmentCheckpoint[];
  readonly seal: readonly SegmentCheckpoint[];
}

const FORM = 'millrace backfill 1';
const PASSES = ['mark', 'fill', 'seal'] as const;

export function checkpointText(checkpoint: BackfillCheckpoint): string {
  return JSON.stringify({ form: FORM, ...checkpoint });
}

/** @throws Error that says why the text is no checkpoint of this place. It names what differs. */
export function parseCheckpoint(text: string, place: BackfillPlace): BackfillCheckpoint {
  let checkpoint: Partial<BackfillCheckpoint> & { readonly form?: unknown };
  try {
    checkpoint = JSON.parse(text) ?? {};
  } catch {
    throw new Error('it is not JSON, so no checkpoint');
  }
  const { form, survey, begun, lives, pass } = checkpoint;
  const isWhole =
    typeof survey === 'string' &&
    typeof begun === 'string' &&
    typeof lives === 'object' &&
    lives !== null &&
    Array.isArray(checkpoint.views) &&
    PASSES.every((pass) => statesAreWhole(checkpoint[pass], pass, checkpoint.segments));
  if (form !== FORM || !isWhole) throw new Error('it is no checkpoint of this version of millrace backfill, or was changed');
  const found = checkpoint as BackfillCheckpoint;
  if (found.tableArn !== place.tableArn) throw new Error(`it is of the table ${found.tableArn}, and this is ${place.tableArn}`);
  if (found.tableId !== place.tableId) throw new Error(`it is of an earlier table of this name, whose id was ${found.tableId}`);
  if (found.views.join() !== place.views.join()) {
    throw new Error(`it is of the views ${found.views.join(', ')}, and these are ${place.views.join(', ')}`);
  }
  if (found.segments !== place.segments) throw new Error(`it has ${found.segments} segments, and --segments is ${place.segments}`);
  if (place.fresh && !found.fresh) throw new Error('it is of a backfill without --fresh, which started no new lives');
  if (!place.fresh && found.fresh) throw new Error('it is of a backfill with --fresh');
  if (found.cache !== place.cache) throw new Error('it is of another cache');
  if (![...PASSES, 'done'].includes(String(pass))) throw new Error('it has no pass');
  const { form: _, ...rest } = found as BackfillCheckpoint & { readonly form: unknown };
  return rest;
}

/** Whether there is a state for each segment. A pass without one of its segments would call lists complete that lack members. */
function statesAreWhole(states: unknown, pass: Pass, segments: unknown): boolean {
  return (
    Array.isArray(states) &&
    states.length === segments &&
    states.every(
      (state: Partial<SegmentCheckpoint> | null, i) =>
        state?.pass === pass &&
        state.segment === i &&
        state.segments === segments &&
        typeof state.isDone === 'boolean' &&
        typeof state.counts?.views === 'object' &&
        Array.isArray(state.examples),
    )
  );
}
