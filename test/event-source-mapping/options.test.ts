import { describe, expect, it } from 'vitest';
import { eventSourceMapping } from '../../src/testing/index.ts';
import { mappingWorld } from './mapping-world.ts';

describe('the options', () => {
  it('are checked together: one error names every fault', () => {
    const { stream } = mappingWorld();
    const wrong = () =>
      eventSourceMapping({
        reader: stream,
        handler: () => {},
        batchSize: 10_001,
        maximumBatchingWindowInSeconds: 301,
        parallelizationFactor: 0,
        startingPosition: 'AT_TIMESTAMP' as never,
        maximumRetryAttempts: 1.5,
        maximumRecordAgeInSeconds: 59,
        functionResponseTypes: ['ReportBatchItemFailure' as never],
        functionTimeoutMs: 900_001,
        filterCriteria: { filters: [{ pattern: '{"eventName":"INSERT"}' }] },
      });
    for (const fault of [
      'batchSize is 10001: use 1 to 10000',
      'maximumBatchingWindowInSeconds is 301: use 0 to 300',
      'parallelizationFactor is 0: use 1 to 10',
      'startingPosition is AT_TIMESTAMP: use TRIM_HORIZON or LATEST',
      'maximumRetryAttempts is 1.5: use -1 or 0 to 10000',
      'maximumRecordAgeInSeconds is 59: use -1 or 60 to 604800',
      'functionResponseTypes has ReportBatchItemFailure: use ReportBatchItemFailures',
      'functionTimeoutMs is 900001: use 1 to 900000',
      'filterCriteria.filters[0].pattern: "eventName" must be a list of values and rules, or an object of fields',
    ]) {
      expect(wrong).toThrow(fault);
    }
    expect(wrong).toThrow(RangeError);
  });

  it('accept their smallest and largest values', () => {
    const { stream } = mappingWorld();
    const common = { reader: stream, handler: () => {} };
    for (const settings of [
      {
        batchSize: 1,
        maximumBatchingWindowInSeconds: 0,
        parallelizationFactor: 1,
        maximumRetryAttempts: -1,
        maximumRecordAgeInSeconds: -1,
      },
      { batchSize: 10_000, maximumBatchingWindowInSeconds: 300, parallelizationFactor: 10, maximumRetryAttempts: 10_000 },
      { maximumRetryAttempts: 0, maximumRecordAgeInSeconds: 60, functionTimeoutMs: 900_000 },
      { maximumRecordAgeInSeconds: 604_800, functionTimeoutMs: 1 },
    ]) {
      expect(() => eventSourceMapping({ ...common, ...settings })).not.toThrow();
    }
  });

  it('refuse a handler that takes a callback', () => {
    const { stream } = mappingWorld();
    const handler = (_event: object, _context: object, _callback: () => void) => {};
    expect(() => eventSourceMapping({ reader: stream, handler })).toThrow('takes a callback');
  });
});
