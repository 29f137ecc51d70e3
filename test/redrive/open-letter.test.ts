import { describe, expect, it } from 'vitest';
import type { PlainCause } from '../../src/cause.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { MalformedLetterError, MalformedRecordError } from '../../src/errors.ts';
import { letterText } from '../../src/letters/letter.ts';
import { openLetter } from '../../src/redrive/open-letter.ts';
import { insert, modify, remove, streamEvent } from '../../src/testing/events.ts';
import { documentsOf } from '../plan/fixtures.ts';

const place = { ...documentsOf(() => [], 'place'), revision: 2 };
const views = [documentsOf(() => [], 'other'), place];
const [old, now] = [
  { pk: 'a', n: 1 },
  { pk: 'a', n: 2 },
];
const recordsOf = (...steps: Parameters<typeof streamEvent>[0]) => streamEvent(steps, { keys: ['pk'] }).Records;
const viewCause = (view: string): PlainCause => ({ stage: 'view', view, error: { name: 'ViewError', message: 'it threw' } });
const textOf = (records: readonly StreamRecord[], causes?: readonly PlainCause[]) =>
  letterText({ records, condition: 'Poison', at: new Date('2026-11-20T21:30:00Z'), causes });
const open = (text: string, filter: Parameters<typeof openLetter>[1] = {}) => openLetter(views, filter, 'a letter', text);
/** The causes as `stage: message`. */
const causesOf = (text: string) => open(text)?.causes.map(({ stage, error }) => `${stage}: ${error.message}`);
const withBody = (record: StreamRecord | undefined, body: object): StreamRecord => ({
  ...record,
  dynamodb: { ...record?.dynamodb, ...body },
});

