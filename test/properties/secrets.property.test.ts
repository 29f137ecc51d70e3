import { createHash } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { marshall } from '@aws-sdk/util-dynamodb';
import * as fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import * as z from 'zod/mini';
import { memoryCache } from '../../src/caches/memory.ts';
import { changeLines } from '../../src/cli/dev/change-lines.ts';
import { printRedrive } from '../../src/cli/redrive/print.ts';
import { stderrLogger } from '../../src/cli/terminal.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { tableReader } from '../../src/dynamodb/table-reader.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { batchMetrics, redriveMetrics } from '../../src/handlers/metrics.ts';
import { redriveHandler } from '../../src/handlers/redrive-handler.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';
import { memoryStore } from '../letters/letters.ts';

const PLACE = { kind: 'folder', path: 'letters' } as const;

const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';

/** A secret is marked, so that any part of an output that has one can be found. */
const MARK = 's3cr3t';
const secret = fc.stringMatching(/^[a-z0-9]{6,12}$/).map((text) => `${MARK}-${text}`);

/** An entity whose keys are secret, one whose keys are not, and views of both that fail in every way. */
const ticket = entity({
  name: 'ticket',
  owns: ({ type }) => type === 'ticket',
  schema: z.object({
    pk: z.string(),
    sk: z.string(),
    type: z.literal('ticket'),
    fault: z.string(),
    value: z.string(),
    nested: z.record(z.string(), z.string()),
  }),
  secretKeys: ['pk', 'sk'],
});
const note = entity({
  name: 'note',
  owns: ({ type }) => type === 'note',
  schema: { parse: (item) => item as { pk: string; fault: string; value: string } },
});

class OddError extends Error {
  readonly item: unknown;
  constructor(message: string, item: unknown) {
    super(message, { cause: new Error(message) });
    this.item = item;
  }
}

function project<Entry>(item: { readonly pk: string; readonly fault: string; readonly value: string }, entry: Entry): readonly Entry[] {
  switch (item.fault) {
    case 'throws':
      throw new OddError(`cannot show ${JSON.stringify(item)}`, item);
    case 'throws lines':
      throw new Error(`cannot show\n    at ${item.pk} (${item.value}:1:1)\n${item.value}`);
    case 'throws an error that was reworded': {
      const error = new Error(`cannot show\n    at ${item.pk}`);
      // The stack keeps the first message.
      const stack = error.stack;
      error.message = 'the view failed';
      error.stack = stack;
      throw error;
    }
    case 'throws a text':
      throw `${item.pk} ${item.value}`;
    case 'gives twins':
      return [entry, entry];
    case 'gives a cycle': {
      const value: Record<string, unknown> = { secret: item.value };
      value.self = value;
      return [{ ...entry, value }];
    }
    default:
      return [entry];
  }
}
const tickets = documentView({
  name: 'tickets',
  revision: 1,
  entity: ticket,
  project: (item) => project(item, { key: item.pk, value: item }),
});
const byValue = listView({
  name: 'by-value',
  revision: 1,
  keep: 5,
  entity: ticket,
  project: (item) => project(item, { list: item.pk, score: 1, value: item }),
});
const notes = documentView({ name: 'notes', revision: 1, entity: note, project: (item) => project(item, { key: item.pk, value: item }) });
const views: readonly View[] = [tickets, byValue, notes, ...Object.values(shopViews)];

const FAULTS = [
  'none',
  'throws',
  'throws lines',
  'throws an error that was reworded',
  'throws a text',
  'gives twins',
  'gives a cycle',
  'too large',
  'of a wrong type',
  'without image',
  'in a strange form',
  'of a strange type',
] as const;

const past = fc.record({
  type: fc.constantFrom('ticket', 'note', 'cart', 'nothing'),
  kind: fc.constantFrom('INSERT', 'MODIFY', 'REMOVE'),
  fault: fc.constantFrom(...FAULTS),
  key: secret,
  sort: secret,
  value: secret,
  other: secret,
});
type Past = typeof past extends fc.Arbitrary<infer T> ? T : never;

/** A note's keys may be shown: they have no mark. */
const keysOf = ({ type, key, sort }: Past): { pk: string; sk: string } => {
  if (type === 'note') return { pk: `note#${hashOf(key)}`, sk: 'note' };
  if (type === 'cart') return { pk: `cart#${key}`, sk: `product#${hashOf(sort)}` };
  // Nobody knows what this item is, so what is secret of any entity is secret here.
  return { pk: `${type}#${key}`, sk: `${type}#${sort}` };
};

function recordOf(of: Past, n: number): StreamRecord {
  const keys = keysOf(of);
  const { kind, fault, value, other, type } = of;
  const item = {
    ...keys,
    type,
    fault,
    value: fault === 'too large' ? value.repeat(100) : value,
    nested: fault === 'of a wrong type' ? { [other]: 7 } : { [other]: other },
    quantity: fault === 'of a wrong type' ? value : 1,
  };
  const image = fault === 'in a strange form' ? { ...marshall(item), value: { S: value, N: other }, nested: value } : marshall(item);
  if (fault === 'of a strange type') Object.assign(image, { value: { [other]: value } });
  const missing = fault === 'without image';
  return {
    eventID: `event-${n}`,
    eventName: kind,
    eventSource: 'aws:dynamodb',
    eventSourceARN: ARN,
    dynamodb: {
      Keys: marshall(keys),
      ...(kind !== 'INSERT' && !missing && { OldImage: image }),
      ...(kind !== 'REMOVE' && !missing && { NewImage: image }),
      SequenceNumber: String(100_000_000_000_000_000_000n + BigInt(n)),
      StreamViewType: 'NEW_AND_OLD_IMAGES',
      ApproximateCreationDateTime: 1_795_000_000,
    },
  };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** Everything that is written to stdout and stderr. */
async function written(during: () => Promise<void>): Promise<string> {
  const texts: string[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      texts.push(String(chunk));
      return true;
    }),
  );
  try {
    await during();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return texts.join('');
}

