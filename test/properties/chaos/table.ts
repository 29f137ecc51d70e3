import type { BatchGetItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Found, LeaseTarget } from '../../../src/cache.ts';
import { itemOf } from '../../../src/change.ts';
import type { Marshalled, StreamRecord } from '../../../src/dynamodb/record.ts';
import type { View } from '../../../src/view.ts';
import type { Key } from '../world/items.ts';
import { type Image, type Projected, project } from '../world/table.ts';
import { isCursed } from '../world/views.ts';
import type { Garble } from './history.ts';

export interface Row {
  readonly item: string;
  readonly image: Image;
  readonly marshalled: Marshalled;
  readonly projected: readonly Projected[];
  /** Views that throw on this row until they are mended. */
  readonly cursed: readonly string[];
}

export interface Member {
  readonly row: Row;
  readonly member: string;
  readonly score: number;
  readonly json: string;
}

/** What a write did: the record for the stream, and what it was and is. */
export interface Change {
  readonly record: StreamRecord;
  readonly item: string;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
  readonly garbled: Garble;
}

/** The table, and with it the oracle of what views should hold, by code that is not under test. */
export class Table {
  readonly rows = new Map<string, Row>();
  /** Every document and list that any image ever projected to. */
  readonly documents = new Map<string, { readonly view: string; readonly item: string }>();
  readonly lists = new Map<string, { readonly view: string; readonly keep: number }>();
  readonly #members = new Map<string, string>();
  readonly #views: readonly View[];
  /** Counts writes: makes each another. */
  clock = 0;

  constructor(views: readonly View[]) {
    this.#views = views;
  }

  /** Undefined when nothing changes: then DynamoDB writes no record either. */
  write({ pk, sk }: Key, image: Image | undefined, how: { readonly expires: boolean; readonly garble: Garble }): Change | undefined {
    const key = { pk, sk };
    const item = itemOf(key);
    const before = this.rows.get(item);
    if (!before && !image) return undefined;
    if (image && before && JSON.stringify(image) === JSON.stringify(before.image)) return undefined;
    this.clock += 1;
    const after = image && this.#row(item, image);
    if (after) this.rows.set(item, after);
    else this.rows.delete(item);
    for (const place of after?.projected ?? []) {
      if (place.kind === 'document') this.documents.set(place.key, { view: place.view, item });
      else {
        this.lists.set(place.list, { view: place.view, keep: place.keep });
        this.#members.set(`${place.list} ${place.member}`, item);
      }
    }
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

  /** Whose member that ever was. */
  itemAt(list: string, member: string): string {
    return this.#members.get(`${list} ${member}`) ?? '';
  }

  documentAt(key: string): Projected | undefined {
    const item = this.documents.get(key)?.item;
    return item === undefined ? undefined : this.rows.get(item)?.projected.find((place) => place.kind === 'document' && place.key === key);
  }

  /** Greatest score first; ties in no particular order. */
  membersOf(list: string): readonly Member[] {
    const members: Member[] = [];
    for (const row of this.rows.values()) {
      for (const place of row.projected) {
        if (place.kind === 'member' && place.list === list) members.push({ row, ...place });
      }
    }
    return members.sort((a, b) => b.score - a.score);
  }

  /** What a reader finds for the cache. `stumbles`: its code cannot project this row into this view. */
  find(target: LeaseTarget, stumbles: (row: Row, view: string) => boolean): Found | undefined {
    if (target.kind === 'document') {
      const { view = '', item = '' } = this.documents.get(target.key) ?? {};
      const row = this.rows.get(item);
      if (row && stumbles(row, view)) return undefined;
      const json = this.documentAt(target.key)?.json;
      return { kind: 'document', ...(json !== undefined && { json }) };
    }
    const members = this.membersOf(target.list);
    const view = this.lists.get(target.list)?.view ?? '';
    if (members.some(({ row }) => stumbles(row, view))) return undefined;
    const newest = members.slice(0, target.keep).map(({ member, score, json }) => ({ member, score, json }));
    return { kind: 'list', newest, next: members[target.keep]?.score };
  }

  get targets(): LeaseTarget[] {
    const documents = [...this.documents.keys()].map((key) => ({ kind: 'document', key }) as const);
    return [...documents, ...[...this.lists].map(([list, { keep }]) => ({ kind: 'list', list, keep }) as const)];
  }

  /** As DynamoDB answers a BatchGetItem; keys from `most` on it does not get round to. */
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

  #row(item: string, image: Image): Row {
    const cursed = this.#views.filter((view) => view.entity.owns(image) && isCursed(view.name, image)).map(({ name }) => name);
    return { item, image, marshalled: marshall(image), projected: project(this.#views, item, image), cursed };
  }
}

/** With an attribute of a type that there is not. */
function garble(image: Marshalled): Marshalled {
  return { ...image, status: { Q: 'garbled' } };
}

function plain(key: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(key as Record<string, { S: string }>).map(([name, { S }]) => [name, S]));
}
