/** What a backfill did for one view, in one pass. */
export interface ViewCounts {
  /** Documents or members that the view gave. */
  readonly entries: number;
  /** Documents that were settled. */
  readonly filled: number;
  /** Documents that the cache had already, or of which it knew that they are gone. */
  readonly held: number;
  /** Documents that were not settled: the stream wrote them meanwhile, or their values are too large for the cache. */
  readonly lost: number;
  /** Items that are not worth filling; see `worthFilling` of a view. */
  readonly skipped: number;
  /** Items on which the view threw, and items that cannot be decoded. */
  readonly threw: number;
  /** Lists that were sealed, and are complete. */
  readonly sealed: number;
  /** Lists that were sealed, and are not complete: the cache has forgotten a member, whose value is too large, or which the stream could not apply. */
  readonly incomplete: number;
  /** Lists that lost their mark, and that a reader has filled. */
  readonly settled: number;
  /** Lists that are not complete: they were evicted, marked by another backfill, or began after they could be marked. */
  readonly unsealed: number;
}

/** What a backfill did in one pass over a segment, or over the table. */
export interface Counts {
  readonly items: number;
  /** Items that no view projects. */
  readonly strange: number;
  /** Read units. */
  readonly units: number;
  /** By the name of the view, such as `detail@1`. */
  readonly views: Readonly<Record<string, ViewCounts>>;
}

const NO_VIEW_COUNTS: ViewCounts = {
  entries: 0,
  filled: 0,
  held: 0,
  lost: 0,
  skipped: 0,
  threw: 0,
  sealed: 0,
  incomplete: 0,
  settled: 0,
  unsealed: 0,
};

export const NO_COUNTS: Counts = { items: 0, strange: 0, units: 0, views: {} };

/** The counts of one view; zeros if it has none. */
export function countsOf(counts: Counts, view: string): ViewCounts {
  return counts.views[view] ?? NO_VIEW_COUNTS;
}

export function sum(all: readonly Counts[]): Counts {
  const tally = new Tally();
  for (const counts of all) {
    const { views, ...rest } = counts;
    for (const [what, times] of Object.entries(rest)) tally.add(what as keyof typeof rest, times);
    for (const [view, some] of Object.entries(views)) {
      for (const [what, times] of Object.entries(some)) tally.of(view, what as keyof ViewCounts, times);
    }
  }
  return tally.counts;
}

/** Counts that grow. */
export class Tally {
  readonly #counts = { ...NO_COUNTS, views: {} as Record<string, { -readonly [what in keyof ViewCounts]: number }> };

  add(what: Exclude<keyof Counts, 'views'>, times = 1): void {
    this.#counts[what] += times;
  }

  of(view: string, what: keyof ViewCounts, times = 1): void {
    let counts = this.#counts.views[view];
    if (!counts) {
      counts = { ...NO_VIEW_COUNTS };
      this.#counts.views[view] = counts;
    }
    counts[what] += times;
  }

  get counts(): Counts {
    return this.#counts;
  }
}
