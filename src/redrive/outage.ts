/** Counts calls that got no answer, in a row: so many are an outage, and what is left may wait for its end. */
export class Outage {
  readonly #calls: number;
  #unanswered = 0;

  constructor(calls = 16) {
    this.#calls = calls;
  }

  saw(answered: boolean): void {
    if (!this.isOn) this.#unanswered = answered ? 0 : this.#unanswered + 1;
  }

  /** It does not end: what comes after it is another try's matter. */
  get isOn(): boolean {
    return this.#unanswered >= this.#calls;
  }
}
