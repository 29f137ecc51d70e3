import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import type { BatchFacts } from '../../src/handlers/batch-facts.ts';
import { backfillMetrics, batchMetrics, redriveMetrics, verifyMetrics } from '../../src/handlers/metrics.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { views } from '../../src/views/index.ts';

const NOTHING: BatchFacts = {
  records: 0,
  applied: 0,
  stale: 0,
  rejected: 0,
  skipped: 0,
  poison: 0,
  setAside: 0,
  withheld: 0,
  retries: 0,
  failed: 0,
  sampled: 0,
  sampleFailed: 0,
  lagsMs: [],
  cacheMs: [],
  milliseconds: 0,
};

/** The lines that `during` writes to the console. */
async function written(during: () => unknown) {
  const texts: string[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      texts.push(String(chunk));
      return true;
    }),
  );
  await during();
  for (const spy of spies) spy.mockRestore();
  return texts
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe('batchMetrics', () => {
  it('writes one line in the embedded metric format, by service and function', async () => {
    vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'millrace');
    const facts: BatchFacts = {
      records: 5,
      applied: 12,
      stale: 3,
      rejected: 1,
      skipped: 7,
      poison: 2,
      setAside: 1,
      withheld: 0,
      retries: 4,
      failed: 1,
      sampled: 2,
      sampleFailed: 1,
      lagsMs: [900, 100],
      cacheMs: [2.25, 1.000_01],
      headroom: { oldestAgeMs: 5_400_000, headroomMs: 81_000_000, state: 'in time', changed: false },
      milliseconds: 12,
      functionName: 'sync',
    };
    const before = Date.now();
    const [line, ...more] = await written(() => batchMetrics()(facts));
    expect(more).toEqual([]);
    const count = (Name: string) => ({ Name, Unit: 'Count' });
    expect(line).toEqual({
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [
          {
            Namespace: 'Millrace',
            Dimensions: [['service', 'function_name']],
            Metrics: [
              ...[
                'Records',
                'Applied',
                'Stale',
                'Rejected',
                'Skipped',
                'Poison',
                'SetAside',
                'Retries',
                'Failed',
                'Sampled',
                'SampleFailed',
              ].map(count),
              { Name: 'Lag', Unit: 'Milliseconds' },
              { Name: 'CacheLatency', Unit: 'Milliseconds' },
              { Name: 'OldestRecordAge', Unit: 'Seconds' },
              { Name: 'RetentionHeadroom', Unit: 'Seconds' },
            ],
          },
        ],
      },
      level: 'INFO',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      message: 'batch',
      milliseconds: 12,
      service: 'millrace',
      function_name: 'sync',
      Records: 5,
      Applied: 12,
      Stale: 3,
      Rejected: 1,
      Skipped: 7,
      Poison: 2,
      SetAside: 1,
      Retries: 4,
      Failed: 1,
      Sampled: 2,
      SampleFailed: 1,
      Lag: [100, 900],
      CacheLatency: [1, 2.25],
      OldestRecordAge: 5_400,
      RetentionHeadroom: 81_000,
    });
    expect(line._aws.Timestamp).toBeGreaterThanOrEqual(before);
  });

  it('writes the figures of one batch without those of the batch before', async () => {
    const publish = batchMetrics();
    const lines = await written(() => {
      publish({ ...NOTHING, records: 1, lagsMs: [7], functionName: 'sync' });
      publish({ ...NOTHING, records: 2 });
    });
    expect(lines).toMatchObject([{ Records: 1, Lag: 7, function_name: 'sync' }, { Records: 2 }]);
    expect(lines[1]._aws.CloudWatchMetrics[0].Metrics).toEqual([{ Name: 'Records', Unit: 'Count' }]);
    expect(lines[1]).not.toHaveProperty('Lag');
    expect(lines[1]).not.toHaveProperty('function_name');
    expect(lines[1]).not.toHaveProperty('RetentionHeadroom');
    expect(lines[1]._aws.CloudWatchMetrics[0].Dimensions).toEqual([['service']]);
  });

  it('writes that a loss is likely', async () => {
    const headroom = { oldestAgeMs: 86_000_000, headroomMs: 400_000, state: 'lost', changed: false } as const;
    expect(await written(() => batchMetrics()({ ...NOTHING, headroom }))).toMatchObject([{ LossLikely: 1, RetentionHeadroom: 400 }]);
  });

  it('writes one line for a large batch, with a sample of the same least, greatest and median value', async () => {
    const values = Array.from({ length: 10_001 }, (_, i) => (i * 7_919) % 10_001);
    const lines = await written(() => batchMetrics()({ ...NOTHING, records: values.length, lagsMs: values, cacheMs: values }));
    expect(lines).toHaveLength(1);
    for (const sample of [lines[0].Lag, lines[0].CacheLatency] as number[][]) {
      expect(sample.length).toBeLessThan(10);
      expect([sample[0], sample.at(-1)]).toEqual([0, 10_000]);
      expect(Math.abs((sample[Math.floor(sample.length / 2)] as number) - 5_000)).toBeLessThan(200);
    }
  });
});

