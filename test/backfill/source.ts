import { marshall } from '@aws-sdk/util-dynamodb';
import { itemOf } from '../../src/change.ts';
import { attributesOf, type Marshalled } from '../../src/dynamodb/record.ts';
import type { ScannedTable, ScanPlace } from '../../src/dynamodb/scanned-table.ts';

/** A table in memory, whose items can be scanned and read by key. */
export interface Source extends ScannedTable {
  readonly items: Map<string, Marshalled>;
  put(item: Readonly<Record<string, unknown>>): void;
  /** What was asked: scans by their places, and keys that were read. */
  readonly scans: ScanPlace[];
  readonly reads: number[];
}

/** The items of a segment are those whose place in the table, modulo the number of segments, is the segment. */
export function sourceOf(items: readonly Readonly<Record<string, unknown>>[], pageSize = 2): Source {
  const source: Source = {
    keys: ['pk', 'sk'],
    items: new Map(),
    scans: [],
    reads: [],
    put(item) {
      source.items.set(itemOf({ pk: item.pk, sk: item.sk }), marshall(item));
    },
    async scan(place, signal) {
      signal.throwIfAborted();
      source.scans.push(place);
      const { segment, segments, after } = place;
      const some = [...source.items.values()].filter((_, i) => i % segments === segment);
      const start = after ? some.findIndex((item) => nameOf(item) === nameOf(after)) + 1 : 0;
      const page = some.slice(start, start + pageSize);
      const last = page.at(-1);
      return { items: page, units: 1, ...(last && start + pageSize < some.length && { next: { pk: last.pk, sk: last.sk } }) };
    },
    async reading(signal) {
      signal.throwIfAborted();
      return async (keys) => {
        source.reads.push(keys.length);
        const answers = keys.map((key) => {
          const item = source.items.get(nameOf(key));
          return item ? { item: attributesOf(item) } : {};
        });
        return { answers, units: keys.length };
      };
    },
  };
  for (const item of items) source.put(item);
  return source;
}

function nameOf(item: Marshalled): string {
  const { pk, sk } = attributesOf({ pk: item.pk, sk: item.sk });
  return itemOf({ pk, sk });
}
