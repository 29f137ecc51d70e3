import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSavedEvents } from '../../../src/cli/replay/saved-events.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-saved-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const eventSourceARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';
const record = (number: number) => ({
  eventID: String(number),
  eventName: 'INSERT',
  eventSource: 'aws:dynamodb',
  eventSourceARN,
  dynamodb: { Keys: { pk: { S: 'order#1' } }, NewImage: { pk: { S: 'order#1' } }, SequenceNumber: String(number) },
});
const withoutArn = ({ eventSourceARN: _, ...rest }: ReturnType<typeof record>) => rest;
const [one, two, three] = [record(1), record(2), record(3)];
const event = { Records: [one, two] };
const json = (value: unknown) => JSON.stringify(value);
const lines = (...values: readonly unknown[]) => values.map(json).join('\n');
const logged = { level: 'INFO', message: 'batch', timestamp: '2026-11-22T03:00:00.000Z', records: 2 };

async function read(text: string | Buffer, name = 'saved.json') {
  const file = join(folder, name);
  writeFileSync(file, text);
  return (await readSavedEvents([file]))[0];
}

describe('readSavedEvents', () => {
  it.each([
    ['an event', json(event), [one, two]],
    ['an event without records', '{"Records": []}', []],
    ['an empty array', '[]', []],
    ['one record', json(one), [one]],
    ['an array of records', json([one, two]), [one, two]],
    ['an array of events', json([event, { Records: [three] }]), [one, two, three]],
    ['an event a line', lines(event, { Records: [three] }), [one, two, three]],
    ['a record a line, with blank lines and carriage returns', `${json(one)}\r\n\r\n${json(two)}\r\n`, [one, two]],
    ['an array a line', lines([one], [two, three]), [one, two, three]],
    ['indented lines', `  ${json(one)}\n  ${json(two)}`, [one, two]],
    [
      'events over several lines each',
      `${JSON.stringify(event, null, 2)}\n${JSON.stringify({ Records: [three] }, null, 2)}\n`,
      [one, two, three],
    ],
    ['a byte order mark', `\uFEFF${json(event)}`, [one, two]],
    ['a log line of Powertools for TypeScript', json({ ...logged, message: 'Lambda invocation event', event }), [one, two]],
    ['a log line of Powertools for Python', json({ ...logged, message: event }), [one, two]],
    ['a log line of Powertools for Java, with JSON text', json({ ...logged, message: json(event) }), [one, two]],
    ['a log line of Powertools for .NET', json({ Level: 'Information', Message: event }), [one, two]],
    ['a log line with the event below another field', json({ ...logged, data: { input: { event } } }), [one, two]],
    ['a log line with one record', json({ ...logged, record: three }), [three]],
    ["a line of Lambda's JSON log", json({ time: '2026-11-22T03:00:00Z', level: 'INFO', requestId: 'r', message: event }), [one, two]],
    ['the payload of an asynchronous invocation', json({ version: '1.0', requestPayload: event, responsePayload: null }), [one, two]],
    [
      'the output of aws logs filter-log-events',
      json({ events: [{ message: `${json({ ...logged, event })}\n` }, { message: 'START' }] }),
      [one, two],
    ],
    ['the output of GetRecords with the ARN added', json({ Records: [one], NextShardIterator: 'i' }), [one]],
  ])('reads %s', async (_, text, records) => {
    expect(await read(text)).toMatchObject({ event: { Records: records }, skipped: 0 });
  });

  it.each([
    ['other lines of a logger', lines(logged, { ...logged, event }, { ...logged, level: 'WARN' }), 2],
    [
      'lines of metrics and of the platform',
      lines({ _aws: {}, Records: 1 }, { type: 'platform.start', record: {} }, { ...logged, event }),
      2,
    ],
    [
      'a log line with an event of another service',
      lines({ ...logged, event: { 'detail-type': 'x', detail: {} } }, { ...logged, event }),
      1,
    ],
  ])('skips and counts %s', async (_, text, skipped) => {
    expect(await read(text)).toMatchObject({ event: { Records: [one, two] }, skipped });
  });

  it.each([
    ['aws logs tail', '2026-11-22T03:00:00.123000+00:00 2026/11/22/[$LATEST]8bf3a '],
    ['sam logs', '2026/11/22/[$LATEST]8bf3a 2026-11-22T03:00:00.123000 '],
    ["Lambda's text format", '2026-11-22T03:00:00.123Z\t4f0e3c1a-6b1f-4c7e-9d58-0a2b3c4d5e6f\tINFO\t'],
  ])('reads lines with the prefix of %s', async (_, prefix) => {
    const text = ['START RequestId: r', json({ ...logged, event }), 'END RequestId: r', json({ ...logged, event: { Records: [three] } })];
    expect(await read(text.map((line) => prefix + line).join('\n'))).toMatchObject({ event: { Records: [one, two, three] } });
  });

  it.each([10, 100_000])('names arrays that are nested %i deep, and the way out', async (depth) => {
    await expect(read('['.repeat(depth) + ']'.repeat(depth))).rejects.toThrow(/its arrays are nested too deep for events: save the event/);
  });

  it('reads a file that PowerShell saved as UTF-16', async () => {
    const text = lines({ ...logged, event }, { ...one, eventID: 'é🍕' });
    const saved = await read(Buffer.from(`\uFEFF${text}`, 'utf16le'));
    expect(saved?.event.Records).toEqual([one, two, { ...one, eventID: 'é🍕' }]);
  });

  it('reads a file with more records than a call takes arguments', async () => {
    const records = Array.from({ length: 200_000 }, () => 1);
    expect((await read(json({ Records: records })))?.event.Records).toHaveLength(200_000);
  });

  it('reads .jsonl and .ndjson files of a folder, with the expectation beside them', async () => {
    const here = mkdtempSync(join(folder, 'folder-'));
    for (const name of ['b.jsonl', 'a.ndjson', 'c.json', 'd.txt']) writeFileSync(join(here, name), json(event));
    expect((await readSavedEvents([here])).map(({ file }) => file)).toEqual(
      ['a.ndjson', 'b.jsonl', 'c.json'].map((name) => join(here, name)),
    );
  });

  const sqs = { messageId: 'm', receiptHandle: 'h', body: '{"id":1}', eventSource: 'aws:sqs', eventSourceARN: 'arn:aws:sqs:eu-west-1:1:q' };
  const letter = { requestContext: { condition: 'Poison' }, DDBStreamBatchInfo: { streamArn: eventSourceARN } };
  it.each([
    ['an event of SQS', { Records: [sqs] }, /an event of Amazon SQS: its messages are not records of a DynamoDB stream: save/],
    [
      'letters in an event of SQS',
      { Records: [{ ...sqs, body: json(letter) }] },
      /Amazon SQS: its messages are dead letters without records/,
    ],
    ['the output of receive-message', { Messages: [{ Body: '{}' }] }, /an event of Amazon SQS: its messages/],
    ['an event of SNS', { Records: [{ EventSource: 'aws:sns', Sns: { Message: '{}' } }] }, /an event of Amazon SNS: its messages/],
    ['a notification of SNS', { Type: 'Notification', TopicArn: 'arn', Message: 'text' }, /an event of Amazon SNS/],
    [
      'an event of EventBridge',
      { 'detail-type': 'Order', source: 'shop', detail: {} },
      /an event of Amazon EventBridge \("Order"\): save the event/,
    ],
    ['a record in EventBridge', { 'detail-type': 'pipe', detail: one }, /Amazon EventBridge \("pipe"\): save its "detail"/],
    [
      'an event of Kinesis',
      { Records: [{ eventSource: 'aws:kinesis', kinesis: {} }] },
      /records of Kinesis Data Streams, which repeats and reorders/,
    ],
    ['a change in Kinesis', { Records: [{ eventSource: 'aws:dynamodb', kinesis: {}, dynamodb: {} }] }, /records of Kinesis Data Streams/],
    ['GetRecords of Kinesis', { Records: [{ Data: 'e30=', PartitionKey: 'p', SequenceNumber: '1' }] }, /records of Kinesis Data Streams/],
    [
      'an event of S3',
      { Records: [{ eventSource: 'aws:s3', s3: {} }] },
      /an event of Amazon S3: if its objects are dead letters, millrace redrive/,
    ],
    ['an event of Kafka', { eventSource: 'aws:kafka', records: {} }, /an event of Amazon MSK: save/],
    ['an event of an unknown source', { Records: [{ eventSource: 'aws:new' }] }, /an event of "aws:new": save/],
    ['an event of CloudFront', { Records: [{ cf: {} }] }, /an event of Amazon CloudFront/],
    ['an event of an HTTP API', { rawPath: '/', requestContext: { http: {} } }, /an event of an HTTP API/],
    ['an event of CloudWatch Logs', { awslogs: { data: 'H4s' } }, /an event of CloudWatch Logs/],
    ['a logged event of another service', { ...logged, event: { Records: [sqs] } }, /an event of Amazon SQS/],
    ['a log line without an event', logged, /no log line has an event of a DynamoDB stream: save/],
    ['a dead letter', { ...letter, payload: json(event) }, /a dead letter: millrace redrive takes dead letters up/],
    ['a dead letter of which only the payload is left', { payload: event }, /a dead letter: millrace redrive/],
    ['a dead letter without records', letter, /a dead letter without records, as SQS and SNS receive them: make the on-failure/],
    [
      'the output of GetRecords',
      { Records: [one, two].map(withoutArn), NextShardIterator: 'i' },
      /no eventSourceARN, as in the output of GetRecords.*Add it to each record: "eventSourceARN"/,
    ],
    ['a record without ARN', withoutArn(one), /no eventSourceARN/],
    ['items of a table', { Items: [{ pk: { S: 'order#1' } }], Count: 1 }, /items of a table, which are not records of its stream/],
    ['an item', { pk: { S: 'order#1' }, total: { N: '1' } }, /items of a table/],
    ['an export', { Metadata: {}, Keys: {}, NewImage: {} }, /an incremental export, which has no sequence numbers/],
    ['a part of a record', one.dynamodb, /the "dynamodb" part of a record: save/],
    ['another object', { records: [], name: 'x' }, /it has "records", "name", and is not an event of a DynamoDB stream: save/],
    ['an empty object', {}, /it is an empty object/],
    ['a number', 7, /it is a number/],
    ['an element of another service', [one, { Records: [sqs] }], /element 1: it is an event of Amazon SQS/],
    ['an element that is no object', [one, null], /element 1: it is null/],
  ])('names %s, and the way out', async (_, value, reason) => {
    const failure = await read(json(value)).catch((error: Error) => error.message);
    const [title, fault, ...more] = String(failure).split('\n  ');
    expect(title).toBe('nothing was replayed, because some files are faulty:');
    expect(fault).toMatch(new RegExp(`^${join(folder, 'saved.json')}:1: `));
    expect(fault).toMatch(reason);
    expect(more).toEqual([]);
  });

  it.each([
    ['a line that is cut short', lines(one, two).slice(0, -5), [2], /it is not JSON \(.*\): correct it/],
    ['a line that is not JSON', `${json(one)}\nhello\n${json(two)}`, [2], /it is not JSON/],
    ['a line of another service', lines(one, { Records: [sqs] }, two), [2], /Amazon SQS/],
    ['a comma after a line', `${json(one)},\n${json(two)},`, [1], /it is not JSON/],
    ['an event that is cut short', '{\n  "Records": [\n    {\n', [3], /it is not JSON/],
    ['a missing comma', JSON.stringify(event, null, 2).replace('"eventName": "INSERT",', '"eventName": "INSERT"'), [6], /it is not JSON/],
    ['an array with one record a line', `[\n${json(one)},\n${json(two)}\n${json(three)}\n]`, [4], /it is not JSON/],
    ['each of a few lines', lines(1, one, 2), [1, 3], /it is a number/],
    ['the first of many lines', lines(one, ...Array(9).fill(7)), [2, 3, 4, 5], /it is a number|this line and 5 more are faulty/],
  ])('names the line of %s', async (_, text, numbers, reason) => {
    const failure = await read(text, 'lines.jsonl').catch((error: Error) => error.message);
    const [, ...faults] = String(failure).split('\n  ');
    expect(faults.map((fault) => Number(fault.slice(join(folder, 'lines.jsonl').length + 1).split(':')[0]))).toEqual(numbers);
    for (const fault of faults) expect(fault).toMatch(reason);
  });

  it('names every faulty file', async () => {
    writeFileSync(join(folder, 'x.json'), '{');
    const failure = await readSavedEvents([join(folder, 'x.json'), join(folder, 'absent.json')]).catch((error: Error) => error.message);
    expect(failure).toMatch(/x\.json:1: it is not JSON.*\n.*absent\.json: there is no such file or folder: check the path$/);
  });
});
