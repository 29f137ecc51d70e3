import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryCache } from '../../../src/caches/memory.ts';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { letterName } from '../../../src/letters/letter.ts';
import type { SetAside } from '../../../src/sync/sync.ts';
import { documentView } from '../../../src/view.ts';
import { views as shop } from '../../../src/views/index.ts';
import {
  ARN,
  bare,
  CANARY,
  failing,
  faults,
  handlerOf,
  type Image,
  insert,
  letterBox,
  modify,
  NOW,
  orderViews,
  SEQUENCE,
  sad,
  useFixedTime,
} from './scene.ts';

useFixedTime();

describe('the hooks of streamHandler', () => {
  it('gives `setAside` the whole record with its causes', async () => {
    const letters: SetAside<StreamRecord>[] = [];
    const { handle } = handlerOf({ setAside: async (letter) => void letters.push(letter) });
    const poison = bare('a', SEQUENCE);
    await handle(insert('b', '1'), poison);
    expect(letters).toEqual([{ record: poison, index: 1, change: undefined, causes: [{ stage: 'decode', error: expect.any(Error) }] }]);
  });

  it('does not log a record as set aside when `setAside` throws', async () => {
    const { handle, lines } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
    await handle(bare('a', SEQUENCE));
    expect(lines.map(({ message }) => message)).not.toContain('record set aside');
  });

  it('gives `onReport` what became of each record', async () => {
    const reports: unknown[] = [];
    const { handle } = handlerOf({ onReport: (report) => void reports.push(report) });
    await handle(insert('a', '1'), bare('b', '2'));
    expect(reports).toMatchObject([
      {
        records: [
          { status: 'done', applied: 4 },
          { status: 'done', causes: [{ stage: 'decode' }] },
        ],
      },
    ]);
  });
});