describe('redriveMetrics', () => {
  it('writes what was redriven and what was kept, by service and function', async () => {
    const lines = await written(() => redriveMetrics()({ redriven: 3, kept: 0, milliseconds: 5, functionName: 'redrive' }));
    expect(lines).toMatchObject([
      {
        Redriven: 3,
        Kept: 0,
        function_name: 'redrive',
        _aws: { CloudWatchMetrics: [{ Namespace: 'Millrace', Dimensions: [expect.arrayContaining(['service', 'function_name'])] }] },
      },
    ]);
  });
});

describe('backfillMetrics', () => {
  it('writes what a run of a segment did, and leaves out counts of 0', async () => {
    const facts = {
      survey: 's1',
      pass: 'mark',
      segment: 3,
      isDone: true,
      items: 0,
      readUnits: 12.5,
      filled: 7,
      sealed: 0,
      threw: 1,
    } as const;
    const lines = await written(() => backfillMetrics()({ ...facts, milliseconds: 5, functionName: 'backfill' }));
    expect(lines).toMatchObject([
      {
        message: 'backfill',
        survey: 's1',
        pass: 'mark',
        segment: 3,
        isDone: 'true',
        milliseconds: 5,
        BackfillItems: 0,
        BackfillReadUnits: 12.5,
        BackfillFilled: 7,
        BackfillThrew: 1,
        function_name: 'backfill',
      },
    ]);
    expect(lines[0]).not.toHaveProperty('BackfillSealed');
  });
});

describe('verifyMetrics', () => {
  it('writes a line of all views, and one of each view that was looked at, and leaves out counts of 0', async () => {
    const none = { observations: 0, equal: 0, misses: 0, late: 0, undecided: 0, unfindable: 0, lags: [] };
    const violations = { 'old-value': 0, ghost: 0, 'hidden-item': 0, 'missing-member': 0, 'extra-member': 0, 'wrong-order': 0 };
    const views = [
      { view: 'detail@1', counts: { ...none, observations: 7, equal: 5, misses: 2, violations: { ...violations, ghost: 2 } } },
      { view: 'orders@1', counts: { ...none, observations: 3, equal: 2, late: 1, violations } },
      { view: 'cart@1', counts: { ...none, violations } },
    ];
    const lines = await written(() => verifyMetrics()({ action: 'check', views, readUnits: 2.5, milliseconds: 5, functionName: 'verify' }));
    const shown = lines.map(({ _aws, level, timestamp, ...line }) => line);
    expect(shown).toEqual([
      {
        ...{ message: 'verify', action: 'check', milliseconds: 5, service: expect.anything(), function_name: 'verify' },
        ...{ VerifyObservations: 10, VerifyViolations: 2, VerifyLate: 1, VerifyMisses: 2, VerifyReadUnits: 2.5 },
      },
      {
        ...{ message: 'verify view', action: 'check', service: expect.anything(), function_name: 'verify', view: 'detail@1' },
        ...{ VerifyObservations: 7, VerifyViolations: 2, VerifyMisses: 2, VerifyGhosts: 2 },
      },
      {
        ...{ message: 'verify view', action: 'check', service: expect.anything(), function_name: 'verify', view: 'orders@1' },
        ...{ VerifyObservations: 3, VerifyLate: 1 },
      },
    ]);
    expect(lines[1]._aws.CloudWatchMetrics[0].Dimensions).toEqual([['service', 'view', 'function_name']]);
  });
});

it('writes no metrics for a handler without `metrics`', async () => {
  const logger = { info() {}, warn() {}, error() {} };
  const handler = streamHandler({ views: Object.values(views), cache: memoryCache(), logger });
  expect(await written(() => handler({ Records: [] }))).toEqual([]);
});
