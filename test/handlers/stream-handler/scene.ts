import { afterEach, beforeEach, vi } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { type MemoryOptions, memoryCache } from '../../../src/caches/memory.ts';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { type StreamAnswer, type StreamHandlerOptions, streamHandler } from '../../../src/handlers/stream-handler.ts';
import { parseLetter } from '../../../src/letters/letter.ts';
import type { LetterStore } from '../../../src/letters/store.ts';
import type { View } from '../../../src/view.ts';
import { views as shop } from '../../../src/views/index.ts';
import { memoryStore } from '../../letters/letters.ts';

export const views: readonly View[] = Object.values(shop);
/** The names of the views that an order is projected by. */
export const orderViews = views.filter(({ entity }) => entity === shop.detail.entity).map(({ name, revision }) => `${name}@${revision}`);
export const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';
export const NOW = Date.parse('2026-11-20T21:30:00Z');
export const SEQUENCE = '418800000000000004200117';

export type Image = NonNullable<NonNullable<StreamRecord['dynamodb']>['Keys']>;

const order = (id: string, more: Image = {}): Image => ({
  pk: { S: `order#${id}` },
  sk: { S: 'order' },
  id: { S: id },
  createdAt: { S: '2026-11-20T21:00:00Z' },
  status: { S: 'placed' },
  numItems: { N: '0' },
  items: { L: [] },
  creator: { S: 'olive' },
  ...more,
});

/** An order that was placed a minute before `NOW`. */
export function insert(id: string, sequenceNumber: string | undefined, more: Image = {}): StreamRecord {
  const image = order(id, more);
  return {
    eventID: `event-of-${id}`,
    eventName: 'INSERT',
    eventSourceARN: ARN,
    dynamodb: {
      ApproximateCreationDateTime: NOW / 1_000 - 60,
      Keys: { pk: image.pk, sk: image.sk },
      NewImage: image,
      SequenceNumber: sequenceNumber,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

export function modify(id: string, sequenceNumber: string, more: Image): StreamRecord {
  const { dynamodb, ...rest } = insert(id, sequenceNumber, more);
  return { ...rest, eventName: 'MODIFY', dynamodb: { ...dynamodb, OldImage: order(id) } };
}

/** A record that cannot be decoded, because its image is missing. */
export function bare(id: string, sequenceNumber: string | undefined): StreamRecord {
  const { dynamodb, ...rest } = insert(id, sequenceNumber);
  return { ...rest, dynamodb: { ...dynamodb, NewImage: undefined } };
}

/** A record that the views of orders cannot project. */
export function unprojectable(id: string, sequenceNumber: string): StreamRecord {
  return modify(id, sequenceNumber, { numItems: { S: 'plenty' } });
}

export interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: unknown;
  readonly [key: string]: unknown;
}

export function messagesOf(line: Line | undefined): string[] {
  return (line?.causes as { error: Error }[] | undefined)?.map(({ error }) => error.message) ?? [];
}

function logbook() {
  const lines: Line[] = [];
  const at =
    (level: Line['level']) =>
    (message: unknown, ...extra: unknown[]) =>
      void lines.push(Object.assign({ level, message }, ...extra));
  return { lines, logger: { info: at('info'), warn: at('warn'), error: at('error') } };
}

/** A cache that gives no answer for the named orders. */
export function downFor(...ids: string[]): CacheClient {
  const sound = memoryCache();
  return {
    ...sound,
    async apply(mutations) {
      if (mutations.some((mutation) => mutation.kind === 'document' && ids.some((id) => mutation.key.endsWith(`:${id}`)))) {
        throw new CacheUnavailableError('no answer within 2000 ms');
      }
      return sound.apply(mutations);
    },
  };
}

export const CANARY = 'canary-tweets';
export const sad = { S: CANARY };

/** Faults whose messages could quote the item. */
export const faults: readonly [string, StreamRecord, MemoryOptions?][] = [
  ['all is well', modify('a', '1', { status: sad, note: sad })],
  ['the schema refuses the new image', modify('a', '1', { numItems: sad, note: sad })],
  ['the schema refuses a date', modify('a', '1', { createdAt: sad })],
  ['the schema refuses something nested', modify('a', '1', { items: { L: [{ M: { size: { N: '1' }, [CANARY]: sad } }] } })],
  ['an attribute has an unknown type', modify('a', '1', { status: { X: CANARY } })],
  ['an attribute is no object', modify('a', '1', { status: CANARY })],
  [
    'an image is missing',
    { ...modify('a', '1', { status: sad }), eventName: 'REMOVE', dynamodb: { ...insert('a', '1', { status: sad }).dynamodb } },
  ],
  ['the cache rejects the value', modify('a', '1', { status: sad }), { maxValueBytes: 50 }],
];

/** Letters in memory. The first `failures` calls of `put` fail. */
export function letterBox(failures = 0) {
  const { texts, ...sound } = memoryStore();
  let calls = 0;
  const store: LetterStore = {
    ...sound,
    async put(name, text) {
      calls += 1;
      const fails = calls <= failures;
      await undefined;
      if (fails) throw new Error('the bucket is away');
      await sound.put(name, text);
    },
  };
  return { store, texts, calls: () => calls, letters: () => [...texts.values()].map(parseLetter) };
}

/** A cache and a store of letters with shared outages. Each `true` fails one call of either, in the order of the calls. */
export function failing(outages: readonly boolean[], cache: CacheClient, store: LetterStore): { cache: CacheClient; letters: LetterStore } {
  let calls = 0;
  const fails = () => {
    calls += 1;
    return outages[calls - 1] === true;
  };
  return {
    cache: { ...cache, apply: async (all) => (fails() ? Promise.reject(new CacheUnavailableError('away')) : cache.apply(all)) },
    letters: { ...store, put: async (...letter) => (fails() ? Promise.reject(new Error('away')) : store.put(...letter)) },
  };
}

/** A handler without retries, its log, and its cache. */
export function handlerOf({ cache = memoryCache(), ...options }: Partial<StreamHandlerOptions> & { readonly cache?: CacheClient } = {}) {
  const { lines, logger } = logbook();
  const handler = streamHandler({ views, logger, retries: { forMs: 0 }, ...options, cache });
  return { cache, lines, handle: (...Records: StreamRecord[]) => handler({ Records }), handler };
}

/** The sequence number from which the stream delivers again. */
export async function failureOf(answer: Promise<StreamAnswer>): Promise<string | undefined> {
  return (await answer).batchItemFailures[0]?.itemIdentifier;
}

/** Stops the calendar at `NOW` for each test of a file. Timers run. */
export function useFixedTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}
