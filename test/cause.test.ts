import { describe, expect, it } from 'vitest';
import { plainCause } from '../src/cause.ts';
import { ViewError } from '../src/errors.ts';

describe('plainCause', () => {
  it('keeps the stage, the view, and the name and the message of the error', () => {
    const error = new ViewError('view detail cannot project it', { cause: new Error('the secret sauce') });
    expect(plainCause({ stage: 'view', view: 'detail@1', error })).toStrictEqual({
      stage: 'view',
      view: 'detail@1',
      error: { name: 'ViewError', message: 'view detail cannot project it' },
    });
  });

  it('leaves out the address, which may hold values of the item, and the letter', () => {
    const cause = plainCause({
      stage: 'rejected',
      view: 'detail@1',
      address: 'detail@1:secret',
      letter: 'l',
      error: new Error('too large'),
    });
    expect(cause).toStrictEqual({ stage: 'rejected', view: 'detail@1', error: { name: 'Error', message: 'too large' } });
  });

  it('has no view in JSON where the failure concerns none', () => {
    const cause = plainCause({ stage: 'decode', error: new Error('no Keys') });
    expect(JSON.stringify(cause)).toBe('{"stage":"decode","error":{"name":"Error","message":"no Keys"}}');
  });
});
