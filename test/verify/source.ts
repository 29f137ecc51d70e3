import type { Attributes } from '../../src/change.ts';
import { attributesOf } from '../../src/dynamodb/record.ts';
import type { VerifiedTable } from '../../src/verify/table.ts';
import { type Source, sourceOf } from '../backfill/source.ts';

/** A table in memory that can be scanned, read by key, and queried by its partition key. */
export type QueriedSource = Source & VerifiedTable & { readonly queries: number };

export function queriedSource(items: readonly Readonly<Record<string, unknown>>[], pageSize = 100): QueriedSource {
  const source = sourceOf(items, pageSize);
  let queries = 0;
  return Object.assign(source, {
    get queries() {
      return queries;
    },
    async query({ partition, sort }: Parameters<VerifiedTable['query']>[0]) {
      queries += 1;
      const found: Attributes[] = [...source.items.values()].map((item) => attributesOf(item));
      const selected = found.filter(
        (item) =>
          item[partition.name] === partition.value &&
          (sort?.beginsWith === undefined || String(item[sort.name]).startsWith(sort.beginsWith)),
      );
      return { items: selected, units: 1 };
    },
  });
}
