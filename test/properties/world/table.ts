import { marshall } from '@aws-sdk/util-dynamodb';
import type { Found, LeaseTarget } from '../../../src/cache.ts';
import { itemOf } from '../../../src/change.ts';
import { decodeRecord, type StreamRecord } from '../../../src/dynamodb/record.ts';
import { keyOf, type View } from '../../../src/view.ts';
import { isCursed } from './views.ts';

/** What a row is in a view, computed without the code under test. */
export type Projected = { readonly view: string; readonly json: string } & (
  | { readonly kind: 'document'; readonly key: string }
  | { readonly kind: 'member'; readonly list: string; readonly keep: number; readonly member: string; readonly score: number }
);

export interface Row {
  readonly item: string;
  readonly image: Image;
  readonly projected: readonly Projected[];
  /** Views that throw on this row until they are mended. */
  readonly cursed: ReadonlySet<string>;
}

/** What a row is in one list. */
export interface Member {
  readonly row: Row;
  readonly member: string;
  readonly score: number;
  readonly json: string;
}

export type Image = Readonly<Record<string, unknown>> & { readonly pk: string; readonly sk: string };

/** A change of the table, and its record in the stream. */
export interface Written {
  readonly event: StreamRecord;
  readonly item: string;
  /** The number of the stream, among the successive streams of the table. */
  readonly stream: number;
  readonly number: string;
  /** The true order of all changes. */
  readonly clock: number;
  readonly row: Row | undefined;
}

/** How a stream numbers its records. */
export interface Numbering {
  readonly from: bigint;
  readonly digits: number;
}

/** A renewed stream may begin at low numbers, as that of a restarted DynamoDB Local does. */
const LATER: Numbering = { from: 1n, digits: 21 };

/** The items of a table, and what its views should hold of them. */
export class Rows<R extends Row = Row> {
  readonly rows = new Map<string, R>();
  /** Every document and list that any image ever projected to. */
  readonly documents = new Map<string, { readonly view: string; readonly item: string }>();
  readonly lists = new Map<string, { readonly view: string; readonly keep: number }>();

  /** Without a row the item is deleted. */
  protected set(item: string, row: R | undefined): void {
    if (row) this.rows.set(item, row);
    else this.rows.delete(item);
    for (const place of row?.projected ?? []) {
      if (place.kind === 'document') this.documents.set(place.key, { view: place.view, item });
      else this.lists.set(place.list, { view: place.view, keep: place.keep });
    }
  }

  /** What the table has at the address of a document. */
  documentAt(key: string): Projected | undefined {
    const item = this.documents.get(key)?.item;
    return item === undefined ? undefined : this.rows.get(item)?.projected.find((place) => place.kind === 'document' && place.key === key);
  }

  /** The members of a list, greatest score first. Members of one score come in no particular order. */
  membersOf(list: string): readonly (Member & { readonly row: R })[] {
    const members = [];
    for (const row of this.rows.values()) {
      for (const place of row.projected) {
        if (place.kind === 'member' && place.list === list)
          members.push({ row, member: place.member, score: place.score, json: place.json });
      }
    }
    return members.sort((a, b) => b.score - a.score);
  }

  /** Every document and list that a reader may fill. */
  get targets(): readonly LeaseTarget[] {
    const documents = [...this.documents.keys()].map((key) => ({ kind: 'document', key }) as const);
    return [...documents, ...[...this.lists].map(([list, { keep }]) => ({ kind: 'list', list, keep }) as const)];
  }

  /** What a reader finds for the cache. `undefined`: the reader cannot project a row into the view, as `throws` says. */
  find(target: LeaseTarget, throws: (row: R, view: string) => boolean): Found | undefined {
    if (target.kind === 'document') {
      const { view = '', item = '' } = this.documents.get(target.key) ?? {};
      const row = this.rows.get(item);
      if (row && throws(row, view)) return undefined;
      const json = this.documentAt(target.key)?.json;
      return { kind: 'document', ...(json !== undefined && { json }) };
    }
    const members = this.membersOf(target.list);
    const view = this.lists.get(target.list)?.view ?? '';
    if (members.some(({ row }) => throws(row, view))) return undefined;
    const newest = members.slice(0, target.keep).map(({ member, score, json }) => ({ member, score, json }));
    return { kind: 'list', newest, next: members[target.keep]?.score };
  }
}

