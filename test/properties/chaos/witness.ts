import type { MappingEvent } from '../../../src/testing/index.ts';
import type { World } from './world.ts';

/** Listens to the events of one mapping, and notes those that must not happen. */
export class Witness {
  readonly #world: World;
  readonly #stream: string;
  /** How often the function was invoked with each record. */
  readonly #tries = new Map<string, number>();

  constructor(world: World, stream: string) {
    this.#world = world;
    this.#stream = stream;
  }

  hear(event: MappingEvent): void {
    const stream = this.#stream;
    const { journal, tally, misdeed, tell } = this.#world;
    tell?.(event);
    switch (event.type) {
      case 'filtered':
        for (const number of event.sequenceNumbers) {
          const written = journal.find(stream, number);
          if (written?.missing.delete('*') || written?.missing.size === 0) continue;
          misdeed(`${number} of ${written?.item} was filtered out`);
        }
        tally.add('records filtered out', event.sequenceNumbers.length);
        return;
      case 'gap':
        tally.add(`gaps: ${event.reason}`);
        tally.add('records lost, and told', journal.gap(stream, event));
        return;
      case 'dropped':
        misdeed(`records were dropped: ${event.sequenceNumbers}`);
        return;
      case 'failed':
        tally.add(`batches failed: ${event.reason}`);
        return;
      case 'invoked':
        this.#countTries(event.sequenceNumbers, 1);
        return;
      case 'not-invoked':
        this.#countTries(event.sequenceNumbers, -1);
        return;
      case 'delivered': {
        tally.add(`letters: ${event.condition}`);
        if (event.condition !== 'RetryAttemptsExhausted') return;
        const hasty = event.sequenceNumbers.find((number) => (this.#tries.get(number) ?? 0) <= this.#world.history.mapping.retries);
        if (hasty) misdeed(`${hasty} was given up before its last retry`);
        return;
      }
      case 'split':
      case 'shard-ended':
      case 'delivery-failed':
        tally.add(event.type);
        return;
    }
  }

  #countTries(numbers: readonly string[], tries: number): void {
    for (const number of numbers) this.#tries.set(number, (this.#tries.get(number) ?? 0) + tries);
  }
}