interface Scene {
  readonly history: readonly Past[];
  readonly cacheIsDown: boolean;
  readonly tableAnswers: 'items' | 'nothing' | 'refusals' | 'outages';
  readonly poisonRunLimit: number;
}

/** All that the worker, `millrace dev` and the redrives say about a history, except the letters' payloads and what is in the cache. */
async function outputOf({ history, cacheIsDown, tableAnswers, poisonRunLimit }: Scene): Promise<string> {
  const records = history.map(recordOf);
  const sound = memoryCache({ maxValueBytes: 800 });
  const cache = {
    ...sound,
    apply: cacheIsDown ? () => Promise.reject(new CacheUnavailableError('no answer within 2000 ms')) : sound.apply,
  };
  const store = memoryStore();
  const said: string[] = [];
  const out = { write: (text: string) => said.push(text) } as unknown as NodeJS.WritableStream;
  const client = {
    async send({ input }: { input: { RequestItems: Record<string, { Keys: Record<string, { S: string }>[] }> } }) {
      const [[table = '', { Keys = [] } = {}] = []] = Object.entries(input.RequestItems);
      const [{ pk, sk } = {}] = Keys;
      if (tableAnswers === 'refusals') {
        throw Object.assign(new Error(`Type mismatch for key pk expected: N actual: S, value: ${pk?.S} ${sk?.S}`), {
          name: 'ValidationException',
        });
      }
      if (tableAnswers === 'outages') throw new Error('socket hang up');
      const of = new Map(history.map((one, n) => [JSON.stringify(marshall(keysOf(one))), recordOf({ ...one, kind: 'INSERT' }, n)]));
      const items = tableAnswers === 'nothing' ? [] : Keys.flatMap((key) => of.get(JSON.stringify(key))?.dynamodb?.NewImage ?? []);
      return { Responses: { [table]: items } };
    },
  };
  const table = tableReader({ client: client as never });
  said.push(
    await written(async () => {
      for (const logger of [new Logger(), stderrLogger]) {
        for (const json of [false, true]) {
          const lines = changeLines({ json, lag: true, show: false, letters: PLACE, out });
          const handler = streamHandler({
            views,
            cache,
            letters: store,
            logger,
            poisonRunLimit,
            retries: { forMs: 0 },
            metrics: batchMetrics(),
            onReport(report) {
              lines.report(report);
              // The address of a rejected value is for programs: a view made it of the item's values.
              said.push(
                JSON.stringify(report, (name, value) => (name === 'address' ? undefined : value instanceof Error ? value.message : value)),
              );
            },
            // A hook of an application, which logs what the record is, and why.
            setAside: async ({ shownKeys, causes }) =>
              logger.error('set aside', { keys: shownKeys, causes: causes.map(({ error }) => error.message) }),
          });
          said.push(JSON.stringify(await handler({ Records: records }, { functionName: 'sync' })));
        }
        said.push(JSON.stringify(await redriveHandler({ views, cache, letters: store, table, logger, metrics: redriveMetrics() })()));
      }
      for (const trustLetters of [false, true]) {
        const report = await redrive({ views, cache, store, filter: {}, ...(!trustLetters && { table }) });
        for (const { causes, name } of report.letters) said.push(name, ...causes.map(({ error }) => `${error.name}: ${error.message}`));
        printRedrive({ store: 'letters', place: PLACE, backend: 'memory', dryRun: false, trustLetters, ...report });
      }
    }),
  );
  for (const [name, text] of store.texts) {
    const { payload: _, ...rest } = JSON.parse(text);
    said.push(name, JSON.stringify(rest));
  }
  return said.join('\n');
}

it('shows no secret key and no value of an item in any log, metric, report, cause or message', { timeout: 300_000 }, async () => {
  const seen = { lines: 0, hashes: 0, kept: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        history: fc.array(past, { minLength: 1, maxLength: 8 }),
        cacheIsDown: fc.boolean(),
        tableAnswers: fc.constantFrom('items', 'nothing', 'refusals', 'outages'),
        poisonRunLimit: fc.constantFrom(0, 2),
      }),
      async (scene: Scene) => {
        const output = await outputOf(scene);
        const at = output.indexOf(MARK);
        expect(at === -1 ? '' : output.slice(Math.max(0, at - 200), at + 60)).toBe('');
        seen.lines += output.split('\n').length;
        for (const one of scene.history) if (output.includes(`#${hashOf(keysOf(one).pk)}`)) seen.hashes += 1;
        if (output.includes('cannot project the old image of')) seen.kept += 1;
      },
    ),
    { numRuns: 150 },
  );
  // The outputs say something, and name the items by their hashes.
  expect(seen.lines).toBeGreaterThan(5_000);
  expect(seen.hashes).toBeGreaterThan(100);
  expect(seen.kept).toBeGreaterThan(10);
});
