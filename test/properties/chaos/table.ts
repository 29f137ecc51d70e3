import type { BatchGetItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { itemOf } from '../../../src/change.ts';
import type { Marshalled, StreamRecord } from '../../../src/dynamodb/record.ts';
import type { View } from '../../../src/view.ts';
import type { Key } from '../world/items.ts';
import { type Image, Rows, rowOf, type Row as WorldRow } from '../world/table.ts';
import type { Garble } from './history.ts';

export interface Row extends WorldRow {
  readonly marshalled: Marshalled;
}

/** What a write did: the record for the stream, and the row before and after. */
export interface Change {
  readonly record: StreamRecord;
  readonly item: string;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
  readonly garbled: Garble;
}

/** The table, and what a stream and a BatchGetItem have of it. */
export class Table extends Rows<Row> {
  /** Whose member each member of each list is, or was last. */
  readonly #items = new Map<string, string>();
  readonly #views: readonly View[];
  /** Counts writes, so that each write differs. */
  clock = 0;

  constructor(views: readonly View[]) {
    super();
    this.#views = views;
  }

  /** Returns `undefined` when nothing changes. Then DynamoDB writes no record either. */
  write({ pk, sk }: Key, image: Image | undefined, how: { readonly expires: boolean; readonly garble: Garble }): Change | undefined {
    const key = { pk, sk };
    const item = itemOf(key);
    const before = this.rows.get(item);
    if (!before && !image) return undefined;
    if (image && before && JSON.stringify(image) === JSON.stringify(before.image)) return undefined;
    this.clock += 1;
    const after = image && { ...rowOf(this.#views, item, image), marshalled: marshall(image) };
    this.set(item, after);
    for (const place of after?.projected ?? []) if (place.kind === 'member') this.#items.set(`${place.list} ${place.member}`, item);
    const garbled = (how.garble === 'new' && after) || (how.garble === 'old' && before) ? how.garble : 'none';
    const images = {
      ...(after && { NewImage: garbled === 'new' ? garble(after.marshalled) : after.marshalled }),
      ...(before && { OldImage: garbled === 'old' ? garble(before.marshalled) : before.marshalled }),
    };
    const record: StreamRecord = {
      eventName: !before ? 'INSERT' : after ? 'MODIFY' : 'REMOVE',
      ...(how.expires && { userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' } }),
      dynamodb: { Keys: marshall(key), ...images, StreamViewType: 'NEW_AND_OLD_IMAGES' },
    };
    return { record, item, before, after, garbled };
  }

  /** The item whose member this is, or was last. */
  itemAt(list: string, member: string): string {
    return this.#items.get(`${list} ${member}`) ?? '';
  }

  /** The answer of DynamoDB to a BatchGetItem. Keys from place `most` on stay unprocessed. */
  batchGet({ input }: BatchGetItemCommand, most: number) {
    const [[arn, { Keys = [], ...request }]] = Object.entries(input.RequestItems ?? {}) as [[string, { Keys?: Key[] }]];
    const rows = Keys.slice(0, most).map((key) => this.rows.get(itemOf(plain(key))));
    const rest = Keys.slice(most);
    return {
      $metadata: {},
      Responses: { [arn]: rows.flatMap((row) => row?.marshalled ?? []) },
      UnprocessedKeys: rest.length === 0 ? {} : { [arn]: { Keys: rest, ...request } },
    };
  }
}

/** Gives an image an attribute of an unknown type. */
function garble(image: Marshalled): Marshalled {
  return { ...image, status: { Q: 'garbled' } };
}

function plain(key: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(key as Record<string, { S: string }>).map(([name, { S }]) => [name, S]));
}