describe('openLetter', () => {
  it('gives the letter, and one hint for each record', () => {
    const opened = open(textOf(recordsOf(insert(old), modify(old, now), remove({ pk: 'b', n: 3 }))));
    expect(opened).toMatchObject({ name: 'a letter', letter: { condition: 'Poison' }, records: 3, causes: [] });
    expect(opened?.hints).toMatchObject([
      { table: 'TestTable', item: '["a"]', key: { pk: { S: 'a' } }, before: {}, after: { attributes: old } },
      { item: '["a"]', before: { attributes: old }, after: { attributes: now } },
      { item: '["b"]', before: { attributes: { pk: 'b', n: 3 } }, after: {} },
    ]);
  });

  it.each(['', '{', 'null', '{"payload":"{}"}'])('keeps the text %j, which is not a letter', (text) => {
    const opened = open(text);
    expect(opened).toEqual({
      name: 'a letter',
      records: 0,
      hints: [],
      causes: [{ stage: 'letter', error: expect.any(MalformedLetterError) }],
    });
    expect(opened).not.toHaveProperty('letter');
  });

  it('keeps a letter without records, and says what to do', () => {
    expect(open(textOf([]))).toMatchObject({ letter: { condition: 'Poison' }, records: 0, hints: [] });
    expect(causesOf(textOf([]))).toEqual(['letter: it has no records: resync the table, and remove the letter']);
  });

  it('leaves a letter alone that the filter does not take', () => {
    const text = textOf(recordsOf(insert(old)), [viewCause('place@2')]);
    for (const filter of [{ table: 'another' }, { cause: 'decode' }]) expect(open(text, filter)).toBeUndefined();
    for (const filter of [{ table: 'TestTable' }, { cause: 'view' }]) expect(open(text, filter)).toMatchObject({ records: 1 });
  });

  it('takes a text that is not a letter for one of any table, and for one without a cause', () => {
    expect(open('no letter', { table: 'another' })).toMatchObject({ records: 0 });
    expect(open('no letter', { cause: 'decode' })).toBeUndefined();
  });

  it.each(['place@2', 'place@1', 'other@1'])('takes a letter about %s, which this code has at that revision or a later one', (view) => {
    expect(causesOf(textOf(recordsOf(insert(old)), [viewCause(view)]))).toEqual([]);
  });

  it.each(['place@3', 'foreign@1'])('keeps a letter about %s, which belongs to a later deployment', (view) => {
    const opened = open(textOf(recordsOf(insert(old)), [viewCause(view)]));
    expect(opened?.causes).toEqual([{ stage: 'view', view, error: expect.any(Error) }]);
    expect(opened?.causes[0]?.error.message).toBe(
      `view ${view}, which the letter is about, is not in this code: redrive the letter by the code that has that view; if the view is gone for good, remove the letter`,
    );
    // Its items are settled all the same.
    expect(opened?.hints).toHaveLength(1);
  });

  it('names each foreign view once, and passes by causes without a view', () => {
    const decode: PlainCause = { stage: 'decode', error: { name: 'Error', message: 'no Keys' } };
    const causes = [viewCause('foreign@1'), decode, viewCause('place@2'), viewCause('foreign@1'), viewCause('place@3')];
    expect(open(textOf(recordsOf(insert(old)), causes))?.causes.map(({ view }) => view)).toEqual(['foreign@1', 'place@3']);
  });

  it('takes a letter about a view whose revision is not a number, because the view of that name may have it', () => {
    expect(causesOf(textOf(recordsOf(insert(old)), [viewCause('place')]))).toEqual([]);
  });

  it('keeps a letter with a record that does not tell its item, beside the hints of the others', () => {
    const [record, other] = recordsOf(insert(old), insert({ pk: 'b' }));
    const opened = open(textOf([withBody(record, { Keys: undefined }), other as StreamRecord]));
    expect(opened).toMatchObject({ records: 2, hints: [{ item: '["b"]' }] });
    expect(opened?.causes).toEqual([{ stage: 'decode', error: expect.any(MalformedRecordError) }]);
    expect(opened?.causes[0]?.error.message).toMatch(/^record 0 \(INSERT, SequenceNumber \d+\): it has no Keys/);
  });

  it('keeps a letter with a record whose old image is missing, and says where an outdated entry may remain', () => {
    const [record, other] = recordsOf(modify(old, now), insert({ pk: 'b' }));
    const opened = open(textOf([withBody(record, { OldImage: undefined, StreamViewType: 'NEW_IMAGE' }), other as StreamRecord]));
    expect(opened).toMatchObject({ records: 2, hints: [{ before: { error: expect.any(Error) }, after: { attributes: now } }, {}] });
    expect(opened?.causes).toEqual([{ stage: 'decode', error: expect.any(Error) }]);
    expect(opened?.causes[0]?.error.message).toBe(
      `MODIFY without OldImage (the stream is NEW_IMAGE): the table's stream must be NEW_AND_OLD_IMAGES; where ["a"] was before is not known, so an outdated entry may remain there: resync the table, and remove the letter`,
    );
  });

  it('keeps a letter with a record whose old image cannot be read', () => {
    const [record] = recordsOf(remove(old));
    expect(causesOf(textOf([withBody(record, { OldImage: { pk: { X: 'a' } } })]))).toEqual([
      'decode: OldImage: attribute "pk" is of type "X", which DynamoDB does not have; where ["a"] was before is not known, so an outdated entry may remain there: resync the table, and remove the letter',
    ]);
  });

  it('takes a letter with a record whose new image is missing or cannot be read, because the table has the item', () => {
    const [record] = recordsOf(insert(old));
    for (const NewImage of [undefined, { pk: { X: 'a' } }]) {
      const opened = open(textOf([withBody(record, { NewImage })]));
      expect(opened).toMatchObject({ hints: [{ after: { error: expect.any(Error) } }], causes: [] });
    }
  });

  it('goes by the stream of the letter where a record does not name its own', () => {
    const [record] = recordsOf(insert(old));
    const { eventSourceARN, ...bare } = record as StreamRecord;
    const letter = JSON.parse(textOf([bare]));
    expect(open(JSON.stringify(letter))?.causes).toMatchObject([{ stage: 'decode' }]);
    letter.DDBStreamBatchInfo.streamArn = eventSourceARN;
    expect(open(JSON.stringify(letter))).toMatchObject({ hints: [{ table: 'TestTable' }], causes: [] });
  });

  it('has the causes of the letter before those of its records', () => {
    const [record] = recordsOf(insert(old));
    const text = textOf([withBody(record, { SequenceNumber: undefined })], [viewCause('foreign@1')]);
    expect(open(text)?.causes.map(({ stage }) => stage)).toEqual(['view', 'decode']);
  });
});
