import { describe, expect, it } from 'vitest';
import { parseRequest } from '../../src/redrive/request.ts';

const NOW = new Date('2026-11-22T03:00:00Z');
const parse = (request: unknown) => parseRequest(request, NOW);

describe('parseRequest', () => {
  it.each([
    ['an absent request', undefined],
    ['null', null],
    ['an empty object', {}],
    ['an event of a schedule', { 'detail-type': 'Scheduled Event', source: 'aws.events', detail: {}, limit: 'ignored' }],
  ])('takes %s for every letter', (_, request) => {
    const { filter, limit, dryRun } = parse(request);
    expect(Object.values(filter).filter((value) => value !== undefined)).toEqual([]);
    expect([limit, dryRun]).toEqual([undefined, false]);
  });

  it('gives all that is asked for', () => {
    const request = { since: '2h', until: '2026-11-22T02:00Z', cause: 'view', table: 'shop', limit: 7, dryRun: true };
    expect(parse(request)).toEqual({
      filter: { since: new Date('2026-11-22T01:00:00Z'), until: new Date('2026-11-22T02:00:00Z'), cause: 'view', table: 'shop' },
      limit: 7,
      dryRun: true,
    });
  });

  it('takes an undefined field for an absent one', () => {
    const request = { since: undefined, until: undefined, cause: undefined, table: undefined, limit: undefined, dryRun: undefined };
    expect(parse(request)).toEqual({ filter: {}, limit: undefined, dryRun: false });
  });

  it.each([
    ['90m', '2026-11-22T01:30:00.000Z'],
    ['2h', '2026-11-22T01:00:00.000Z'],
    ['3d', '2026-11-19T03:00:00.000Z'],
    ['0m', '2026-11-22T03:00:00.000Z'],
    ['999999m', '2024-12-27T16:21:00.000Z'],
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
    ['2026-11-20T10:00Z', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20T10:00:30Z', '2026-11-20T10:00:30.000Z'],
    ['2026-11-20T10:00:00.5+01:00', '2026-11-20T09:00:00.500Z'],
    ['2026-11-20T10:00:00-01:00', '2026-11-20T11:00:00.000Z'],
  ])('takes the time %s for %s', (text, time) => {
    expect(parse({ since: text }).filter.since?.toISOString()).toBe(time);
    expect(parse({ until: text }).filter.until?.toISOString()).toBe(time);
  });

  it.each([
    '',
    'h',
    '2',
    '2w',
    '-2h',
    '1.5h',
    'x2h',
    '2hx',
    '1234567m',
    '2026-13-01',
    '2026-11-20T10:00',
    '2026-11-20T10:00:00',
    '10:00',
    'x2026-11-20',
    '2026-11-20x',
    '2026-11-20T10:00Zx',
    'yesterday',
  ])('refuses the time %j', (text) => {
    for (const name of ['since', 'until']) {
      expect(() => parse({ [name]: text })).toThrow(
        new TypeError(`the request is wrong: ${name} is "${text}": give a time like 2026-11-22T03:00:00Z, or 90m, 2h or 3d ago`),
      );
    }
  });

  it.each([['text'], [7], [true], [[]], [[{}]]])('refuses %j, which is not an object', (request) => {
    expect(() => parse(request)).toThrow(new TypeError('the request is not an object: give {} to redrive all letters'));
  });

  it.each([
    ['dryrun', { dryrun: true }],
    ['toString', { toString: 'x' }],
    ['__proto__', JSON.parse('{"__proto__": 1}')],
  ])('refuses the unknown field %s, because it may be a misspelt one', (name, request) => {
    expect(() => parse(request)).toThrow(
      new TypeError(`the request is wrong: ${name} is unknown: use since, until, cause, table, limit, dryRun`),
    );
  });

  it.each([
    [{ since: 7 }, 'since is not a string'],
    [{ until: null }, 'until is not a string'],
    [{ cause: ['view'] }, 'cause is not a string'],
    [{ table: 7 }, 'table is not a string'],
    [{ dryRun: 'false' }, 'dryRun is not a boolean'],
    [{ limit: 0 }, 'limit is 0: give a positive integer'],
    [{ limit: -1 }, 'limit is -1: give a positive integer'],
    [{ limit: 1.5 }, 'limit is 1.5: give a positive integer'],
    [{ since: '1h', until: '2h' }, 'since is not before until: no letter is between them'],
    [{ since: '1h', until: '1h' }, 'since is not before until: no letter is between them'],
  ])('refuses %j', (request, fault) => {
    expect(() => parse(request)).toThrow(new TypeError(`the request is wrong: ${fault}`));
  });

  it('takes a limit of 1, and a period that is not empty', () => {
    expect(parse({ limit: 1 }).limit).toBe(1);
    expect(parse({ since: '2h', until: '1h' }).filter).toMatchObject({ since: expect.any(Date), until: expect.any(Date) });
  });

  it('lists every fault', () => {
    expect(() => parse({ dryrun: true, since: 'now', cause: 7, limit: '5' })).toThrow(
      new TypeError(
        'the request is wrong: dryrun is unknown: use since, until, cause, table, limit, dryRun; cause is not a string; limit is not a number; ' +
          'since is "now": give a time like 2026-11-22T03:00:00Z, or 90m, 2h or 3d ago; limit is 5: give a positive integer',
      ),
    );
  });
});
