import type { DocumentView } from '../view.ts';

/**
 * Reads documents as `getMany` does, but each key answers by itself. In the order of the keys.
 *
 * @throws what ends the whole call: the reason of the signal, a wrong ticket, a reader that was closed
 */
type SettledReads = (
  view: DocumentView<unknown, unknown>,
  keys: readonly string[],
  options: object,
) => Promise<readonly PromiseSettledResult<unknown>[]>;

/** By the reader: `Reader` does not have this verb, because only adapters need it. */
const reads = new WeakMap<object, SettledReads>();

export function giveSettledReads(reader: object, read: SettledReads): void {
  reads.set(reader, read);
}

/** @throws TypeError when `createReader` did not make the reader */
export function settledReadsOf(reader: object): SettledReads {
  const read = reads.get(reader);
  if (!read) throw new TypeError('the reader was not made by createReader: pass what createReader returned');
  return read;
}
