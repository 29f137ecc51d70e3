import type { CacheClient } from '../../../src/cache.ts';
import type { StreamEvent } from '../../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { type StreamAnswer, streamHandler } from '../../../src/handlers/stream-handler.ts';
import type { LetterStore } from '../../../src/letters/store.ts';
import type { Mutation, Outcome } from '../../../src/mutation.ts';
import { type LambdaContext, NotInvokedError } from '../../../src/testing/index.ts';
import { type Code, GOOD, viewsOf } from './code.ts';
import type { World } from './world.ts';

const SILENT = { info() {}, warn() {}, error() {} };

/** One run of the function's code. */
export interface Invocation {
  readonly worker: Mortal;
  readonly deadline: number;
  /** It repeats another invocation of the same batch. */
  readonly isExtra: boolean;
  /** Whether it is frozen after its deadline. Otherwise it runs on. */
  readonly freezes: boolean;
  /** The sequence numbers of the records that are being applied, by item. */
  readonly busy: Map<string, string>;
}

/** A process that waits for an invocation. */
export interface Mortal {
  readonly isDead: boolean;
}

/** An execution environment: one invocation at a time. */
interface Environment {
  readonly code: Code;
  readonly handler: (event: StreamEvent, context: LambdaContext) => Promise<StreamAnswer>;
  invocation: Invocation | undefined;
  /** The letters that this environment has put. */
  readonly poison: Set<string>;
}

/** The stream function, in as many environments as needed. One deployment is current. */
export class Lambda {
  readonly #world: World;
  #free: Environment[] = [];
  #code: Code = GOOD;
  #poisonRunLimit: number;
  readonly #running = new Set<Invocation>();

  constructor(world: World) {
    this.#world = world;
    this.#poisonRunLimit = world.history.poisonRunLimit;
  }

  get code(): Code {
    return this.#code;
  }

