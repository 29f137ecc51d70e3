import { AsyncLocalStorage } from 'node:async_hooks';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/**
 * The fate of one call of DynamoDB:
 * - `throttled`, `conflict`: it is refused without effect;
 * - `lost`: it takes effect, but its answer is lost;
 * - `dies before`, `dies after`: the process dies before or after it takes effect, and makes no further call.
 */
export type Fault = 'throttled' | 'conflict' | 'lost' | 'dies before' | 'dies after';

/** One execution of a function, which can be made to fail at any of its calls. The SDK's own retries are not counted as calls. */
export class Process {
  readonly calls: string[] = [];
  readonly faults: string[] = [];
  readonly #faultAt: (command: string, call: number) => Fault | undefined;
  readonly #death: Promise<'dead'>;
  #dead = false;
  #tellDeath: (dead: 'dead') => void = () => {};

  constructor(faultAt: (command: string, call: number) => Fault | undefined = () => undefined) {
    this.#faultAt = faultAt;
    this.#death = new Promise((resolve) => {
      this.#tellDeath = resolve;
    });
  }

  /** Returns undefined if the process dies. */
  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    const done = running.run(this, work);
    const first = await Promise.race([done.then((value) => ({ value })), this.#death]);
    return first === 'dead' ? undefined : first.value;
  }

  async call<T>(command: string, send: () => Promise<T>): Promise<T> {
    if (this.#dead) return new Promise(() => {});
    this.calls.push(command);
    const fault = this.#faultAt(command, this.calls.length);
    if (fault) this.faults.push(`${fault} ${command}`);
    switch (fault) {
      case undefined:
        return send();
      case 'throttled':
        throw named('ThrottlingException');
      case 'conflict':
        if (command !== 'TransactWriteItemsCommand') throw named('TransactionConflictException');
        throw named('TransactionCanceledException', { CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }] });
      case 'lost':
        await send();
        throw named('TimeoutError');
      case 'dies after':
        await send();
        return this.#die();
      case 'dies before':
        return this.#die();
    }
  }

  #die<T>(): Promise<T> {
    this.#dead = true;
    this.#tellDeath('dead');
    return new Promise(() => {});
  }
}

const running = new AsyncLocalStorage<Process>();

function named(name: string, more: object = {}): Error {
  return Object.assign(new Error(name), { name, $fault: 'client', ...more });
}

/** Passes the client's calls to the running process, outside the SDK's own retries. */
export function throughProcesses(client: DynamoDBClient): void {
  client.middlewareStack.add(
    (next, { commandName = '' }) =>
      (args) => {
        const process = running.getStore();
        return process ? process.call(commandName, () => next(args)) : next(args);
      },
    { step: 'initialize', priority: 'high', name: 'throughProcesses' },
  );
}
