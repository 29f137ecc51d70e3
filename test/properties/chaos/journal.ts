import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import type { Mutation, Outcome } from '../../../src/mutation.ts';
import type { Gap } from '../../../src/testing/index.ts';
import { versionOf } from '../../../src/version.ts';
import type { Projected } from '../world/table.ts';
import type { Garble } from './history.ts';
import type { Change } from './table.ts';

/** A record of the stream, and what has become of the record. */
export interface Written {
  readonly item: string;
  readonly stream: string;
  readonly shard: string;
  readonly number: string;
  /** Its place among the records of its item in this stream. */
  readonly place: number;
  /** The addresses at which it was not yet applied. `*`: it can never be applied. */
  readonly missing: Set<string>;
  /** The store took a letter of it. */
  lettered: boolean;
  /** The code that made a letter of it could not compute the old addresses of its item. */
  isBlind: boolean;
  /** A letter of it was redriven and removed. */
  redriven: boolean;
  /** The mapping reported a gap that contains it. */
  lost: boolean;
  /** The stream no longer has it. */
  trimmed: boolean;
  /** The image that cannot be decoded. `old`: the old addresses of its item are unknown. */
  readonly garbled: Garble;
}

interface Shard {
  readonly parent: string | undefined;
  readonly records: Written[];
  /** The number of first records that are dealt with. */
  handled: number;
}

/** The records of the streams, and how far each one is dealt with: applied, in a letter, or reported as lost. */
export class Journal {
  readonly #versions = new Map<string, Written>();
  readonly #numbers = new Map<string, Written>();
  readonly #shards = new Map<string, Shard>();
  readonly #items = new Map<string, { readonly records: Written[]; handled: number }>();
  /** Addresses that redrives forgot, at a newer version than that of the record by which the item left. */
  readonly forgotten = new Set<string>();

  get records(): Iterable<Written> {
    return this.#numbers.values();
  }

  /** Adds a shard. Each stream has its own names of shards. */
  opened(stream: string, shard: string, parent?: string): void {
    const id = `${stream} ${shard}`;
    if (!this.#shards.has(id)) this.#shards.set(id, { parent: parent && `${stream} ${parent}`, records: [], handled: 0 });
  }

  /** Adds a record. `change` is absent for a record that names no item. */
  wrote(record: StreamRecord, shard: string, change: Change | undefined): void {
    const stream = record.eventSourceARN ?? '';
    const number = record.dynamodb?.SequenceNumber ?? '';
    const item = change?.item ?? '';
    const ofItem = this.#items.get(`${stream} ${item}`) ?? { records: [], handled: 0 };
    this.#items.set(`${stream} ${item}`, ofItem);
    const places = [...(change?.before?.projected ?? []), ...(change?.after?.projected ?? [])];
    const missing = change ? new Set(places.map(addressOf)) : new Set(['*']);
    const place = ofItem.records.length;
    const garbled = change?.garbled ?? 'none';
    const written = {
      item,
      stream,
      shard,
      number,
      place,
      garbled,
      missing,
      lettered: false,
      isBlind: false,
      redriven: false,
      lost: false,
      trimmed: false,
    };
    if (change) {
      ofItem.records.push(written);
      this.#versions.set(versionOf(stream.slice(stream.lastIndexOf('/') + 1), number), written);
    }
    this.#numbers.set(`${stream} ${number}`, written);
    this.#shards.get(`${stream} ${shard}`)?.records.push(written);
  }

  find(stream: string | undefined, number: string | undefined): Written | undefined {
    return this.#numbers.get(`${stream} ${number}`);
  }

  ofVersion(version: string): Written | undefined {
    return this.#versions.get(version);
  }

  /** Notes an outcome. A rejected mutation counts as not applied. */
  acknowledged(mutation: Mutation, outcome: Outcome): void {
    if (outcome.type !== 'rejected') this.#versions.get(mutation.version)?.missing.delete(addressOf(mutation));
  }

  redrove(mutation: Mutation): void {
    if (mutation.type === 'forget') this.forgotten.add(addressOf(mutation));
  }

  /** Whether the earlier records of its item are dealt with. The worker does not know the item of a record that cannot be decoded. */
  isDue({ stream, item, place }: Written): boolean {
    const ofItem = this.#items.get(`${stream} ${item}`);
    if (!ofItem) return true;
    const isPast = (written: Written) => isHandled(written) || written.garbled !== 'none';
    while (ofItem.handled < place && isPast(ofItem.records[ofItem.handled] as Written)) ofItem.handled += 1;
    return ofItem.handled >= place;
  }

  /** The first record of a shard that is not dealt with, up to this sequence number or in the whole shard. */
  skipped(stream: string, shard: string, upTo: string | undefined): Written | undefined {
    const of = this.#shards.get(`${stream} ${shard}`);
    if (!of) return undefined;
    while (of.handled < of.records.length && isHandled(of.records[of.handled] as Written)) of.handled += 1;
    const first = of.records[of.handled];
    if (!first) return undefined;
    return upTo === undefined || BigInt(first.number) <= BigInt(upTo) ? first : undefined;
  }

  /** Marks every record as trimmed. */
  trim(): void {
    for (const written of this.records) written.trimmed = true;
  }

  /** Marks trimmed records as lost, because a mapping without checkpoints does not know of them. */
  loseTrimmed(): void {
    for (const written of this.records) if (written.trimmed && !isHandled(written)) written.lost = true;
  }

  /** Marks the records of a gap as lost, and returns their number. With a shard its parents and its unseen children may be gone. */
  gap(stream: string, { shardId, from, to, reason }: Gap): number {
    let lost = 0;
    const shards = reason === 'vanished' ? this.#kinOf(`${stream} ${shardId}`) : [`${stream} ${shardId}`];
    for (const written of shards.flatMap((id) => this.#shards.get(id)?.records ?? [])) {
      // The first record of a shard has a checkpoint before it is done.
      const isFrom = BigInt(written.number) >= BigInt(from.sequenceNumber ?? 0);
      const isTo =
        to?.sequenceNumber === undefined || BigInt(written.number) < BigInt(to.sequenceNumber) + (reason === 'expired' ? 1n : 0n);
      if (isHandled(written) || !isFrom || !isTo) continue;
      written.lost = true;
      lost += 1;
    }
    return lost;
  }

  /** A shard, its ancestors and its descendants. */
  #kinOf(id: string): string[] {
    const after = (parent: string): string[] =>
      [...this.#shards].flatMap(([id, shard]) => (shard.parent === parent ? [id, ...after(id)] : []));
    const before = (child: string): string[] => {
      const parent = this.#shards.get(child)?.parent;
      return parent === undefined ? [] : [parent, ...before(parent)];
    };
    return [...before(id), id, ...after(id)];
  }
}

export function isHandled({ missing, lettered, lost }: Written): boolean {
  return missing.size === 0 || lettered || lost;
}

function addressOf(place: Projected | Mutation): string {
  return place.kind === 'document' ? place.key : `${place.list} ${place.member}`;
}
