import { describe, expect, it } from 'vitest';
import { oldestFirst } from '../../src/letters/oldest-first.ts';
import { lambdaName, memoryStore } from './letters.ts';

/** The name of a letter of the worker. */
const worker = (time: string) => `millrace/shop/2026/11/22/${time}-418800000000000004200117-0123456789abcdef.json`;
const undated = 'millrace/unknown-table/undated/undated-unnumbered-0123456789abcdef.json';
const storeOf = (...names: string[]) => memoryStore(Object.fromEntries(names.map((name) => [name, ''])));

const store = storeOf(worker('2026-11-22T03.00.05'), lambdaName(1), lambdaName(9), 'redrive/position', 'other.json');

describe('oldestFirst', () => {
  it('sorts letters by the times in their names, whichever service wrote the letters', async () => {
    expect(await oldestFirst(store)).toEqual([lambdaName(1), worker('2026-11-22T03.00.05'), lambdaName(9)]);
  });

  it('begins with the name that it is given, and ends with the names before that one', async () => {
    expect(await oldestFirst(store, { from: worker('2026-11-22T03.00.04') })).toEqual([
      worker('2026-11-22T03.00.05'),
      lambdaName(9),
      lambdaName(1),
    ]);
    expect(await oldestFirst(store, { from: lambdaName(9) })).toEqual([lambdaName(9), lambdaName(1), worker('2026-11-22T03.00.05')]);
    expect(await oldestFirst(store, { from: lambdaName(30) })).toEqual(await oldestFirst(store));
    expect(await oldestFirst(store, { from: lambdaName(0) })).toEqual(await oldestFirst(store));
  });

  it('puts letters of the worker without a time first, and leaves out other objects', async () => {
    const mixed = storeOf(lambdaName(1), undated, 'notes/2026.txt', 'redrive/position');
    expect(await oldestFirst(mixed)).toEqual([undated, lambdaName(1)]);
  });

  it('sorts letters of one second by their names', async () => {
    const names = ['b', 'c', 'a'].map((name) => `${name}/2026-11-22T03.00.05`);
    expect(await oldestFirst(storeOf(...names))).toEqual([...names].sort());
  });

  it('takes letters at or after `since` and before `until`, and none without a time', async () => {
    const names = [1, 2, 3].map((n) => lambdaName(n));
    const dated = storeOf(undated, ...names);
    const at = (n: number) => new Date(Date.UTC(2026, 10, 22, 3, 0, n));
    expect(await oldestFirst(dated, { since: at(2) })).toEqual(names.slice(1));
    expect(await oldestFirst(dated, { until: at(2) })).toEqual(names.slice(0, 1));
    expect(await oldestFirst(dated, { since: at(2), until: at(3) })).toEqual(names.slice(1, 2));
    expect(await oldestFirst(dated, { since: at(4) })).toEqual([]);
  });

  it('begins after the name `after`, whether its letter is still there or not, and with the oldest when none is newer', async () => {
    const names = [1, 2, 3, 4].map((n) => lambdaName(n));
    const [one, two, three, four] = names as [string, string, string, string];
    expect(await oldestFirst(storeOf(...names), { after: two })).toEqual([three, four, one, two]);
    expect(await oldestFirst(storeOf(one, three, four), { after: two })).toEqual([three, four, one]);
    for (const after of [four, lambdaName(9)]) expect(await oldestFirst(storeOf(...names), { after })).toEqual(names);
    expect(await oldestFirst(storeOf(two), { after: two })).toEqual([two]);
  });

  it('goes by the last time in a name, because a folder may have one too', async () => {
    const inFolder = 'backup-2020-01-01T00.00.00/2026-11-22T03.00.05-1.json';
    expect(await oldestFirst(storeOf(inFolder, lambdaName(1), lambdaName(9)))).toEqual([lambdaName(1), inFolder, lambdaName(9)]);
  });

  it.each(['other.json', '2026-11-22', '2026-13-22T03.00.05', '2026-11-22T25.00.05'])('leaves out %j, which has no time', async (name) => {
    expect(await oldestFirst(storeOf(name, lambdaName(1)))).toEqual([lambdaName(1)]);
  });
});
