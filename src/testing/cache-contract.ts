import { randomUUID } from 'node:crypto';
import type { CacheClient, LeaseTarget } from '../cache.ts';
import { callArguments } from './contract/arguments.ts';
import type { Case, Section, Trial, Ttls } from './contract/case.ts';
import { closing } from './contract/closing.ts';
import { concurrency } from './contract/concurrency.ts';
import { documentLeases } from './contract/document-leases.ts';
import { documents } from './contract/documents.ts';
import { expiry } from './contract/expiry.ts';
import { foreignKeys } from './contract/foreign-keys.ts';
import { histories } from './contract/histories.ts';
import { lateRecords } from './contract/late-records.ts';
import { listLeases } from './contract/list-leases.ts';
import { lists } from './contract/lists.ts';
import { names } from './contract/names.ts';
import { pages } from './contract/pages.ts';
import { values } from './contract/values.ts';

/** Something that a backend has no way to do, and why. Its cases are reported as skipped, with this reason. */
export interface Cannot {
  readonly cannot: string;
}

/** A backend under test. Whatever it cannot do it must say, so that nothing is left out unnoticed. */
export interface CacheSubject<Client extends CacheClient = CacheClient> {
  readonly name: string;
  /** Opens a client. Clients of other namespaces share nothing with it. */
  open(options: OpenOptions): Promise<Client> | Client;
  /** The largest value that a client takes, bytes of its JSON text; `open` receives the same number. A small one makes the suite fast. */
  readonly maxValueBytes: number | Cannot;
  /** Whether two clients that are opened with one namespace share one store. */
  readonly shared: true | Cannot;
  /** Drops one document or one whole list behind the backend's back, as a store under memory pressure would. */
  readonly evict: ((target: LeaseTarget, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * For a backend that keeps one list under several keys: drops one of these keys alone, the `part`th (any natural number, by remainder),
   * and says whether it was there.
   */
  readonly evictPart: ((list: string, part: number, client: Client, namespace: string) => Promise<boolean> | boolean) | Cannot;
  /**
   * Writes these bytes behind the backend's back, as another program could: at the key of a document, or at a key of a list, of the type that
   * the backend uses there. The key is empty. Default: such cases are skipped.
   */
  readonly plantBytes?: ((target: LeaseTarget, bytes: string, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * Replaces a key of a document or list by a key of a type that the backend does not use there: the `part`th key (any natural number, by
   * remainder). Default: such cases are skipped.
   */
  readonly plantType?: ((target: LeaseTarget, part: number, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * Lets this time pass for the backend, ms. `open` then takes `entryTtlMs` and `tombstoneTtlMs`. Default: cases about times to live are
   * skipped.
   */
  readonly elapse?: ((ms: number) => Promise<void> | void) | Cannot;
}

export interface OpenOptions extends Partial<Ttls> {
  readonly namespace: string;
  readonly maxValueBytes: number;
}

/** `describe` and `it` of vitest, node:test or jest. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  it: {
    (name: string, body: () => Promise<void>, timeout?: number): unknown;
    skip(name: string, body: () => Promise<void>): unknown;
  };
}

export interface ContractOptions {
  /** Random histories of each kind. */
  readonly histories?: number;
  /** Repeats the histories of a run that failed. */
  readonly seed?: number;
  /** Of one case, ms. */
  readonly timeout?: number;
}

const sections: readonly Section[] = [
  documents,
  names,
  values,
  callArguments,
  pages,
  lists,
  documentLeases,
  listLeases,
  lateRecords,
  expiry,
  foreignKeys,
  concurrency,
  closing,
  histories,
];

/** Declares tests of everything that `CacheClient` promises. */
export function cacheContract<Client extends CacheClient>(
  subject: CacheSubject<Client>,
  { describe, it }: Runner,
  options: ContractOptions = {},
): void {
  const { timeout = 120_000 } = options;
  describe(`${subject.name} keeps the contract of CacheClient`, () => {
    for (const { about, cases } of sections) {
      describe(about, () => {
        for (const one of cases) {
          const reasons = missing(subject, one);
          if (reasons.length > 0) it.skip(`${one.it} (${subject.name} cannot: ${reasons.join('; ')})`, async () => {});
          else it(one.it, () => run(subject, one, options), timeout);
        }
      });
    }
  });
}

function missing<Client extends CacheClient>(subject: CacheSubject<Client>, { needs = [] }: Case): string[] {
  return needs.flatMap((need) => reasonOf(need, subject[need]) ?? []);
}

function reasonOf(name: string, ability: unknown): string | undefined {
  if (ability === undefined) return `the subject has no ${name}`;
  return typeof ability === 'object' && ability !== null && 'cannot' in ability ? String(ability.cannot) : undefined;
}

/** Each case has a namespace of its own. */
async function run<Client extends CacheClient>(subject: CacheSubject<Client>, { run }: Case, options: ContractOptions): Promise<void> {
  const namespace = `contract-${randomUUID()}`;
  const { histories = 300, seed } = options;
  const { evict, evictPart, plantBytes, plantType, elapse } = subject;
  const maxValueBytes = typeof subject.maxValueBytes === 'number' ? subject.maxValueBytes : Infinity;
  const opened: Client[] = [];
  const open = async (ttls?: Ttls): Promise<Client> => {
    const client = await subject.open({ namespace, maxValueBytes, ...ttls });
    opened.push(client);
    return client;
  };
  try {
    const client = await open();
    const trial: Trial = {
      client,
      open,
      maxValueBytes,
      histories,
      seed,
      evict: typeof evict === 'function' ? async (target) => evict(target, client, namespace) : undefined,
      evictPart: typeof evictPart === 'function' ? async (list, part) => evictPart(list, part, client, namespace) : undefined,
      plantBytes: typeof plantBytes === 'function' ? async (target, bytes) => plantBytes(target, bytes, client, namespace) : undefined,
      plantType: typeof plantType === 'function' ? async (target, part) => plantType(target, part, client, namespace) : undefined,
      elapse: typeof elapse === 'function' ? async (ms) => elapse(ms) : undefined,
    };
    await run(trial);
  } finally {
    await Promise.all(opened.map((client) => client.close()));
  }
}
