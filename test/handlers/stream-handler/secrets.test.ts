import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { redriveHandler } from '../../../src/handlers/redrive-handler.ts';
import type { Report } from '../../../src/sync/sync.ts';
import { modify, remove, streamEvent } from '../../../src/testing/events.ts';
import { handlerOf, letterBox, messagesOf, unprojectable, useFixedTime, views } from './scene.ts';

useFixedTime();

const OWNER = 'cart#hungry-7f3a';
const HASH = `#${createHash('sha256').update(OWNER).digest('hex').slice(0, 8)}`;
const line = { pk: OWNER, sk: 'product#1', quantity: 2 };
const broken = { ...line, quantity: 'plenty' };
const only = ({ Records: [record] }: { Records: readonly StreamRecord[] }) => record as StreamRecord;
const unprojectableLine = only(streamEvent([modify(line, broken)]));

/** Runs one record through a handler, and returns all that is said about it. */
async function saidOf(record: StreamRecord) {
  const box = letterBox();
  const reports: Report[] = [];
  const hook: unknown[] = [];
  const { handle, lines } = handlerOf({
    letters: box.store,
    onReport: (report) => reports.push(report),
    setAside: async (aside) => void hook.push(aside),
  });
  await handle(record);
  return { lines, reports, hook, box };
}

describe('a record whose key is secret', () => {
  it('is logged with a hash in place of the secret value, and the other keys in full', async () => {
    const { lines } = await saidOf(unprojectableLine);
    const aside = lines.find(({ message }) => message === 'record set aside');
    expect(aside).toMatchObject({ keys: { pk: HASH, sk: 'product#1' } });
    expect(messagesOf(aside)).toEqual([
      `view cart cannot project the new image of ["${HASH}","product#1"]: quantity is not a valid number`,
    ]);
    expect(JSON.stringify(lines)).not.toContain('hungry-7f3a');
  });

  it('is in its letter whole, but neither the causes nor the name of the letter show the key', async () => {
    const { box } = await saidOf(unprojectableLine);
    const [[name, text] = ['', '']] = [...box.texts];
    const { payload, ...rest } = JSON.parse(text);
    expect(payload).toContain(OWNER);
    expect(JSON.stringify(rest)).toContain(HASH);
    expect(`${name} ${JSON.stringify(rest)}`).not.toContain('hungry-7f3a');
  });

  it('is reported with the hash; the hook `setAside` gets the key itself, and beside it what a log may show', async () => {
    const { reports, hook } = await saidOf(unprojectableLine);
    const shownKeys = { pk: HASH, sk: 'product#1' };
    expect(reports).toMatchObject([{ records: [{ change: { item: `["${HASH}","product#1"]`, keys: shownKeys } }] }]);
    expect(hook).toMatchObject([{ change: { keys: { pk: OWNER, sk: 'product#1' } }, shownKeys, record: unprojectableLine }]);
  });

  it('is hashed too when no view takes the item', async () => {
    const { reports } = await saidOf(only(streamEvent([remove({ pk: 'session#s3cret', sk: 'x' })])));
    expect(JSON.stringify(reports)).not.toContain('s3cret');
  });

  it('is not named at all when the record cannot be decoded', async () => {
    const { dynamodb, ...rest } = unprojectableLine;
    const { lines } = await saidOf({ ...rest, dynamodb: { ...dynamodb, NewImage: { pk: { X: 1 } } } });
    expect(lines.find(({ message }) => message === 'record set aside')).toMatchObject({ keys: undefined });
    expect(JSON.stringify(lines)).not.toContain('hungry-7f3a');
  });

  it.each([
    ['its item cannot be projected', unprojectableLine, [{ item: broken }]],
    ['its old image cannot be projected', only(streamEvent([modify(broken, line)])), [{ item: line }]],
    ['its old image cannot be read', only(streamEvent([modify(line, line)])), [{ item: line }]],
    ['its item changes between every two reads', unprojectableLine, [1, 2, 3, 4].map((quantity) => ({ item: { ...line, quantity } }))],
  ])('is hashed in the line of the redrive, and in the letter that it keeps: %s', async (what, record, answers) => {
    const { dynamodb, ...rest } = record;
    const { box } = await saidOf(
      what.includes('cannot be read') ? { ...rest, dynamodb: { ...dynamodb, OldImage: { pk: { X: 1 } } } } : record,
    );
    const { lines, cache } = handlerOf();
    const log = (_: string, fields: object) => void lines.push({ level: 'warn', message: 'redrive', ...fields });
    let reads = 0;
    const table = {
      async read() {
        reads += 1;
        return [answers[Math.min(reads, answers.length) - 1] as { item: typeof line }];
      },
    };
    const redriven = redriveHandler({ views, cache, letters: box.store, table, logger: { info: log, warn: log, error: log } });
    expect(await redriven()).toMatchObject({ kept: 1 });
    const [text = ''] = [...box.texts.values()];
    const { cause } = JSON.parse(text).millrace.redrives;
    expect(cause).toContain(HASH);
    expect(JSON.stringify(lines)).toContain(HASH);
    expect(`${cause} ${JSON.stringify(lines)}`).not.toContain('hungry-7f3a');
  });
});

describe('a record whose key is not secret', () => {
  it('is logged with its keys in full', async () => {
    const { lines } = await saidOf(unprojectable('42', '7'));
    const aside = lines.find(({ message }) => message === 'record set aside');
    expect(aside).toMatchObject({ keys: { pk: 'order#42', sk: 'order' } });
    expect(messagesOf(aside)[0]).toContain('the new image of ["order#42","order"]');
  });
});
