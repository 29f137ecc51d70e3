import {
  type Coverage,
  cursorOf,
  type FoundList,
  type FoundMember,
  hitOf,
  isComplete,
  type ListPosition,
  type Page,
  type PageQuery,
  parseQuery,
} from '../../cache.ts';
import type { MemberMutation } from '../../mutation.ts';
import { FLOOR, type Version } from '../../version.ts';
import { Ranking } from './ranking.ts';

/** What the list knows of one member. A gone or forgotten one is a marker. */
type Member = {
  readonly version: Version;
  /** The highest score at which an older version of the member could come back (R2). */
  readonly peak: number;
} & (
  | { readonly state: 'live'; readonly score: number; readonly json: string }
  | { readonly state: 'gone' }
  | { readonly state: 'forgotten' }
);

/** A list as plain data, from which `BoundedList.of` makes the same list again. */
export interface ListContent {
  readonly bottom: number;
  readonly lost: number;
  readonly settled: number;
  /** The highest bottom so far (R22). */
  readonly highest: number;
  /** The newest version that was dropped; `FLOOR` if none was (R22). */
  readonly dropped: Version;
  /** The survey whose mark the list has (R25). */
  readonly survey?: string | undefined;
  /** First the live members by ascending score, then the gone ones in the order in which they became gone, then the forgotten ones. */
  readonly members: readonly ListRow[];
}

export type ListRow = Member & {
  readonly name: string;
  /** When a gone member became gone, ms since 1970. */
  readonly since?: number;
};

/** What a mutation does to a list. `peak-raised`: stale, but the member's peak rose, so the list must still be saved (R3). */
export type Effect = 'applied' | 'stale' | 'peak-raised';

/** What a lease notes of a list, except for its birth (R13). */
export interface ListLease {
  readonly seen: ReadonlyMap<string, Version>;
  readonly bottom: number;
  readonly lost: number;
  readonly settled: number;
}

/**
 * A list of at most `keep` live members that knows which of its pages are complete. Its rules R1, R2, … are in docs/bounded-list.md.
 *
 * Each method is one atomic step. The backend that stores the list gives it a birth, and loses or expires it as a whole (R13, R20, R21).
 */
export class BoundedList {
  readonly #members = new Map<string, Member>();
  /** Live members by score. */
  readonly #live = new Ranking();
  /** Gone and forgotten members by peak. */
  readonly #markers = new Ranking();
  /** When each gone member became gone, ms since 1970; oldest first. */
  readonly #goneSince = new Map<string, number>();
  #forgotten = 0;
  #bottom = -Infinity;
  #lost = 0;
  #settled = 0;
  #highest = -Infinity;
  #dropped: Version = FLOOR;
  #survey: string | undefined;

