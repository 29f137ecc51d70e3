import { describe, expect, it } from 'vitest';
import { parseVerifyFunctionConfig } from '../../src/config/verify.ts';
import { parseConfig } from '../../src/config/worker.ts';

const URL = 'https://sqs.eu-west-1.amazonaws.com/123456789012/checks';
const ENV = { TABLE_NAME: 'orders', VERIFY_QUEUE_URL: URL, CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://cache:6379' };

describe('parseVerifyFunctionConfig', () => {
  it('has defaults for all but the table, the queue and the cache', () => {
    expect(parseVerifyFunctionConfig(ENV)).toMatchObject({
      tableName: 'orders',
      queueUrl: URL,
      boundMs: 60_000,
      readUnitsPerSecond: 500,
      probeReadUnits: 1_000,
      cache: { backend: 'valkey' },
    });
  });

  it.each([
    [{ TABLE_NAME: '' }, 'TABLE_NAME is absent: give the name of a DynamoDB table'],
    [{ VERIFY_QUEUE_URL: '' }, 'VERIFY_QUEUE_URL is absent: give the URL of the queue'],
    [
      { VERIFY_QUEUE_URL: 'arn:aws:sqs:x' },
      /^the environment is wrong:\n {2}VERIFY_QUEUE_URL is "arn:…": give the URL of an SQS queue, https:\/\/…$/,
    ],
    [{ VERIFY_BOUND_SECONDS: '0' }, 'VERIFY_BOUND_SECONDS is "0": give 1 or more'],
    [{ VERIFY_BOUND_SECONDS: '181' }, 'VERIFY_BOUND_SECONDS is "181": give 180 or less'],
    [{ PROBE_READ_UNITS: 'all' }, 'PROBE_READ_UNITS is "all": give a whole number'],
    [{ CACHE_BACKEND: 'memory' }, 'CACHE_BACKEND is "memory": that cache ends with this process'],
  ])('names the fault of %j', (env, message) => {
    expect(() => parseVerifyFunctionConfig({ ...ENV, ...env })).toThrow(message);
  });
});

describe('the sample of the worker', () => {
  it.each([
    [{}, undefined],
    [{ VERIFY_SAMPLE_RATE: '10' }, undefined],
    [{ VERIFY_QUEUE_URL: URL }, { queueUrl: URL, oneIn: 1_000 }],
    [
      { VERIFY_QUEUE_URL: URL, VERIFY_SAMPLE_RATE: '10' },
      { queueUrl: URL, oneIn: 10 },
    ],
    [{ VERIFY_QUEUE_URL: URL, VERIFY_SAMPLE_RATE: '0' }, undefined],
  ])('of %j is %j', (env, sample) => {
    expect(parseConfig(env).sample).toEqual(sample);
  });

  it('names its faults', () => {
    expect(() => parseConfig({ VERIFY_QUEUE_URL: 'checks', VERIFY_SAMPLE_RATE: '0.1' })).toThrow(
      /VERIFY_QUEUE_URL is "checks": give the URL of an SQS queue[\s\S]*VERIFY_SAMPLE_RATE is "0\.1"/,
    );
  });
});
