import DataLoader from 'dataloader';
import { asError } from '../errors.ts';
import type { DocumentView } from '../view.ts';
import type { DocumentOptions, Reader } from './reader.ts';
import { settledReadsOf } from './settled-reads.ts';

/**
 * Makes a DataLoader of a reader: the loads of one tick become one `getMany`. A load gives the value, or `undefined` if there is no such item. A load
 * that fails rejects as `get` does, and fails no other load.
 *
 * The loader remembers each value and each error until `clear`, so make one loader per request.
 *
 * @param options of all loads
 * @throws TypeError when `createReader` did not make the reader
 */
export function loaderOf<Item, Value>(
  reader: Reader,
  view: DocumentView<Item, Value>,
  options: DocumentOptions<Value> = {},
): DataLoader<string, Value | undefined> {
  const read = settledReadsOf(reader);
  return new DataLoader(async (keys) => {
    const results = await read(view as DocumentView<unknown, unknown>, keys, options);
    return results.map((result) => (result.status === 'fulfilled' ? (result.value as Value | undefined) : asError(result.reason)));
  });
}
