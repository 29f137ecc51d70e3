export interface Member {
  readonly value: Uint8Array;
  readonly score: number;
}

const ascending = (a: Member, b: Member) => a.score - b.score || Buffer.compare(a.value, b.value);

/** Members of a sorted set. Reads sort, so consecutive writes cost one sort. */
export class SortedMembers {
  readonly #members: Map<string, Member>;
  #sorted: Member[] | undefined;

  constructor(members = new Map<string, Member>()) {
    this.#members = members;
  }

  get size(): number {
    return this.#members.size;
  }

  get(name: string): Member | undefined {
    return this.#members.get(name);
  }

  set(name: string, member: Member): void {
    this.#members.set(name, member);
    this.#sorted = undefined;
  }

  delete(name: string): boolean {
    const existed = this.#members.delete(name);
    if (existed) this.#sorted = undefined;
    return existed;
  }

  entries(): Iterable<readonly [string, Member]> {
    return this.#members;
  }

  /** The members by score; those of equal score by their bytes. */
  sorted(): readonly Member[] {
    this.#sorted ??= [...this.#members.values()].sort(ascending);
    return this.#sorted;
  }

  copy(): SortedMembers {
    return new SortedMembers(new Map(this.#members));
  }
}
