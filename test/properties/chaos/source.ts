import { itemOf } from '../../../src/change.ts';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { type MemoryStream, memoryStream } from '../../../src/testing/index.ts';
import { type Key, lineAfter, lineKey, orderAfter, orderKey, show, strangerAfter } from '../world/items.ts';
import type { Image } from '../world/table.ts';
import type { Act, Garble } from './history.ts';
import { type Change, Table } from './table.ts';
import type { World } from './world.ts';

type WriteAct = Extract<Act, { readonly type: 'order' | 'line' | 'stranger' | 'garbage' }>;

/** More shards find no further faults. */
const MOST_SHARDS = 6;
/** DynamoDB keeps stream records for 24 hours. */
const RETENTION_MS = 86_400_000;

/** The table with its writers, and its streams, one after the other. */
export class Source {
  readonly table: Table;
  stream: MemoryStream;
  /** Whether a replay has every record, because none was trimmed. */
  isWhole = true;
  readonly #world: World;
  readonly #streams: MemoryStream[] = [];
  #writers = 0;

  constructor(world: World) {
    this.#world = world;
    this.table = new Table(world.views);
    this.stream = this.#open();
  }

  /** Whether records of an item may come in another order than they were written. */
  get isRenewed(): boolean {
    return this.#streams.length > 1;
  }

  get isIdle(): boolean {
    return this.#writers === 0;
  }

  write(act: WriteAct): void {
    const { plain } = this.#world.history;
    switch (act.type) {
      case 'order':
        void this.#update(orderKey(act), act.lag, plain ? 'none' : act.garble, (old) => orderAfter(act, old, this.table.clock, plain));
        return;
      case 'line': {
        const expires = act.how === 'expire';
        void this.#update(lineKey(act), act.lag, plain ? 'none' : act.garble, () => lineAfter(act, this.table.clock, plain), expires);
        return;
      }
      case 'stranger': {
        const item = strangerAfter(act.n, this.table.clock);
        void this.#update(item, 0, 'none', () => item);
        return;
      }
      case 'garbage':
        if (plain) return;
        this.#world.tally.add('records that name no item');
        this.#append(garbage(act.kind), undefined);
    }
  }

  /** Closes a shard. Its items go on in one or two new shards. */
  close(how: 'split' | 'roll', n: number): void {
    const { open } = this.stream;
    const shard = open[n % open.length];
    if (shard === undefined || (how === 'split' && open.length >= MOST_SHARDS)) return;
    this.#world.tally.add(how === 'split' ? 'shards split' : 'shards rolled');
    const children = how === 'split' ? this.stream.split(shard) : [this.stream.roll(shard)];
    for (const child of children) this.#world.journal.opened(this.stream.arn, child, shard);
  }

  /** The stream is disabled and enabled. */
  renew(): void {
    this.#world.tally.add('streams renewed');
    for (const shard of this.stream.open) this.stream.close(shard);
    this.stream = this.#open();
  }

  /** Drops the records that are older than 24 hours. */
  trim(): void {
    this.isWhole = false;
    for (const stream of this.#streams) stream.trim(new Date(this.#world.clock.now() - RETENTION_MS));
  }

  #open(): MemoryStream {
    const { clock, journal, history } = this.#world;
    // A new stream may begin at low numbers, as that of a restarted DynamoDB Local does.
    const sequenceNumber = this.#streams.length === 0 ? undefined : 1n;
    const label = new Date(Date.UTC(2026, 10, 22, 3, 1, 52 + this.#streams.length, 91)).toISOString().slice(0, -1);
    const { shards, pageSize } = history.mapping;
    const stream = memoryStream({ table: 'shop', label, shards, pageSize, clock, ...(sequenceNumber && { sequenceNumber }) });
    this.#streams.push(stream);
    for (const shard of stream.open) journal.opened(stream.arn, shard);
    return stream;
  }

  /** A conditional write. An item that has changed since it was read is read again. */
  async #update(
    key: Key,
    lag: number,
    garble: Garble,
    after: (old: Image | undefined) => Image | undefined,
    expires = false,
  ): Promise<void> {
    const { clock, tally, tell } = this.#world;
    const read = () => this.table.rows.get(itemOf({ pk: key.pk, sk: key.sk }))?.image;
    this.#writers += 1;
    let old = read();
    if (lag > 0) await clock.sleep(lag);
    if (read() !== old) tally.add('writes that lost their race');
    old = read();
    this.#writers -= 1;
    const image = after(old);
    const change = this.table.write(key, image, { expires, garble });
    if (!change) return;
    const { eventName, dynamodb } = this.#append(change.record, change);
    tally.add('records written');
    if (change.garbled !== 'none') tally.add('records spoilt');
    tell?.(`${clock.now()} written: ${eventName} ${change.item} ${dynamodb?.SequenceNumber}: ${show(image)} (garbled: ${change.garbled})`);
  }

  #append(record: StreamRecord, change: Change | undefined): StreamRecord {
    const shard = this.stream.shardOf(record);
    const [appended = record] = this.stream.append(record);
    this.#world.journal.wrote(appended, shard, change);
    return appended;
  }
}

function garbage(kind: 'keyless' | 'truncate'): StreamRecord {
  const image = { pk: { S: 'garbage' }, sk: { S: 'none' } };
  if (kind === 'keyless') return { eventName: 'MODIFY', dynamodb: { NewImage: image, OldImage: image } };
  return { eventName: 'TRUNCATE', dynamodb: { Keys: image, NewImage: image } };
}
