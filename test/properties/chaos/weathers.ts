import type { Tally } from '../world/tally.ts';
import type { Chance } from './chance.ts';
import type { WorldClock } from './clock.ts';
import type { Service, Weather } from './history.ts';

type Fate = 'done' | 'refused' | 'unanswered' | 'in part' | 'late';

export interface Call<T> {
  act(): Promise<T>;
  /** A part of the call, for one that breaks off. */
  part?(): Promise<unknown>;
  fault(): Error;
  /** The call takes effect in time or never. */
  readonly isPrompt?: boolean;
  /** False: the caller has died, so the call does not go on. */
  isAlive?(): boolean;
}

/** Decides what happens to calls of the services around the worker. */
export class Weathers {
  readonly #of = new Map<Service, Weather>();
  readonly #clock: WorldClock;
  readonly #chance: Chance;
  readonly #tally: Tally;
  /** The number of calls that failed, and will take effect later. */
  late = 0;

  constructor(clock: WorldClock, chance: Chance, tally: Tally) {
    this.#clock = clock;
    this.#chance = chance;
    this.#tally = tally;
  }

  of(service: Service): Weather {
    return this.#of.get(service) ?? 'fine';
  }

  set(service: Service, weather: Weather): void {
    this.#of.set(service, weather);
  }

  clear(): void {
    this.#of.clear();
  }

  async call<T>(service: Service, call: Call<T>): Promise<T> {
    const weather = this.of(service);
    const fate = this.#fate(weather);
    if (fate !== 'done') this.#tally.add(`${service}: ${fate}`);
    if (weather === 'slow') this.#tally.add(`${service}: slow`);
    await this.#pause(weather, call);
    switch (fate) {
      case 'done': {
        const answer = await call.act();
        await this.#pause(weather, call);
        return answer;
      }
      case 'unanswered':
        await call.act();
        break;
      case 'in part':
        await call.part?.();
        break;
      case 'late':
        if (!call.isPrompt) void this.#later(call);
        break;
    }
    await this.#pause(weather, call);
    throw call.fault();
  }

  #fate(weather: Weather): Fate {
    if (weather === 'fine') return 'done';
    if (weather === 'away') return 'refused';
    const dice = this.#chance.next();
    if (weather === 'slow') return dice < 0.85 ? 'done' : 'unanswered';
    if (dice < 0.5) return 'done';
    if (dice < 0.7) return 'refused';
    if (dice < 0.85) return 'unanswered';
    return dice < 0.93 ? 'in part' : 'late';
  }

  async #pause(weather: Weather, { isAlive }: Pick<Call<unknown>, 'isAlive'>): Promise<void> {
    const ms = weather === 'slow' ? this.#chance.upTo(3_000) : this.#chance.hits(0.6) ? 0 : 1 + this.#chance.upTo(12);
    if (ms > 0) await this.#clock.sleep(ms);
    if (isAlive && !isAlive()) await new Promise(() => {});
  }

  async #later({ act }: Call<unknown>): Promise<void> {
    this.late += 1;
    await this.#clock.sleep(1 + this.#chance.upTo(8_000));
    await act().catch(() => {});
    this.late -= 1;
  }
}
