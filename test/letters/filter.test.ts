import { describe, expect, it } from 'vitest';
import { matches } from '../../src/letters/filter.ts';
import type { Letter } from '../../src/letters/letter.ts';

const letter: Letter = {
  event: { Records: [] },
  condition: 'Poison',
  streamArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123',
  causes: (['decode', 'view'] as const).map((stage) => ({ stage, error: { name: 'Error', message: 'no' } })),
  raw: {},
};
const { streamArn: _, ...withoutTable } = letter;

describe('matches', () => {
  it('takes every letter where the filter is empty', () => {
    for (const any of [letter, withoutTable, { ...letter, condition: undefined, causes: [] }]) expect(matches({}, any)).toBe(true);
  });

  it.each(['decode', 'view', 'Poison'])('takes a letter by the stage or the condition %s', (cause) => {
    expect(matches({ cause }, letter)).toBe(true);
  });

  it.each(['rejected', 'RecordAgeExceeded', 'poison', 'Error', ''])('passes by a letter that has not the cause %j', (cause) => {
    expect(matches({ cause }, letter)).toBe(false);
  });

  it("takes one of Lambda's letters, which have no causes, by its condition alone", () => {
    const lambdas = { ...letter, condition: 'RetryAttemptsExhausted', causes: [] };
    expect(matches({ cause: 'RetryAttemptsExhausted' }, lambdas)).toBe(true);
    expect(matches({ cause: 'view' }, lambdas)).toBe(false);
  });

  it('takes a letter by the name of its table', () => {
    expect(matches({ table: 'shop' }, letter)).toBe(true);
    for (const table of ['sho', 'shop-2', 'Shop', '']) expect(matches({ table }, letter)).toBe(false);
  });

  it.each([undefined, 'no ARN'])('takes a letter of an unknown table, whose stream is %j, for every table', (streamArn) => {
    expect(matches({ table: 'another' }, { ...letter, streamArn })).toBe(true);
    expect(matches({ table: 'another', cause: 'rejected' }, { ...letter, streamArn })).toBe(false);
  });

  it('takes a letter that has both the cause and the table', () => {
    expect(matches({ cause: 'view', table: 'shop' }, letter)).toBe(true);
    expect(matches({ cause: 'rejected', table: 'shop' }, letter)).toBe(false);
    expect(matches({ cause: 'view', table: 'another' }, letter)).toBe(false);
  });

  it('takes a text that is not a letter for one of every table, and of no cause', () => {
    expect(matches({}, undefined)).toBe(true);
    expect(matches({ table: 'shop' }, undefined)).toBe(true);
    expect(matches({ cause: 'letter' }, undefined)).toBe(false);
    expect(matches({ cause: 'decode', table: 'shop' }, undefined)).toBe(false);
  });
});