/** A table in memory with a stream of NEW_AND_OLD_IMAGES. */
export class Table extends Rows {
  /** By the version that the decoder gives. */
  readonly written = new Map<string, Written>();
  readonly #views: readonly View[];
  #numbering: Numbering;
  #stream = 0;
  #next: bigint;
  #clock = 0;

  constructor(views: readonly View[], first: Numbering) {
    super();
    this.#views = views;
    this.#numbering = first;
    this.#next = first.from;
  }

  get clock(): number {
    return this.#clock;
  }

  /** The stream is disabled and enabled. */
  renewStream(): void {
    this.#stream += 1;
    this.#numbering = LATER;
    this.#next = LATER.from;
  }

  /** Returns `undefined` when nothing changes. Then DynamoDB writes no record either. */
  write(key: { readonly pk: string; readonly sk: string }, image: Image | undefined, by: 'user' | 'ttl' = 'user'): Written | undefined {
    const item = itemOf(key);
    const before = this.rows.get(item);
    if (!before && !image) return undefined;
    const row = image && rowOf(this.#views, item, image);
    if (row && before && JSON.stringify(row.image) === JSON.stringify(before.image)) return undefined;
    this.set(item, row);
    return this.#record(item, key, before?.image, row, by);
  }

  #record(item: string, key: object, before: Image | undefined, row: Row | undefined, by: 'user' | 'ttl'): Written {
    const number = String(this.#next).padStart(this.#numbering.digits, '0');
    this.#next += 1n;
    this.#clock += 1;
    const label = new Date(Date.UTC(2026, 10, 22, 3, 1, 52 + this.#stream, 91)).toISOString().slice(0, -1);
    const event: StreamRecord = {
      eventID: `${this.#stream}-${number}`,
      eventName: !before ? 'INSERT' : row ? 'MODIFY' : 'REMOVE',
      eventSource: 'aws:dynamodb',
      eventSourceARN: `arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/${label}`,
      ...(by === 'ttl' && { userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' } }),
      dynamodb: {
        ApproximateCreationDateTime: 1_795_316_512,
        Keys: marshall(key),
        ...(row && { NewImage: marshall(row.image) }),
        ...(before && { OldImage: marshall(before) }),
        SequenceNumber: number,
        StreamViewType: 'NEW_AND_OLD_IMAGES',
      },
    };
    const written = { event, item, stream: this.#stream, number, clock: this.#clock, row };
    this.written.set(decodeRecord(event, 0).version, written);
    return written;
  }
}

/** The row of an item: its image, what it is in these views, and the views that throw on it. */
export function rowOf(views: readonly View[], item: string, image: Image): Row {
  const cursed = views.filter((view) => view.entity.owns(image) && isCursed(view.name, image));
  return { item, image, projected: project(views, item, image), cursed: new Set(cursed.map(({ name }) => name)) };
}

/** What an item is in these views, computed without the code under test. */
export function project(views: readonly View[], item: string, image: Readonly<Record<string, unknown>>): readonly Projected[] {
  const projected: Projected[] = [];
  for (const view of views) {
    if (!view.entity.owns(image)) continue;
    const parsed = view.entity.schema.parse(image);
    if (view.kind === 'document') {
      for (const { key, value } of view.project(parsed)) {
        projected.push({ view: view.name, kind: 'document', key: keyOf(view, key), json: JSON.stringify(value) });
      }
    } else {
      for (const { list, score, value, member = item } of view.project(parsed)) {
        const json = JSON.stringify(value);
        projected.push({ view: view.name, kind: 'member', list: keyOf(view, list), keep: view.keep, member, score, json });
      }
    }
  }
  return projected;
}
