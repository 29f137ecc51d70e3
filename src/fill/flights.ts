/** One read of several addresses. */
interface Flight<Answer> {
  readonly answers: ReadonlyMap<string, Promise<Answer>>;
  /** Answers to come. */
  open: number;
  callers: number;
  abort(): void;
}

/**
 * Reads addresses, each once, and returns their answers in the same order. The signal ends when no caller waits for any of them. It is made when it is
 * first asked for, because a read that the cache answers needs none.
 */
type Read<Answer> = (addresses: readonly string[], signal: () => AbortSignal) => readonly Promise<Answer>[];

/** Single flight: while an address is being read, further callers wait for the same read. */
export interface Flights<Answer> {
  /**
   * Returns the answers in the order of the addresses. An address may occur several times.
   *
   * @param read reads the addresses that are not being read; it is called at once
   * @throws what a read throws, after all reads have ended; at once the reason of the signal
   */
  get(addresses: readonly string[], signal: AbortSignal | undefined, read: Read<Answer>): Promise<readonly Answer[]>;
  /** Like `get`, but the error of one address is its own result. @throws the reason of the signal */
  settled(
    addresses: readonly string[],
    signal: AbortSignal | undefined,
    read: Read<Answer>,
  ): Promise<readonly PromiseSettledResult<Answer>[]>;
  /** Like `get` of one address, and cheaper. */
  one(address: string, signal: AbortSignal | undefined, read: (signal: () => AbortSignal) => Promise<Answer>): Promise<Answer>;
  /** Resolves when no read is under way. */
  idle(): Promise<void>;
}

export function flights<Answer>(): Flights<Answer> {
  const underWay = new Map<string, Flight<Answer>>();

  const start = (addresses: readonly string[], read: Read<Answer>): Flight<Answer> => {
    const { signal, abort } = lazySignal();
    const answers = read(addresses, signal);
    const flight: Flight<Answer> = {
      answers: new Map(addresses.map((address, i) => [address, answers[i] as Promise<Answer>])),
      open: addresses.length,
      callers: 0,
      abort,
    };
    for (const [address, answer] of flight.answers) {
      underWay.set(address, flight);
      const end = (): void => {
        flight.open -= 1;
        remove(address, flight);
      };
      answer.then(end, end);
    }
    return flight;
  };
  const remove = (address: string, flight: Flight<Answer>): void => {
    if (underWay.get(address) === flight) underWay.delete(address);
  };
  const leave = (flight: Flight<Answer>): void => {
    flight.callers -= 1;
    if (flight.callers > 0 || flight.open === 0) return;
    // No later caller may join a read that is aborted.
    for (const address of flight.answers.keys()) remove(address, flight);
    flight.abort();
  };

  const all: Flights<Answer> = {
    async get(addresses, signal, read) {
      return valuesOf(await all.settled(addresses, signal, read));
    },
    async settled(addresses, signal, read) {
      signal?.throwIfAborted();
      const missing = new Set(addresses.filter((address) => !underWay.has(address)));
      if (missing.size > 0) start([...missing], read);
      const joined = addresses.map((address) => underWay.get(address) as Flight<Answer>);
      const each = new Set(joined);
      for (const flight of each) flight.callers += 1;
      try {
        const answers = addresses.map((address, i) => joined[i]?.answers.get(address) as Promise<Answer>);
        return await abortable(Promise.allSettled(answers), signal);
      } finally {
        for (const flight of each) leave(flight);
      }
    },
    async one(address, signal, read) {
      signal?.throwIfAborted();
      const flight = underWay.get(address) ?? start([address], (_, flightSignal) => [read(flightSignal)]);
      flight.callers += 1;
      try {
        return await abortable(flight.answers.get(address) as Promise<Answer>, signal);
      } finally {
        leave(flight);
      }
    },
    async idle() {
      while (underWay.size > 0) await Promise.allSettled([...underWay.values()].flatMap(({ answers }) => [...answers.values()]));
    },
  };
  return all;
}

/** @throws the reason of the first result that has one */
export function valuesOf<T>(results: readonly PromiseSettledResult<T>[]): readonly T[] {
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/** A signal that is made when it is first asked for. */
function lazySignal(): { signal(): AbortSignal; abort(): void } {
  let controller: AbortController | undefined;
  let isAborted = false;
  return {
    signal() {
      controller ??= new AbortController();
      if (isAborted) controller.abort();
      return controller.signal;
    },
    abort() {
      isAborted = true;
      controller?.abort();
    },
  };
}

/** Waits for the promise, or for the signal. @throws the reason of the signal */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal ? beforeAbort(promise, signal) : promise;
}

async function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