  static of({ bottom, lost, settled, highest, dropped, survey, members }: ListContent): BoundedList {
    const list = new BoundedList();
    for (const { name, since = 0, ...member } of members) list.#set(name, member, since);
    [list.#bottom, list.#lost, list.#settled, list.#highest, list.#dropped] = [bottom, lost, settled, highest, dropped];
    list.#survey = survey;
    return list;
  }

  get content(): ListContent {
    const row = (name: string) => ({ name, ...(this.#members.get(name) as Member) });
    const live = this.#live.page(this.#live.size, undefined, false).map(({ member }) => row(member));
    const gone = [...this.#goneSince].map(([name, since]) => ({ ...row(name), since }));
    const forgotten = [...this.#members].flatMap(([name, member]) => (member.state === 'forgotten' ? { name, ...member } : []));
    const members = [...live, ...gone, ...forgotten];
    const survey = this.#survey;
    return {
      bottom: this.#bottom,
      lost: this.#lost,
      settled: this.#settled,
      highest: this.#highest,
      dropped: this.#dropped,
      survey,
      members,
    };
  }

  /** True if the list has no live members. */
  get isEmpty(): boolean {
    return this.#live.size === 0;
  }

  /** True if the list has no members in any state, dropped no version, and has no mark: nothing is lost with it but what a reader found. */
  get isUnknown(): boolean {
    return this.#members.size === 0 && this.#lost === 0 && this.#survey === undefined;
  }

  /** The number of members in any state. */
  get size(): number {
    return this.#members.size;
  }

  /** `now` in ms since 1970. Gone markers older than `markerTtl`, ms, are dropped (R10). */
  apply(mutation: MemberMutation, now: number, markerTtl: number): Effect {
    const effect = this.#apply(mutation, 'stream', now);
    if (effect === 'applied') {
      this.#trim(mutation.keep, now);
      this.#expire(now - markerTtl);
    }
    return effect;
  }

  page(query: PageQuery): Page {
    const { limit, after, descending } = parseQuery(query);
    const positions = this.#live.page(limit, after, descending);
    const members = positions.flatMap(({ member, score }) => {
      const { version, json } = this.#members.get(member) as Member & { state: 'live' };
      const lookup = hitOf(json, version);
      return lookup.type === 'hit' ? { member, score, value: lookup.value, version } : [];
    });
    const last = positions.length === limit ? positions.at(-1) : undefined;
    const coverage: Coverage = { bottom: this.#bottom, settled: this.#settled > 0, forgotten: this.#forgotten > 0 };
    const isReadable = members.length === positions.length;
    return { members, ...(last && { cursor: cursorOf(last) }), complete: isReadable && isComplete(coverage, descending, after, last) };
  }

  lease(): ListLease {
    const seen = new Map([...this.#members].map(([member, { version }]) => [member, version]));
    return { seen, bottom: this.#bottom, lost: this.#lost, settled: this.#settled };
  }

  /**
   * Returns false if the lease is lost; the list is then unchanged. The caller has checked the list's birth (R13).
   *
   * @param tooLarge whether the cache rejects a value
   */
  settle(
    lease: ListLease,
    { newest, next = -Infinity }: FoundList,
    keep: number,
    now: number,
    tooLarge: (json: string) => boolean,
  ): boolean {
    // R14 (one settles)
    if (lease.settled !== this.#settled) return false;
    // R15 (nothing lost)
    const nothingLost = this.#bottom === lease.bottom && this.#lost === lease.lost;
    this.#bottom = nothingLost ? next : Math.max(this.#bottom, next);
    // R16 (found above)
    const above = newest.filter(({ score }) => score > this.#bottom);
    const found = new Set(above.map(({ member }) => member));
    // R17 (absent)
    for (const [member, version] of lease.seen) {
      const held = this.#members.get(member);
      if (held?.version === version && !found.has(member)) this.#set(member, { state: 'gone', version, peak: held.peak }, now);
    }
    // R18 (seen)
    for (const { member, score, json } of above) {
      const version = lease.seen.get(member) ?? FLOOR;
      const common = { kind: 'member', list: '', member, score, keep, version } as const;
      this.#apply(tooLarge(json) ? { ...common, type: 'forget' } : { ...common, type: 'put', json }, 'table', now);
    }
    // R28 (settle unmarks)
    this.#survey = undefined;
    // R19 (trim last)
    this.#settled += 1;
    this.#trim(keep, now);
    return true;
  }

  /** R25 (mark). Before it, the caller replaces a list for which `needsFresh` is true. */
  mark(survey: string): void {
    this.#survey = survey;
  }

  /** R29 (mark afresh): whether the survey cannot complete this list, so that an empty one with a new birth must take its place. */
  needsFresh(survey: string, keep: number): boolean {
    if (this.#survey === survey) return false;
    return this.#forgotten > 0 || (this.#bottom !== -Infinity && this.#live.size < keep / 2);
  }

  /**
   * R26 (survey fill). Returns false if the list does not have the mark; the list is then unchanged.
   *
   * @param tooLarge whether the cache rejects a value
   */
  fill(survey: string, members: readonly FoundMember[], keep: number, now: number, tooLarge: (json: string) => boolean): boolean {
    if (this.#survey !== survey) return false;
    for (const { member, score, json } of members) {
      const common = { kind: 'member', list: '', member, score, keep, version: FLOOR } as const;
      this.#apply(tooLarge(json) ? { ...common, type: 'forget' } : { ...common, type: 'put', json }, 'table', now);
      this.#trim(keep, now);
    }
    return true;
  }

  /** R27 (seal). Returns false if the list does not have the mark. */
  seal(survey: string): boolean {
    if (this.#survey !== survey) return false;
    this.#settled += 1;
    return true;
  }

  /**
   * R11: drops the lowest members and markers, by raising the bottom over them.
   *
   * @param share of all members and markers to drop, above 0 and up to 1
   * @param now ms since 1970
   * @returns false if the list was empty already
   */
  shed(share: number, now: number): boolean {
    const scores = [...this.#live.scores, ...this.#markers.scores].sort((a, b) => a - b);
    const highestDropped = scores[Math.ceil(scores.length * share) - 1];
    if (highestDropped === undefined) return false;
    this.#bottom = Math.max(this.#bottom, highestDropped);
    this.#trim(this.#live.scores.filter((score) => score > this.#bottom).length, now);
    return true;
  }

  #apply(mutation: MemberMutation, source: 'stream' | 'table', now: number): Effect {
    const { member, version } = mutation;
    // -0 becomes 0.
    const score = mutation.score + 0;
    const held = this.#members.get(member);
    // R2 (peak)
    const from = mutation.type === 'put' ? (mutation.from ?? score) : score;
    const reach = Math.max(score, from);
    const peak = Math.max(held?.peak ?? -Infinity, reach);
    // R1 (law)
    if (held && held.version > version) {
      if (peak === held.peak) return 'stale';
      // R3: an older record, replayed after the list was evicted. It may be replayed again, so remember its score as the peak.
      this.#set(member, { ...held, peak }, now);
      return 'peak-raised';
    }
    // R23 (doubt): a fill has lowered the bottom since versions were dropped here, and one of them may be newer than this record.
    const isWithin = this.#bottom < this.#highest && reach <= this.#highest && (held !== undefined || reach > this.#bottom);
    const isDoubtful = source === 'stream' && isWithin && version <= this.#dropped;
    if (mutation.type === 'forget' || isDoubtful) {
      // R6 (forget)
      this.#set(member, { state: 'forgotten', version, peak }, now);
    } else if (mutation.type === 'put' && score > this.#bottom) {
      this.#set(member, { state: 'live', version, peak, score, json: mutation.json }, now);
    } else {
      // R4 (bottom)
      this.#set(member, { state: 'gone', version, peak }, now);
      // R5: the table has this member, the list does not. Counting it as lost keeps the next settle from lowering the bottom past it.
      if (mutation.type === 'put') this.#lost += 1;
    }
    return 'applied';
  }

  #trim(keep: number, now: number): void {
    // R7 (keep)
    while (this.#live.size > keep) {
      const { member, score } = this.#live.lowest as ListPosition;
      const { version, peak } = this.#members.get(member) as Member;
      this.#bottom = Math.max(this.#bottom, score);
      this.#set(member, { state: 'gone', version, peak }, now);
    }
    // R22 (dropped)
    this.#highest = Math.max(this.#highest, this.#bottom);
    // R8 (tombstone)
    for (let lowest = this.#markers.lowest; lowest && lowest.score <= this.#bottom; lowest = this.#markers.lowest)
      this.#drop(lowest.member);
  }

  /** R10 (age) */
  #expire(before: number): void {
    for (const [name, since] of this.#goneSince) {
      if (since >= before) return;
      this.#drop(name);
    }
  }

  /** R9 (count purged), R22 (dropped) */
  #drop(name: string): void {
    const { version } = this.#members.get(name) as Member;
    if (version > this.#dropped) this.#dropped = version;
    this.#set(name, undefined, 0);
    this.#lost += 1;
  }

  /** Replaces what the list knows of a member; `undefined`: nothing any more. */
  #set(name: string, member: Member | undefined, now: number): void {
    const before = this.#members.get(name);
    if (before?.state === 'live') this.#live.remove({ score: before.score, member: name });
    if (before && before.state !== 'live') this.#markers.remove({ score: before.peak, member: name });
    if (before?.state === 'forgotten') this.#forgotten -= 1;
    this.#members.delete(name);
    this.#goneSince.delete(name);
    if (!member) return;
    this.#members.set(name, member);
    if (member.state === 'live') this.#live.add({ score: member.score, member: name });
    else this.#markers.add({ score: member.peak, member: name });
    if (member.state === 'gone') this.#goneSince.set(name, now);
    if (member.state === 'forgotten') this.#forgotten += 1;
  }
}
