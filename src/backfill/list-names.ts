/** Names of lists, in constant memory: at most `most` of them. */
export class ListNames {
  readonly #most: number;
  readonly #names = new Set<string>();
  #isWhole = true;

  constructor(most: number) {
    this.#most = most;
  }

  add(names: Iterable<string>): void {
    for (const name of names) {
      if (this.#names.size >= this.#most && !this.#names.has(name)) {
        this.#names.clear();
        this.#isWhole = false;
      }
      this.#names.add(name);
    }
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** The names; `undefined` if some were dropped, because there were too many. */
  get all(): readonly string[] | undefined {
    return this.#isWhole ? [...this.#names] : undefined;
  }
}
