import { createHash } from 'node:crypto';
import {
  type AttributeValue,
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  type DynamoDBClient,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { sleep } from './time.ts';

export type Image = Readonly<Record<string, unknown>>;

interface FakeIndex {
  readonly partition: string;
  readonly sort: string;
  /** A global index lags behind the table, and has no consistent reads. */
  readonly isGlobal?: boolean;
}

export interface FakeTableOptions {
  readonly name: string;
  /** The partition key and the sort key. */
  readonly keys: readonly [string, string];
  readonly indexes: Readonly<Record<string, FakeIndex>>;
  readonly random: () => number;
  /** The longest lag of a global index, ms. */
  readonly lagMs: number;
}

/** How the answers of a fake table are. */
export interface Mood {
  /** The most items of a page, if the query allows more. */
  readonly mostItems: number;
  /** The longest time before and after a read, ms each. */
  readonly latencyMs: number;
  /** The share of throttled calls. */
  readonly throttled: number;
  /** The share of BatchGetItem calls with unprocessed keys. */
  readonly unprocessed: number;
}

export const GOOD_MOOD: Mood = { mostItems: Infinity, latencyMs: 0, throttled: 0, unprocessed: 0 };

interface Kept {
  readonly image: Image | undefined;
  /** When a global index shows it, by `performance.now`. */
  readonly visibleAt: number;
}

/** A table in memory, for the commands that a reader sends. One call of it is one moment of the table. */
export class FakeTable {
  mood: Mood = GOOD_MOOD;
  /** Called when a call is throttled, or no key of a call is processed. */
  onFault = (): void => {};
  /** Items by their primary keys: the history of each, the newest last. */
  readonly #items = new Map<string, Kept[]>();
  readonly #options: FakeTableOptions;

  constructor(options: FakeTableOptions) {
    this.#options = options;
  }

  get client(): Pick<DynamoDBClient, 'send'> {
    const send = (command: unknown, { abortSignal }: { readonly abortSignal?: AbortSignal } = {}) => this.#send(command, abortSignal);
    return { send } as never;
  }

  /** @returns when a global index shows the write, by `performance.now` */
  write(key: Image, image: Image | undefined): number {
    const { lagMs, random } = this.#options;
    const name = this.#nameOf(key);
    const past = this.#items.get(name) ?? [];
    const visibleAt = Math.max(past.at(-1)?.visibleAt ?? 0, performance.now() + random() * 0.9 * lagMs);
    this.#items.set(name, [...past, { image, visibleAt }]);
    return visibleAt;
  }

  images(): readonly Image[] {
    return this.#visible(undefined);
  }

  #visible(at: number | undefined): readonly Image[] {
    return [...this.#items.values()].flatMap(
      (past): Image | readonly Image[] => past.findLast(({ visibleAt }) => at === undefined || visibleAt <= at)?.image ?? [],
    );
  }

  #nameOf(image: Image): string {
    return JSON.stringify(this.#options.keys.map((name) => image[name]));
  }

  async #send(command: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    const { mood } = this;
    const { random } = this.#options;
    signal?.throwIfAborted();
    await this.#pass(signal);
    if (random() < mood.throttled) {
      this.onFault();
      throw Object.assign(new Error('Throughput exceeds the current capacity'), { name: 'ProvisionedThroughputExceededException' });
    }
    const answer = this.#answer(command);
    await this.#pass(signal);
    return answer;
  }

  async #pass(signal: AbortSignal | undefined): Promise<void> {
    const { latencyMs } = this.mood;
    if (latencyMs > 0) await sleep(this.#options.random() * latencyMs, undefined, signal && { signal });
  }

  #answer(command: unknown): BatchGetItemCommandOutput | QueryCommandOutput {
    if (command instanceof BatchGetItemCommand) return this.#batchGet(command.input.RequestItems ?? {});
    if (command instanceof QueryCommand) return this.#query(command.input);
    throw new Error(`the fake table does not know ${(command as object).constructor.name}`);
  }

  #batchGet(request: NonNullable<BatchGetItemCommand['input']['RequestItems']>): BatchGetItemCommandOutput {
    const { random, name } = this.#options;
    const { Keys = [], ConsistentRead } = request[name] ?? {};
    const names = Keys.map((key) => this.#nameOf(unmarshall(key)));
    if (Keys.length === 0 || Keys.length > 100 || new Set(names).size < names.length || !ConsistentRead) throw invalid('BatchGetItem');
    const isProcessed = random() < this.mood.unprocessed ? names.map(() => random() < 0.5) : names.map(() => true);
    if (!isProcessed.includes(true)) this.onFault();
    const items = names.flatMap((item, i): Image | readonly Image[] =>
      isProcessed[i] ? (this.#items.get(item)?.at(-1)?.image ?? []) : [],
    );
    const left = Keys.filter((_, i) => !isProcessed[i]);
    return {
      $metadata: {},
      // In no order.
      Responses: { [name]: items.toSorted(() => random() - 0.5).map(marshalled) },
      ...(left.length > 0 && { UnprocessedKeys: { [name]: { Keys: left, ConsistentRead } } }),
      ConsumedCapacity: [{ TableName: name, CapacityUnits: names.length - left.length }],
    };
  }

  #query(input: QueryCommandInput): QueryCommandOutput {
    const { indexes, keys, random } = this.#options;
    const { IndexName, ExclusiveStartKey, Limit = Infinity, ConsistentRead, ScanIndexForward } = input;
    const index = IndexName === undefined ? undefined : indexes[IndexName];
    if ((IndexName !== undefined && !index) || ScanIndexForward !== false || (index?.isGlobal && ConsistentRead)) throw invalid('Query');
    const { partition, sort } = index ?? { partition: keys[0], sort: keys[1] };
    const fits = conditionOf(input, partition, sort);
    const rows = this.#visible(index?.isGlobal || !ConsistentRead ? performance.now() : undefined)
      .filter((image) => image[partition] !== undefined && image[sort] !== undefined && fits(image))
      .sort((a, b) => this.#compare(b, a, sort));
    const start = ExclusiveStartKey && unmarshall(ExclusiveStartKey);
    const rest = start ? rows.filter((image) => this.#compare(image, start, sort) < 0) : rows;
    const most = Math.min(Limit, Number.isFinite(this.mood.mostItems) ? 1 + Math.floor(random() * this.mood.mostItems) : Infinity);
    const items = rest.slice(0, most);
    const last = items.at(-1);
    // A page that was cut at its limit has a key to start from, even if nothing follows.
    const isCut = last !== undefined && items.length >= most;
    return {
      $metadata: {},
      Items: items.map(marshalled),
      ...(isCut && {
        LastEvaluatedKey: marshalled(Object.fromEntries([...new Set([...keys, partition, sort])].map((key) => [key, last[key]]))),
      }),
      ConsumedCapacity: { CapacityUnits: 0.5 * Math.max(1, items.length) },
    };
  }

  /** By the sort key. Items of an index that tie come in an order of their own. */
  #compare(a: Image, b: Image, sort: string): number {
    const [left, right] = [a[sort], b[sort]];
    if (typeof left === 'number' && typeof right === 'number' && left !== right) return left - right;
    return (
      Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right))) ||
      (this.#tie(a) < this.#tie(b) ? -1 : this.#tie(a) > this.#tie(b) ? 1 : 0)
    );
  }

  readonly #ties = new Map<string, string>();

  #tie(image: Image): string {
    const name = this.#nameOf(image);
    const tie = this.#ties.get(name) ?? createHash('md5').update(name).digest('hex');
    this.#ties.set(name, tie);
    return tie;
  }
}

