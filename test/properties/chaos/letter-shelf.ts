import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import type { LetterStore } from '../../../src/letters/store.ts';
import type { Written } from './journal.ts';
import type { World } from './world.ts';

/** The store of dead letters. */
export class LetterShelf {
  readonly texts = new Map<string, string>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** The store as one process sees it. `isBlind`: the code of the process cannot compute the addresses of the records in its letters. */
  client(isAlive?: () => boolean, isBlind: () => boolean = () => false): LetterStore {
    const { texts } = this;
    const call = <T>(act: () => Promise<T>) => this.#world.weathers.call('letters', { act, fault: () => new Error('SlowDown'), isAlive });
    return {
      put: async (name, text) => {
        await call(async () => {
          texts.set(name, text);
        });
        this.#took(name, text, isBlind());
      },
      async *names(prefix = '') {
        yield* await call(async () => [...texts.keys()].filter((name) => name.startsWith(prefix)).sort());
      },
      get: (name) => call(async () => texts.get(name)),
      delete: (name) =>
        call(async () => {
          const text = texts.get(name);
          if (text !== undefined && isLetter(name)) for (const written of this.#writtenIn(text)) written.redriven = true;
          texts.delete(name);
        }),
      async close() {},
    };
  }

  /** The records of the letters in the store, by letter. */
  *records(): Iterable<readonly [name: string, records: readonly StreamRecord[]]> {
    for (const [name, text] of this.texts) if (isLetter(name)) yield [name, recordsOf(text)];
  }

  #took(name: string, text: string, isBlind: boolean): void {
    if (!isLetter(name)) return;
    const { tally } = this.#world;
    tally.add(name.startsWith('aws/') ? 'letters of Lambda' : 'letters of the worker');
    for (const written of this.#writtenIn(text)) {
      written.lettered = true;
      written.isBlind ||= isBlind;
    }
  }

  #writtenIn(text: string): readonly Written[] {
    return recordsOf(text).flatMap(
      ({ eventSourceARN, dynamodb }) => this.#world.journal.find(eventSourceARN, dynamodb?.SequenceNumber) ?? [],
    );
  }
}

function isLetter(name: string): boolean {
  return name.startsWith('millrace/') || name.startsWith('aws/');
}

/** Reads a letter without the code under test. */
function recordsOf(text: string): readonly StreamRecord[] {
  return JSON.parse(JSON.parse(text).payload).Records;
}
