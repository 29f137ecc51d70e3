import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchGetItemCommand, DynamoDBClient, PutItemCommand, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { numbersOf } from '../release/costs.ts';
import { isKept, LOG_LEVELS, levelOf } from '../release/sam/log-filter.mjs';
import { PROJECT, readTemplate, TEMPLATES } from '../release/template.ts';

/** CloudWatch Logs counts this for each line besides its bytes. Source: the pricing page of CloudWatch. */
const LINE_OVERHEAD_BYTES = 26;
/** As SAM names the function of the stack millrace-prod. */
const CONTEXT = { functionName: 'millrace-prod-SyncFunction-nL1YhZ3kq0Xw', awsRequestId: 'f4c2f1b6-0a25-5b8e-9d43-c1a4d8a6b0f7' };
const WORKER = { CACHE_BACKEND: 'memory', METRICS: 'true', POWERTOOLS_SERVICE_NAME: 'millrace', AWS_REGION: 'eu-west-1' };
const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/millrace-prod-Table-1A2B3C4D5E6F7/stream/2026-11-22T03:01:52.091';

let folder: string;
beforeEach(async () => {
  vi.resetModules();
  folder = await mkdtemp(join(tmpdir(), 'millrace-logs-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

function stubEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
}

/** The lines that `during` writes to stdout and stderr. */
async function linesOf(during: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      texts.push(String(chunk));
      return true;
    });
  }
  await during();
  vi.restoreAllMocks();
  return texts.join('').split('\n').filter(Boolean);
}

