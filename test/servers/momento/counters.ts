import type { ServiceDefinition } from '@grpc/grpc-js';

export interface Counter {
  calls: number;
  /** Bytes of messages, without frames and headers. */
  bytesIn: number;
  bytesOut: number;
}

/** Calls and bytes of each rpc. */
export class Counters {
  readonly #byRpc = new Map<string, Counter>();

  of(rpc: string): Counter {
    let counter = this.#byRpc.get(rpc);
    if (counter === undefined) {
      counter = { calls: 0, bytesIn: 0, bytesOut: 0 };
      this.#byRpc.set(rpc, counter);
    }
    return counter;
  }

  /** The counters of every rpc that was called. */
  all(): Record<string, Counter> {
    return Object.fromEntries(Array.from(this.#byRpc, ([rpc, counter]) => [rpc, { ...counter }]));
  }

  reset(): void {
    this.#byRpc.clear();
  }

  /** Makes the service count its bytes where it reads and writes messages. */
  counting(definition: ServiceDefinition): ServiceDefinition {
    return Object.fromEntries(
      Object.entries(definition).map(([rpc, method]) => [
        rpc,
        {
          ...method,
          requestDeserialize: (bytes: Buffer) => {
            this.of(rpc).bytesIn += bytes.length;
            return method.requestDeserialize(bytes);
          },
          responseSerialize: (message: object) => {
            const bytes = method.responseSerialize(message);
            this.of(rpc).bytesOut += bytes.length;
            return bytes;
          },
        },
      ]),
    );
  }
}
