import { describe, expect, it } from 'vitest';
import { parseRedriveConfig } from '../../src/config/redrive.ts';

describe('parseRedriveConfig', () => {
  const env = { DEAD_LETTERS: 's3://letters', CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://127.0.0.1:6379', CACHE_NAMESPACE: 'mine' };

  it('reads the variables of the worker, the table and the read units', () => {
    expect(parseRedriveConfig(env)).toMatchObject({
      cache: { backend: 'valkey', namespace: 'mine', letters: { kind: 's3', bucket: 'letters' } },
      readUnitsPerSecond: 500,
    });
    expect(parseRedriveConfig({ ...env, TABLE_NAME: 'shop', READ_UNITS_PER_SECOND: '25' })).toMatchObject({
      tableName: 'shop',
      readUnitsPerSecond: 25,
    });
  });

  it('lists the faults of the worker and of the redrive together', () => {
    const faults = () => parseRedriveConfig({ READ_UNITS_PER_SECOND: 'many', CACHE_DEADLINE_MS: 'soon' });
    expect(faults).toThrow(/DEAD_LETTERS is absent: give/);
    expect(faults).toThrow(/READ_UNITS_PER_SECOND is "many"/);
    expect(faults).toThrow(/CACHE_DEADLINE_MS is "soon"/);
  });

  it('refuses the memory cache, except for a dry run', () => {
    const memory = { DEAD_LETTERS: 's3://letters' };
    expect(() => parseRedriveConfig(memory)).toThrow(/CACHE_BACKEND is absent, so the cache is memory: .*removed for nothing/);
    const named = () => parseRedriveConfig({ ...memory, CACHE_BACKEND: 'memory' });
    expect(named).toThrow(/CACHE_BACKEND is "memory": that cache ends with this process.*choose the cache that the readers use/);
    expect(parseRedriveConfig(memory, { dryRun: true }).cache.backend).toBe('memory');
  });

  it('prefers the overrides, and ignores the variables of the inherited cache if they choose one', () => {
    const overrides = {
      CACHE_BACKEND: 'valkey',
      CACHE_URL: 'valkey://127.0.0.1:7000',
      CACHE_NAMESPACE: undefined,
      DEAD_LETTERS: './letters',
    };
    expect(parseRedriveConfig({ ...env, CACHE_CLUSTER: 'true', METRICS: 'true' }, { overrides }).cache).toMatchObject({
      url: 'valkey://127.0.0.1:7000',
      namespace: 'millrace',
      cluster: false,
      metrics: true,
      letters: { kind: 'folder', path: './letters' },
    });
    expect(parseRedriveConfig(env, { overrides: { DEAD_LETTERS: './letters' } }).cache).toMatchObject({
      namespace: 'mine',
      letters: { kind: 'folder' },
    });
  });
});