function conditionOf(input: QueryCommandInput, partition: string, sort: string): (image: Image) => boolean {
  const { KeyConditionExpression = '', ExpressionAttributeNames: names = {}, ExpressionAttributeValues: given = {} } = input;
  const values = unmarshall(given);
  const FORM = /^#p = :p(?: AND (?:(#s <= :from)|(#s BETWEEN :begin AND :from)|(begins_with\(#s, :begin\))))?$/;
  const [form, isUpTo, isBetween, begins] = FORM.exec(KeyConditionExpression) ?? [];
  if (form === undefined || names['#p'] !== partition || (form !== '#p = :p' && names['#s'] !== sort)) throw invalid('Query');
  const compare = (a: unknown, b: unknown): number => {
    if (typeof a !== typeof b) throw invalid('Query');
    return typeof a === 'number' && typeof b === 'number' ? a - b : Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
  };
  return (image) => {
    if (image[partition] !== values[':p']) return false;
    if (isUpTo) return compare(image[sort], values[':from']) <= 0;
    if (isBetween) return compare(image[sort], values[':begin']) >= 0 && compare(image[sort], values[':from']) <= 0;
    return !begins || String(image[sort]).startsWith(values[':begin']);
  };
}

function marshalled(image: Image): Record<string, AttributeValue> {
  return marshall(image, { removeUndefinedValues: true });
}

function invalid(what: string): Error {
  return Object.assign(new Error(`${what} has a form that the fake table does not know`), { name: 'ValidationException' });
}