function order(id: string, sequenceNumber: string, ageMs: number, more: object = {}): StreamRecord {
  const image = {
    pk: { S: `order#${id}` },
    sk: { S: 'order' },
    id: { S: id },
    createdAt: { S: '2026-11-20T21:00:00Z' },
    status: { S: 'placed' },
    numItems: { N: '0' },
    items: { L: [] },
    creator: { S: 'olive' },
    ...more,
  };
  return {
    eventID: `event-of-${id}`,
    eventName: 'INSERT',
    eventSourceARN: ARN,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor((Date.now() - ageMs) / 1_000),
      Keys: { pk: image.pk, sk: image.sk },
      NewImage: image,
      SequenceNumber: sequenceNumber,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

/** The lines of one invocation of the worker. */
async function worker(
  records: readonly StreamRecord[],
  variables: Readonly<Record<string, string>> = {},
  timeoutMs = 30_000,
): Promise<string[]> {
  stubEnvironment({ ...WORKER, ...variables });
  const { handler } = await import('../../src/lambdas/stream.ts');
  const end = Date.now() + timeoutMs;
  return linesOf(() => handler({ Records: records }, { ...CONTEXT, getRemainingTimeInMillis: () => end - Date.now() }));
}

/** The lines of one run of the redrive, without letters. */
async function redrive(variables: Readonly<Record<string, string>>): Promise<string[]> {
  stubEnvironment({ ...WORKER, CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://127.0.0.1:1', DEAD_LETTERS: folder, ...variables });
  const { handler } = await import('../../src/lambdas/redrive.ts');
  return linesOf(() => handler({}, { ...CONTEXT, getRemainingTimeInMillis: () => 300_000 }));
}

/** The lines of one migration of an empty cart. */
async function migration(variables: Readonly<Record<string, string>>): Promise<string[]> {
  const database = mockClient(DynamoDBClient);
  database.on(QueryCommand).resolves({ Items: [] });
  database.on(PutItemCommand).resolves({});
  database.on(UpdateItemCommand).resolves({});
  stubEnvironment({
    TABLE_NAME: 'shop',
    IDEMPOTENCY_TABLE_NAME: 'requests',
    POWERTOOLS_SERVICE_NAME: 'millrace-shop',
    POWERTOOLS_METRICS_NAMESPACE: 'Millrace',
    AWS_REGION: 'eu-west-1',
    ...variables,
  });
  const { handler } = await import('../../src/lambdas/migrate-cart.ts');
  const request = {
    headers: { cartid: 'c0ffee00-1234-4567-89ab-0123456789ab' },
    requestContext: { authorizer: { jwt: { claims: { sub: 'olive' } } } },
  };
  const lines = await linesOf(() => handler(request, { getRemainingTimeInMillis: () => 20_000 }));
  database.restore();
  return lines;
}

/** The lines of one read of an order that the table does not have. */
async function reading(variables: Readonly<Record<string, string>>): Promise<string[]> {
  const database = mockClient(DynamoDBClient);
  database.on(BatchGetItemCommand).resolves({ Responses: { shop: [] } });
  stubEnvironment({ TABLE_NAME: 'shop', POWERTOOLS_METRICS_NAMESPACE: 'Millrace', ...WORKER, ...variables });
  const { handler } = await import('../../src/lambdas/read.ts');
  const request = {
    routeKey: 'GET /orders/{id}',
    pathParameters: { id: '42' },
    requestContext: { authorizer: { jwt: { claims: { sub: 'olive' } } } },
  };
  const lines = await linesOf(() => handler(request, { getRemainingTimeInMillis: () => 20_000 }));
  database.restore();
  return lines;
}

const metricsIn = (lines: readonly string[]) => lines.filter((line) => line.startsWith('{') && '_aws' in JSON.parse(line));

describe("Lambda's log filter", () => {
  const timestamp = '2026-11-28T20:28:00.123Z';
  it.each([
    ['a line with level and timestamp', { level: 'ERROR', timestamp }, 'ERROR'],
    ['a level in lower case', { level: 'warn', timestamp }, 'WARN'],
    ['a line without a level', { timestamp }, 'INFO'],
    ['a level without a timestamp', { level: 'ERROR' }, 'INFO'],
    ['a timestamp that is a number', { level: 'ERROR', timestamp: 1_795_896_480_123 }, 'INFO'],
    ['a level that Lambda does not know', { level: 'CRITICAL', timestamp }, 'INFO'],
  ])('assigns a level to %s', (_, fields, level) => {
    expect(levelOf(JSON.stringify(fields))).toBe(level);
  });

  it('assigns INFO to text', () => {
    expect(levelOf('ERROR no JSON')).toBe('INFO');
  });
});

describe.each(LOG_LEVELS)('with LogLevel %s', (lowest) => {
  const level = { AWS_LAMBDA_LOG_LEVEL: lowest };

  it.each([TEMPLATES.default, TEMPLATES.shop])('is allowed by %s', (file) => {
    expect(readTemplate(file).Parameters.LogLevel?.AllowedValues).toContain(lowest);
  });

  it('keeps the metrics of a batch', async () => {
    const metrics = metricsIn(await worker([order('a', '1', 500)], level));
    expect(metrics.map((line) => [isKept(line, lowest), JSON.parse(line).Records])).toEqual([[true, 1]]);
  });

  it('keeps the metrics of a batch with poison, and of a batch that fails', async () => {
    const poison = order('a', '1', 500, { numItems: { S: 'plenty' } });
    const set = metricsIn(await worker([poison, order('b', '2', 500)], { ...level, DEAD_LETTERS: folder }));
    expect(set.map((line) => [isKept(line, lowest), JSON.parse(line).SetAside])).toEqual([[true, 1]]);
    vi.resetModules();
    const unreachable = {
      CACHE_BACKEND: 'valkey',
      CACHE_URL: 'valkey://127.0.0.1:1',
      CACHE_DEADLINE_MS: '100',
      CACHE_COMMAND_TIMEOUT_MS: '100',
    };
    const failed = metricsIn(await worker([order('b', '2', 500)], { ...level, ...unreachable }, 1_000));
    expect(failed.map((line) => [isKept(line, lowest), JSON.parse(line).Failed])).toEqual([[true, 1]]);
  });

  it('keeps the metrics of a redrive', async () => {
    const metrics = metricsIn(await redrive(level));
    expect(metrics.map((line) => [isKept(line, lowest), JSON.parse(line).Kept])).toEqual([[true, 0]]);
  });

  it('keeps the metrics of a migrated cart', async () => {
    const metrics = metricsIn(await migration(level));
    expect(metrics.map((line) => [isKept(line, lowest), JSON.parse(line).CartMigrated])).toEqual([[true, 1]]);
  });

  it('keeps the metrics of a read', async () => {
    const metrics = metricsIn(await reading(level));
    expect(metrics.map((line) => [isKept(line, lowest), JSON.parse(line).TableReads])).toEqual([[true, 1]]);
  });

  it('writes only lines whose level is theirs, so that the filter drops no warning', async () => {
    const lines = await worker([order('a', '1', 500, { numItems: { S: 'plenty' } })], level);
    for (const line of lines) expect(levelOf(line)).toBe(JSON.parse(line).level);
  });
});

describe('a successful invocation', () => {
  const bytesOf = (lines: readonly string[]) => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + LINE_OVERHEAD_BYTES, 0);

  const [forOne = 0, , forMany = 0] = numbersOf(readFileSync(join(PROJECT, 'docs/costs.md'), 'utf8'), 'symbol').logBytes ?? [];

  it('writes one line of at most 700 bytes for one record', async () => {
    const lines = await worker([order('a', '418800000000000004200117', 1_500)]);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      message: 'batch',
      level: 'INFO',
      Records: 1,
      Applied: 4,
      milliseconds: expect.any(Number),
    });
    expect(bytesOf(lines)).toBeLessThanOrEqual(forOne);
    expect(forOne).toBeLessThanOrEqual(700);
  });

  it('writes at most 700 bytes for a function with the longest name', async () => {
    stubEnvironment(WORKER);
    const { handler } = await import('../../src/lambdas/stream.ts');
    const lines = await linesOf(() => handler({ Records: [order('a', '1', 86_000)] }, { functionName: 'f'.repeat(64) }));
    expect(lines).toHaveLength(1);
    expect(bytesOf(lines)).toBeLessThanOrEqual(730);
  });

  it.each([10, 100, 1_000])('writes one line for %d records', async (count) => {
    const records = Array.from({ length: count }, (_, i) => order(`o${i}`, String(i + 1), i * 20));
    const lines = await worker(records);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ Records: count, Applied: 4 * count });
    expect(bytesOf(lines)).toBeLessThanOrEqual(forMany);
  });

  it('writes one line without metrics', async () => {
    const lines = await worker([order('a', '1', 500)], { METRICS: 'false' });
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ message: 'batch', level: 'INFO', records: 1, applied: 4 }]);
  });

  it('writes one line for a redrive', async () => {
    expect((await redrive({})).map((line) => JSON.parse(line))).toMatchObject([
      { message: 'redrive', level: 'INFO', Redriven: 0, Kept: 0 },
    ]);
  });
});
