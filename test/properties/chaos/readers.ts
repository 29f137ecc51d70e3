import type { LeaseTarget } from '../../../src/cache.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { stumblesOver } from './code.ts';
import type { World } from './world.ts';

/** Readers that fill the cache: lease, read the table, settle. */
export class Readers {
  readonly #world: World;
  #running = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** Returns `undefined` when the reader could not project the item, or got no answer. */
  async fill(target: LeaseTarget, readMs = 0, settleMs = 0): Promise<'settled' | 'lost' | undefined> {
    const { clock, weathers, tally, table, lambda, bug } = this.#world;
    const client = this.#world.client();
    const fault = () => new CacheUnavailableError('no answer');
    this.#running += 1;
    try {
      const lease = await weathers.call('cache', { act: () => clock.outside(leaseOn(client, target)), fault });
      await clock.sleep(readMs);
      const found = table.find(target, (row, view) => stumblesOver(lambda.code, row, view, bug));
      await clock.sleep(settleMs);
      if (!found) return undefined;
      const outcome = await weathers.call('cache', { act: () => clock.outside(settleOn(client, lease, found)), fault });
      tally.add(`fills ${outcome}`);
      return outcome;
    } catch (error) {
      if (error instanceof CacheUnavailableError) return undefined;
      throw error;
    } finally {
      this.#running -= 1;
    }
  }
}
