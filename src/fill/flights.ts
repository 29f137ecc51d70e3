/** One read of several addresses. */
interface Flight<Answer> {
  readonly controller: AbortController;
  readonly answers: ReadonlyMap<string, Promise<Answer>>;
  callers: number;
}

/** Reads addresses, each once. Its signal ends when no caller waits for any of them. */
type Read<Answer> = (addresses: readonly string[], signal: AbortSignal) => ReadonlyMap<string, Promise<Answer>>;

/** Single flight: while an address is being read, further callers wait for the same read. */
export interface Flights<Answer> {
  /**
   * Returns the answers in the order of the addresses. An address may occur several times.
   *
   * @param read reads the addresses that are not being read; it is called at once
   * @throws what a read throws, after all reads have ended; at once the reason of the signal
   */
  get(addresses: readonly string[], signal: AbortSignal | undefined, read: Read<Answer>): Promise<readonly Answer[]>;
  /** Resolves when no read is under way. */
  idle(): Promise<void>;
}

export function flights<Answer>(): Flights<Answer> {
  const underWay = new Map<string, Flight<Answer>>();

  const start = (addresses: readonly string[], read: Read<Answer>): void => {
    const controller = new AbortController();
    const flight: Flight<Answer> = { controller, answers: read(addresses, controller.signal), callers: 0 };
    for (const [address, answer] of flight.answers) {
      underWay.set(address, flight);
      const end = (): void => remove(address, flight);
      answer.then(end, end);
    }
  };
  const remove = (address: string, flight: Flight<Answer>): void => {
    if (underWay.get(address) === flight) underWay.delete(address);
  };
  const leave = (flight: Flight<Answer>): void => {
    flight.callers -= 1;
    if (flight.callers > 0) return;
    // No later caller may join a read that is aborted.
    for (const address of flight.answers.keys()) remove(address, flight);
    flight.controller.abort();
  };

  return {
    async get(addresses, signal, read) {
      signal?.throwIfAborted();
      const missing = new Set(addresses.filter((address) => !underWay.has(address)));
      if (missing.size > 0) start([...missing], read);
      const joined = addresses.map((address) => underWay.get(address) as Flight<Answer>);
      const each = new Set(joined);
      for (const flight of each) flight.callers += 1;
      try {
        const answers = addresses.map((address, i) => joined[i]?.answers.get(address) as Promise<Answer>);
        const settled = await abortable(Promise.allSettled(answers), signal);
        return settled.map((answer) => {
          if (answer.status === 'rejected') throw answer.reason;
          return answer.value;
        });
      } finally {
        for (const flight of each) leave(flight);
      }
    },
    async idle() {
      while (underWay.size > 0) await Promise.allSettled([...underWay.values()].flatMap(({ answers }) => [...answers.values()]));
    },
  };
}

/** Waits for the promise, or for the signal. @throws the reason of the signal */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise;
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
