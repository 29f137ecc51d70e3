import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { Cause } from '../../src/cause.ts';
import { causeFacts, causeLines } from '../../src/cli/causes.ts';
import { MalformedRecordError, ViewError } from '../../src/errors.ts';
import { asViewError } from '../../src/plan/projection.ts';
import { documentView, entity } from '../../src/view.ts';

const schema = z.object({ id: z.string(), items: z.array(z.object({ size: z.enum(['L']), 'extra cheese': z.number() })) });
const view = (name: string) =>
  documentView({ name, revision: 2, entity: entity({ name: 'e', owns: () => true, schema }), project: () => [] });
const causeOf = (name: string, item: unknown): Cause => {
  const { error } = schema.safeParse(item);
  return { stage: 'view', view: `${name}@2`, error: asViewError(view(name), 'the new image of ["a: b"]', error) };
};
const item = {
  id: 7,
  items: [
    { size: 'L', 'extra cheese': 1 },
    { size: 'secret', 'extra cheese': 'no' },
  ],
};

describe('causeLines', () => {
  it('prints a cause once for several views, with whole paths of fields and without values', () => {
    expect(causeLines(['detail', 'admin'].map((name) => causeOf(name, item)))).toEqual([
      'detail@2, admin@2: cannot project the new image of ["a: b"]: id is not a valid string, items[1].size is not valid, items[1][…] is not a valid number',
    ]);
  });

  it('prints different causes of views apart', () => {
    expect(causeLines([causeOf('detail', item), causeOf('admin', { ...item, id: 'x' })])).toHaveLength(2);
  });

  it('names at most 5 fields', () => {
    const items = Array.from({ length: 8 }, () => ({ size: 'L' }));
    expect(causeLines([causeOf('detail', { id: 'x', items })])[0]).toMatch(/items\[4\]\[…\] is not a valid number, and 3 more$/);
  });

  it('names the item where an issue has no path', () => {
    expect(causeLines([causeOf('detail', 7)])).toEqual([
      'detail@2: cannot project the new image of ["a: b"]: the item is not a valid object',
    ]);
  });

  it('prints stage and views of other causes', () => {
    const error = new MalformedRecordError('record 0 (INSERT): it has no Keys');
    const large = new Error('the value has 2 MB');
    expect(
      causeLines([
        { stage: 'decode', error },
        { stage: 'rejected', view: 'detail@2', address: 'detail@2:1', error: large },
        { stage: 'rejected', view: 'admin@2', address: 'admin@2:1', error: large },
        { stage: 'view', view: 'kitchen@2', error: new Error('view kitchen@2, which the letter is about, is not in this code') },
        {
          stage: 'view',
          view: 'detail@2',
          error: new ViewError('view detail cannot project x: it threw TypeError', { cause: new TypeError('x') }),
        },
      ]),
    ).toEqual([
      'decode: record 0 (INSERT): it has no Keys',
      'detail@2, admin@2: rejected: the value has 2 MB',
      'kitchen@2: view kitchen@2, which the letter is about, is not in this code',
      'detail@2: cannot project x: it threw TypeError',
    ]);
  });

  it('accepts anything that can be thrown', () => {
    const cause = {
      get issues() {
        throw new Error('no');
      },
    };
    const error = new ViewError('view detail cannot project x: it threw object', { cause });
    expect(causeLines([{ stage: 'view', view: 'detail@2', error }])).toEqual(['detail@2: cannot project x: it threw object']);
  });
});

describe('causeFacts', () => {
  it('has the fields of a schema, as plain data', () => {
    expect(JSON.parse(JSON.stringify(causeFacts(causeOf('detail', item))))).toEqual({
      stage: 'view',
      view: 'detail@2',
      error: { name: 'ViewError', message: expect.stringContaining('cannot project the new image') },
      fields: ['id', 'items[1].size', 'items[1][…]'],
    });
  });
});
