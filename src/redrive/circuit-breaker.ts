/**
 * A circuit breaker that stays open. After `limit` consecutive calls without an answer the run stops; the next run tries again.
 */
export class CircuitBreaker {
  readonly #limit: number;
  #unanswered = 0;

  constructor(limit = 16) {
    this.#limit = limit;
  }

  record(answered: boolean): void {
    if (!this.isOpen) this.#unanswered = answered ? 0 : this.#unanswered + 1;
  }

  get isOpen(): boolean {
    return this.#unanswered >= this.#limit;
  }
}