  get isIdle(): boolean {
    return ![...this.#running].some((invocation) => !this.#isFrozen(invocation));
  }

  /** Whether an invocation runs on that nothing waits for any more. Its writes may be outdated. */
  get hasGhosts(): boolean {
    return [...this.#running].some((invocation) => this.#isGhost(invocation) && !this.#isFrozen(invocation));
  }

  deploy(code: Code, poisonRunLimit = this.#poisonRunLimit): void {
    this.#code = code;
    this.#poisonRunLimit = poisonRunLimit;
    this.#free = [];
  }

  async invoke(worker: Mortal, event: StreamEvent, context: LambdaContext): Promise<unknown> {
    const { clock, chance, weathers, tally } = this.#world;
    const weather = weathers.of('function');
    if (weather === 'away' && chance.hits(0.9)) {
      tally.add('function: throttled');
      await clock.sleep(chance.upTo(20));
      throw new NotInvokedError('Rate Exceeded.');
    }
    if (weather === 'flaky' && chance.hits(0.3)) {
      tally.add('function: invoked twice');
      void this.#run(worker, structuredClone(event), context, { isExtra: true, delayMs: chance.upTo(500) }).catch(() => {});
    }
    const delayMs = weather === 'slow' ? chance.upTo(context.getRemainingTimeInMillis() * 1.1) : 0;
    const answer = await this.#run(worker, event, context, { isExtra: false, delayMs });
    if (weather !== 'flaky' || !chance.hits(0.2)) return answer;
    tally.add('function: crashed after its work');
    throw new Error('Runtime exited');
  }

  async #run(
    worker: Mortal,
    event: StreamEvent,
    context: LambdaContext,
    { isExtra, delayMs }: { readonly isExtra: boolean; readonly delayMs: number },
  ): Promise<StreamAnswer> {
    const { clock, chance, tally } = this.#world;
    const environment = this.#environment();
    const deadline = clock.now() + context.getRemainingTimeInMillis();
    const invocation = { worker, deadline, isExtra, freezes: chance.hits(0.5), busy: new Map<string, string>() };
    environment.invocation = invocation;
    this.#running.add(invocation);
    try {
      if (delayMs > 0) await clock.sleep(delayMs);
      return await environment.handler(event, context);
    } finally {
      this.#running.delete(invocation);
      if (this.#isGhost(invocation)) tally.add('function: ran on after its deadline');
      environment.invocation = undefined;
      if (environment.code === this.#code && clock.now() < deadline && chance.hits(0.95)) this.#free.push(environment);
    }
  }

  #isGhost({ isExtra, worker, deadline }: Invocation): boolean {
    return isExtra || worker.isDead || this.#world.clock.now() >= deadline;
  }

  #isFrozen({ freezes, deadline }: Invocation): boolean {
    return freezes && this.#world.clock.now() >= deadline;
  }

  #environment(): Environment {
    const free = this.#free.pop();
    if (free) return free;
    const { clock, chance, history, views, bug } = this.#world;
    const environment: Environment = {
      code: this.#code,
      handler: streamHandler({
        views: viewsOf(this.#code, views, bug),
        cache: this.#cache(() => environment, this.#world.client()),
        letters: this.#letters(() => environment),
        logger: SILENT,
        retries: { sleep: clock.sleep, random: chance.next },
        poisonRunLimit: this.#poisonRunLimit,
        marginMs: history.marginMs,
        retention: false,
      }),
      invocation: undefined,
      poison: new Set(),
    };
    return environment;
  }

  #cache(of: () => Environment, client: CacheClient): CacheClient {
    const { weathers, clock, chance, tell } = this.#world;
    return {
      ...client,
      apply: async (mutations) => {
        const { invocation } = of();
        if (!invocation) throw new Error('a call of the cache outlived its invocation');
        this.#begin(invocation, mutations);
        try {
          const outcomes = await weathers.call('cache', {
            act: () => {
              tell?.(`  applied: ${mutations.map(wordsOf).join(', ')}`);
              return clock.outside(client.apply(mutations));
            },
            part: () => clock.outside(client.apply(mutations.slice(0, 1 + chance.upTo(mutations.length)))),
            fault: () => (chance.hits(0.9) ? new CacheUnavailableError('no answer') : new TypeError('an answer of no known kind')),
            isAlive: () => !this.#isFrozen(invocation),
          });
          for (const [i, mutation] of mutations.entries()) {
            const outcome = outcomes[i] as Outcome;
            this.#world.journal.acknowledged(mutation, outcome);
            this.#world.tally.add(`mutations ${outcome.type}`);
          }
          return outcomes;
        } finally {
          for (const { version } of mutations) invocation.busy.delete(this.#world.journal.ofVersion(version)?.item ?? '');
        }
      },
    };
  }

  /** Checks that the records of an item are applied one after the other, in order. */
  #begin(invocation: Invocation, [first]: readonly Mutation[]): void {
    const { journal, misdeed } = this.#world;
    const written = first && journal.ofVersion(first.version);
    if (!first || !written) return;
    const { item, number } = written;
    if (!journal.isDue(written)) misdeed(`${number} of ${item} is applied before what came before it is dealt with`);
    if (!this.#isGhost(invocation)) {
      for (const other of this.#running) {
        const isBusy = other.worker === invocation.worker && other.busy.has(item) && !this.#isGhost(other);
        if (isBusy) misdeed(`${number} and ${other.busy.get(item)} of ${item} are applied at once`);
      }
    }
    invocation.busy.set(item, number);
  }

  #letters(of: () => Environment): LetterStore {
    const store = this.#world.letters.client(
      () => !this.#isFrozen(of().invocation as Invocation),
      () => of().code.kind !== 'good',
    );
    const poisonRunLimit = this.#poisonRunLimit;
    return {
      ...store,
      put: async (name, text) => {
        const { code, poison } = of();
        await store.put(name, text);
        poison.add(name);
        if (code.kind !== 'broken' || poisonRunLimit === 0 || poison.size <= poisonRunLimit) return;
        this.#world.misdeed(`an environment of broken code made ${poison.size} letters, and is to make ${poisonRunLimit}`);
      },
    };
  }
}

function wordsOf(mutation: Mutation): string {
  const { type, version } = mutation;
  return `${type} ${mutation.kind === 'document' ? mutation.key : `${mutation.list} ${mutation.member}`} at ${version.slice(-5)}`;
}
