import { randomUUID } from 'node:crypto';
import type { CacheClient, LeaseTarget } from '../cache.ts';
import { callArguments } from './contract/arguments.ts';
import { bulk, getOrLease, standing } from './contract/bulk.ts';
import type { Case, Section, TimesToLive, Trial } from './contract/case.ts';
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
import { surveys } from './contract/surveys.ts';
import { values } from './contract/values.ts';

/** Says why a backend lacks an ability. The cases that need the ability are reported as skipped, with this reason. */
export interface Cannot {
  readonly cannot: string;
}

/** A backend under test. It must state each ability that it lacks, so that no case is skipped unnoticed. */
export interface CacheSubject<Client extends CacheClient = CacheClient> {
  readonly name: string;
  /**
   * Opens a client, which the suite closes. Clients of different namespaces must share nothing. The suite opens a new namespace for each
   * case.
   */
  open(options: OpenOptions): Promise<Client> | Client;
  /**
   * The size of the largest value that a client accepts, in bytes of its JSON text. `open` gets the same number. A small limit keeps the
   * suite fast.
   */
  readonly maxValueBytes: number | Cannot;
  /** Whether two clients that are opened with the same namespace share their entries. */
  readonly shared: true | Cannot;
  /** Evicts one document or one whole list without a call of the client's methods, like a store that runs out of memory. */
  readonly evict: ((target: LeaseTarget, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * Evicts one key of a list, in a backend that stores a list under several keys. `part` chooses the key: any natural number, modulo the
   * number of keys. Returns whether the key was present.
   */
  readonly evictPart: ((list: string, part: number, client: Client, namespace: string) => Promise<boolean> | boolean) | Cannot;
  /**
   * Writes these bytes at the key of a document, or at a key of a list, as another program could. The key is empty, and gets the type that the
   * backend uses there. Default: the cases that need it are skipped.
   */
  readonly plantBytes?: ((target: LeaseTarget, bytes: string, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * Replaces a key of a document or list by one of a type that the backend does not use there. `part` chooses the key: any natural number,
   * modulo the number of keys. Default: the cases that need it are skipped.
   */
  readonly plantType?: ((target: LeaseTarget, part: number, client: Client, namespace: string) => Promise<void> | void) | Cannot;
  /**
   * Lets time pass for the backend, ms. A subject that has it also passes `entryTtlMs`, `tombstoneTtlMs` and `absentTtlMs` of `open` to its client. Default:
   * the cases that need it are skipped.
   */
  readonly elapse?: ((ms: number) => Promise<void> | void) | Cannot;
}

/** The options of a client, which `cacheContract` chooses. */
export interface OpenOptions extends Partial<TimesToLive> {
  readonly namespace: string;
  /** The subject's `maxValueBytes`. Infinity if the subject has no limit. */
  readonly maxValueBytes: number;
}

/** The functions `describe` and `it` of vitest, node:test or jest. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  it: {
    (name: string, body: () => Promise<void>, timeout?: number): unknown;
    skip(name: string, body: () => Promise<void>): unknown;
  };
}

export interface ContractOptions {
  /** Number of random histories of each kind. Default: 300. */
  readonly histories?: number;
  /** The seed that a failed run printed, to repeat its histories. Default: random. */
  readonly seed?: number;
  /** Longest duration of one case, ms. Default: 120,000. */
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
  bulk,
  getOrLease,
  standing,
  surveys,
  lateRecords,
  expiry,
  foreignKeys,
  concurrency,
  closing,
  histories,
];

/**
 * Declares one test for each promise of `CacheClient`, and tests that compare random histories with a model after every step. A case that
 * needs an ability which the subject lacks is declared as skipped. Needs the package fast-check.
 */
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

/** Runs a case in a namespace of its own. */
async function run<Client extends CacheClient>(subject: CacheSubject<Client>, { run }: Case, options: ContractOptions): Promise<void> {
  const namespace = `contract-${randomUUID()}`;
  const { histories = 300, seed } = options;
  const { evict, evictPart, plantBytes, plantType, elapse } = subject;
  const maxValueBytes = typeof subject.maxValueBytes === 'number' ? subject.maxValueBytes : Infinity;
  const opened: Client[] = [];
  const open = async (ttls?: Partial<TimesToLive>): Promise<Client> => {
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
