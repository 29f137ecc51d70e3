import { cursorOf, type FoundList, isComplete, type Page, type PageQuery, type Place, parseQuery } from '../../cache.ts';
import type { MemberMutation } from '../../mutation.ts';
import { FLOOR, type Version } from '../../version.ts';
import { Ranking } from './ranking.ts';

type Member = {
  readonly version: Version;
  /** The highest score at which an older version of this member could come back: its marker is needed until the bottom has passed it. */
  readonly peak: number;
} & (
  | { readonly state: 'live'; readonly score: number; readonly json: string }
  | { readonly state: 'gone' }
  | { readonly state: 'forgotten' }
);

/** All that a list holds, as plain data: so it can be kept elsewhere. */
export interface ListContent {
  readonly bottom: number;
  readonly lost: number;
  readonly settled: number;
  /** Live ones by ascending score; gone ones in the order in which they became so. */
  readonly members: readonly ListRow[];
}

export type ListRow = Member & {
  readonly name: string;
  /** Of a gone one: when it became so, ms. */
  readonly since?: number;
};

/** What a mutation does to a list. `noted`: stale, and the list knows a place more at which its member could come back. */
export type Effect = 'applied' | 'stale' | 'noted';

export interface ListLease {
  readonly seen: ReadonlyMap<string, Version>;
  readonly bottom: number;
  readonly lost: number;
  readonly settled: number;
}

/**
 * A list of at most `keep` live members that knows what it holds. A full list has a bottom: what lies at or below that score is not held,
 * so the bottom is the tombstone of everything below it.
 */
export class BoundedList {
  readonly #members = new Map<string, Member>();
  readonly #live = new Ranking();
  /** Gone and forgotten members, by peak. */
  readonly #marks = new Ranking();
  /** When each gone member became so, ms: oldest first. */
  readonly #since = new Map<string, number>();
  #forgotten = 0;
  #bottom = -Infinity;
  /** How often a version or a value was thrown away. */
  #lost = 0;
  #settled = 0;

