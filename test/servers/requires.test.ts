import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { missing } from './requires.ts';

describe('missing', () => {
  const warn = vi.spyOn(console, 'warn');
  beforeEach(() => {
    warn.mockReturnValue();
  });
  afterEach(() => {
    warn.mockReset();
    vi.unstubAllEnvs();
  });

  it('skips nothing where the tool is available', () => {
    expect(missing(true, 'apt-get install it')).toBe(false);
    expect(warn).not.toHaveBeenCalled();
  });

  it.each(['', 'false'])('skips where the tool is missing and CI is %j, and prints how to get the tool', (ci) => {
    vi.stubEnv('CI', ci);
    expect(missing(false, 'apt-get install it')).toBe(true);
    expect(warn).toHaveBeenCalledExactlyOnceWith('Skipping tests: apt-get install it');
  });

  it('throws in CI where the tool is missing', () => {
    vi.stubEnv('CI', 'true');
    expect(() => missing(false, 'apt-get install it')).toThrow('CI may not skip tests: apt-get install it');
  });

  it('skips in CI where the user chose a tool without the ability', () => {
    vi.stubEnv('CI', 'true');
    expect(missing(false, 'it was built without TLS', { chosen: true })).toBe(true);
    expect(warn).toHaveBeenCalledExactlyOnceWith('Skipping tests: it was built without TLS');
  });
});