describe('the dead letters of streamHandler', () => {
  it('writes the record, byte for byte, and all causes into a dead letter', async () => {
    const { store, texts } = letterBox();
    const { handler, lines } = handlerOf({ letters: store });
    const poison = modify('a', SEQUENCE, { numItems: sad, note: { S: 'a "ü" \ud83c\udf55\n' } });
    const context = { awsRequestId: 'request-1', invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync' };
    expect(await handler({ Records: [insert('b', '1'), poison] }, context)).toEqual({ batchItemFailures: [] });
    const [[name, text] = ['', '']] = texts;
    expect(texts.size).toBe(1);
    expect(name).toBe(letterName(poison));
    expect(JSON.parse(text)).toMatchObject({
      requestContext: { requestId: 'request-1', functionArn: context.invokedFunctionArn, condition: 'Poison' },
      timestamp: new Date(NOW).toISOString(),
      DDBStreamBatchInfo: { startSequenceNumber: SEQUENCE, endSequenceNumber: SEQUENCE, batchSize: 1, streamArn: ARN },
      payload: JSON.stringify({ Records: [poison] }),
      millrace: { causes: orderViews.map((view) => ({ stage: 'view', view, error: { name: 'ViewError' } })) },
    });
    expect(lines).toMatchObject([
      { message: 'record set aside', letter: name },
      { message: 'batch', setAside: 1 },
    ]);
  });

  it('answers only after the letter is written', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: { ...store, put: (...letter) => gate.then(() => store.put(...letter)) } });
    let answered = false;
    const answer = handle(bare('a', SEQUENCE)).then((given) => {
      answered = true;
      return given;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([answered, texts.size]).toEqual([false, 0]);
    open();
    expect([await answer, texts.size]).toEqual([{ batchItemFailures: [] }, 1]);
  });

  it('calls a letter rejected when the cache rejected every value, and poison otherwise', async () => {
    const moody = documentView({ ...shop.detail, name: 'moody', project: () => [{ key: '', value: 1 }] });
    const large = { status: { S: 'x'.repeat(100) } };
    for (const [of, condition, stages] of [
      [[shop.detail], 'Rejected', ['rejected']],
      [[shop.detail, moody], 'Poison', ['view', 'rejected']],
    ] as const) {
      const { store, letters } = letterBox();
      await handlerOf({ views: of, letters: store, cache: memoryCache({ maxValueBytes: 100 }) }).handle(insert('a', SEQUENCE, large));
      expect(letters()).toMatchObject([{ condition, causes: stages.map((stage) => ({ stage })) }]);
    }
  });

  it.each([undefined, '', 'seven'])('writes a letter for a record with the sequence number %j too', async (sequenceNumber) => {
    const { store, letters } = letterBox();
    const odd = insert('a', sequenceNumber);
    expect(await handlerOf({ letters: store }).handle(insert('b', '1'), odd)).toEqual({ batchItemFailures: [] });
    expect(letters()).toMatchObject([{ event: { Records: [JSON.parse(JSON.stringify(odd))] }, causes: [{ stage: 'decode' }] }]);
  });

  it('fails the record of a letter that cannot be written, and writes the same letter at the retry', async () => {
    const { store, letters } = letterBox(1);
    const { handle, lines } = handlerOf({ letters: store });
    const batch = [insert('a', '1'), bare('b', '2'), insert('c', '3'), bare('d', '4')];
    expect((await handle(...batch)).batchItemFailures).toEqual([{ itemIdentifier: '2' }]);
    expect(letters()).toMatchObject([{ event: { Records: [{ eventID: 'event-of-d' }] } }]);
    expect(lines.filter(({ message }) => message === 'record set aside')).toMatchObject([{ index: 3 }]);
    expect(lines.at(-1)).toMatchObject({ level: 'warn', setAside: 1, failed: 1, error: { message: 'the bucket is away' } });
    expect(await handle(...batch.slice(1))).toEqual({ batchItemFailures: [] });
    expect(letters().map(({ event }) => event.Records[0]?.eventID)).toEqual(['event-of-d', 'event-of-b']);
  });

  it('throws when the letter of a record without a sequence number cannot be written', async () => {
    const { store } = letterBox(1);
    await expect(handlerOf({ letters: store }).handle(insert('a', '1'), bare('b', undefined))).rejects.toThrow('the bucket is away');
  });

  it('writes the letter before it calls `setAside`, and fails the record when `setAside` throws', async () => {
    const { store, texts } = letterBox();
    const calls: unknown[] = [];
    await handlerOf({ letters: store, setAside: async ({ index }) => void calls.push({ index, letters: texts.size }) }).handle(
      bare('a', SEQUENCE),
    );
    expect([calls, texts.size]).toEqual([[{ index: 0, letters: 1 }], 1]);
    const { handle } = handlerOf({ letters: store, setAside: () => Promise.reject(new Error('the queue is full')) });
    expect((await handle(bare('a', SEQUENCE))).batchItemFailures).toEqual([{ itemIdentifier: SEQUENCE }]);
  });

  it.each(faults)('writes values of the item into the payload alone when %s', async (fault, record, options) => {
    const { store, texts } = letterBox();
    await handlerOf({ letters: store, cache: memoryCache(options) }).handle(record);
    for (const [name, text] of texts) {
      const { payload, ...rest } = JSON.parse(text);
      expect(payload).toContain(CANARY);
      expect(name + JSON.stringify(rest)).not.toContain(CANARY);
    }
    expect(texts.size).toBe(fault === 'all is well' ? 0 : 1);
  });

  it('does not quote in a letter what a view throws', async () => {
    const quoting = documentView({
      ...shop.detail,
      project: ({ status }) => {
        throw new Error(`I do not like ${status}`);
      },
    });
    const { store, letters } = letterBox();
    await handlerOf({ views: [quoting], letters: store }).handle(modify('a', '1', { status: sad }));
    expect(letters()).toMatchObject([{ causes: [{ error: { message: expect.stringContaining('it threw Error') } }] }]);
    expect(JSON.stringify(letters().map(({ causes }) => causes))).not.toContain(CANARY);
  });

  it('writes a letter for each poison record and for no other, whatever fails how often', async () => {
    const kind = fc.constantFrom('good', 'poison', 'undecodable', 'large');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ item: fc.constantFrom('a', 'b', 'c', 'd'), kind }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.integer({ min: 1, max: 10 }),
        async (history, outages, size) => {
          const sound = memoryCache({ maxValueBytes: 1_000 });
          const box = letterBox();
          const { handler } = handlerOf({ poisonRunLimit: 0, ...failing(outages, sound, box.store) });
          const records = history.map(({ item, kind }, i) => {
            const more: Record<typeof kind, Image> = {
              good: {},
              poison: { numItems: { S: 'x' } },
              undecodable: {},
              large: { status: { S: 'x'.repeat(2_000) } },
            };
            const record = modify(item, String(i + 1), { status: { S: `state ${i}` }, ...more[kind] });
            return kind === 'undecodable' ? { ...record, dynamodb: { ...record.dynamodb, NewImage: undefined } } : record;
          });
          for (let [at, attempts] = [0, 0]; at < records.length; attempts += 1) {
            if (attempts > 200) throw new Error(`record ${at} is never done`);
            const batch = records.slice(at, at + size);
            const [failure] = (await handler({ Records: batch })).batchItemFailures;
            at = failure ? Number(failure.itemIdentifier) - 1 : at + batch.length;
          }
          const dead = records.filter((_, i) => history[i]?.kind !== 'good');
          expect([...box.texts.keys()].sort()).toEqual(dead.map(letterName).sort());
          expect(
            box
              .letters()
              .map(({ raw }) => raw.payload)
              .sort(),
          ).toEqual(dead.map((record) => JSON.stringify({ Records: [record] })).sort());
          for (const item of new Set(history.map(({ item }) => item))) {
            const last = history.findLastIndex((it) => it.item === item && it.kind !== 'undecodable');
            const found = await sound.get(`detail@1:${item}`);
            if (last >= 0 && history[last]?.kind === 'good')
              expect(found).toMatchObject({ type: 'hit', value: { status: `state ${last}` } });
            else expect(found.type).toBe('miss');
          }
        },
      ),
    );
  });
});