  static of({ bottom, lost, settled, members }: ListContent): BoundedList {
    const list = new BoundedList();
    for (const { name, since = 0, ...member } of members) list.#hold(name, member, since);
    [list.#bottom, list.#lost, list.#settled] = [bottom, lost, settled];
    return list;
  }

  get content(): ListContent {
    const row = (name: string) => ({ name, ...(this.#members.get(name) as Member) });
    const live = this.#live.page(this.#live.size, undefined, false).map(({ member }) => row(member));
    const gone = [...this.#since].map(([name, since]) => ({ ...row(name), since }));
    const forgotten = [...this.#members].flatMap(([name, member]) => (member.state === 'forgotten' ? { name, ...member } : []));
    return { bottom: this.#bottom, lost: this.#lost, settled: this.#settled, members: [...live, ...gone, ...forgotten] };
  }

  get isEmpty(): boolean {
    return this.#live.size === 0;
  }

  /** Members of any state. */
  get size(): number {
    return this.#members.size;
  }

  /** `now` and `markerTtl` in ms: a marker older than that is no longer needed. */
  apply(mutation: MemberMutation, now: number, markerTtl: number): Effect {
    const effect = this.#apply(mutation, now);
    if (effect === 'applied') {
      this.#trim(mutation.keep, now);
      this.#expire(now - markerTtl);
    }
    return effect;
  }

  page(query: PageQuery): Page {
    const { limit, after, descending } = parseQuery(query);
    const places = this.#live.page(limit, after, descending);
    const members = places.map(({ member, score }) => {
      const { version, json } = this.#members.get(member) as Member & { state: 'live' };
      return { member, score, value: JSON.parse(json), version };
    });
    const last = places.length === limit ? places.at(-1) : undefined;
    const holding = { bottom: this.#bottom, settled: this.#settled > 0, forgotten: this.#forgotten > 0 };
    return { members, ...(last && { cursor: cursorOf(last) }), complete: isComplete(holding, descending, after, last) };
  }

  lease(): ListLease {
    const seen = new Map([...this.#members].map(([member, { version }]) => [member, version]));
    return { seen, bottom: this.#bottom, lost: this.#lost, settled: this.#settled };
  }

  /** `tooLarge` tells of a value that it cannot be held. */
  settle(lease: ListLease, { newest, more }: FoundList, keep: number, now: number, tooLarge: (json: string) => boolean): boolean {
    // Another has filled it since, and may have lowered the bottom.
    if (lease.settled !== this.#settled) return false;
    const lowest = more ? (newest.at(-1) as Place).score : -Infinity;
    // The bottom may sink to what was read only if nothing was thrown away since: else something older than the stream could slip in.
    const maySink = this.#bottom === lease.bottom && this.#lost === lease.lost;
    this.#bottom = maySink ? lowest : Math.max(this.#bottom, lowest);
    const above = newest.filter(({ score }) => score > this.#bottom);
    const found = new Set(above.map(({ member }) => member));
    for (const [member, version] of lease.seen) {
      const held = this.#members.get(member);
      if (held?.version === version && !found.has(member)) this.#hold(member, { state: 'gone', version, peak: held.peak }, now);
    }
    for (const { member, score, json } of above) {
      const version = lease.seen.get(member) ?? FLOOR;
      const at = { kind: 'member', list: '', member, score, keep, version } as const;
      this.#apply(tooLarge(json) ? { ...at, type: 'forget' } : { ...at, type: 'put', json }, now);
    }
    this.#settled += 1;
    this.#trim(keep, now);
    return true;
  }

  /**
   * Lets go of what is lowest, as a list that keeps fewer would: of this share (above 0, up to 1) of its members of any state, by raising the
   * bottom over them. `now` in ms. False when there was nothing to let go.
   */
  shed(share: number, now: number): boolean {
    const scores = [...this.#live.scores, ...this.#marks.scores].sort((a, b) => a - b);
    const highest = scores[Math.ceil(scores.length * share) - 1];
    if (highest === undefined) return false;
    this.#bottom = Math.max(this.#bottom, highest);
    this.#trim(this.#live.scores.filter((score) => score > this.#bottom).length, now);
    return true;
  }

  #apply(mutation: MemberMutation, now: number): Effect {
    const { member, version, score } = mutation;
    const held = this.#members.get(member);
    const from = mutation.type === 'put' ? (mutation.from ?? score) : score;
    const peak = Math.max(held?.peak ?? -Infinity, score, from);
    if (held && held.version > version) {
      if (peak === held.peak) return 'stale';
      // Replayed after the list was lost. What is replayed once may come again, late.
      this.#hold(member, { ...held, peak }, now);
      return 'noted';
    }
    if (mutation.type === 'forget') this.#hold(member, { state: 'forgotten', version, peak }, now);
    else if (mutation.type === 'put' && score > this.#bottom)
      this.#hold(member, { state: 'live', version, peak, score, json: mutation.json }, now);
    else {
      this.#hold(member, { state: 'gone', version, peak }, now);
      // It is in the table, and nobody here knows.
      if (mutation.type === 'put') this.#lost += 1;
    }
    return 'applied';
  }

  #trim(keep: number, now: number): void {
    while (this.#live.size > keep) {
      const { member, score } = this.#live.lowest as Place;
      const { version, peak } = this.#members.get(member) as Member;
      this.#bottom = Math.max(this.#bottom, score);
      this.#hold(member, { state: 'gone', version, peak }, now);
    }
    for (let lowest = this.#marks.lowest; lowest && lowest.score <= this.#bottom; lowest = this.#marks.lowest) this.#drop(lowest.member);
  }

  /** Gone ones end by their age too. Forgotten ones do not: without them the list would call itself complete. */
  #expire(before: number): void {
    for (const [name, at] of this.#since) {
      if (at >= before) return;
      this.#drop(name);
    }
  }

  #drop(name: string): void {
    this.#hold(name, undefined, 0);
    this.#lost += 1;
  }

  #hold(name: string, member: Member | undefined, now: number): void {
    const was = this.#members.get(name);
    if (was?.state === 'live') this.#live.remove({ score: was.score, member: name });
    if (was && was.state !== 'live') this.#marks.remove({ score: was.peak, member: name });
    if (was?.state === 'forgotten') this.#forgotten -= 1;
    this.#members.delete(name);
    this.#since.delete(name);
    if (!member) return;
    this.#members.set(name, member);
    if (member.state === 'live') this.#live.add({ score: member.score, member: name });
    else this.#marks.add({ score: member.peak, member: name });
    if (member.state === 'gone') this.#since.set(name, now);
    if (member.state === 'forgotten') this.#forgotten += 1;
  }
}
