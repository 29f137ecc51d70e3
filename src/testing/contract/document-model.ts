/** A document by brute force. Every backend must behave as this model does. Versions are ranks: 0 is `FLOOR`, and a greater rank is newer. */
export class DocumentModel {
  /** Absent: the cache knows nothing of the document, not even a version. */
  #held?: { readonly state: 'live' | 'gone' | 'forgotten'; readonly version: number; readonly json: string };
  /** Set by the first lease, and removed by the next write. */
  #lease?: symbol;

  apply({ type, version, json = '' }: { type: 'put' | 'delete' | 'forget'; version: number; json?: string }): 'applied' | 'stale' {
    if (this.#held && this.#held.version > version) return 'stale';
    this.#held = { state: ({ put: 'live', delete: 'gone', forget: 'forgotten' } as const)[type], version, json };
    this.#lease = undefined;
    return 'applied';
  }

  get(): { type: 'hit'; version: number; json: string } | { type: 'gone'; version: number } | { type: 'miss' } {
    if (!this.#held || this.#held.state === 'forgotten') return { type: 'miss' };
    const { state, version, json } = this.#held;
    return state === 'live' ? { type: 'hit', version, json } : { type: 'gone', version };
  }

  /** Leases between two writes are one lease. A lease on a document that the cache does not know makes it forgotten at `FLOOR`. */
  lease(): symbol {
    this.#held ??= { state: 'forgotten', version: 0, json: '' };
    this.#lease ??= Symbol('lease');
    return this.#lease;
  }

  /**
   * @param json absent: the table has no such item
   * @param fits whether the cache accepts the value
   */
  settle(lease: symbol, json: string | undefined, fits: boolean): 'settled' | 'lost' {
    if (!this.#held || this.#lease !== lease || !fits) return 'lost';
    this.#held = { state: json === undefined ? 'gone' : 'live', version: this.#held.version, json: json ?? '' };
    this.#lease = undefined;
    return 'settled';
  }

  evict(): void {
    this.#held = undefined;
    this.#lease = undefined;
  }
}
