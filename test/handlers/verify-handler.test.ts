import { DeleteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { randomNames } from '../../src/caches/valkey/sweep.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { itemOf } from '../../src/change.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import {
  type CheckMessage,
  type CheckQueue,
  sampler,
  sqsQueue,
  type VerifyFacts,
  type VerifyHandler,
  type VerifyHandlerOptions,
  verifyHandler,
} from '../../src/handlers/verify-handler.ts';
import { insert, modify, type PlainItem, remove, streamEvent } from '../../src/testing/index.ts';
import type { ProbeCounts } from '../../src/verify/counts.ts';
import { PROCESS_CLOCK } from '../../src/verify/look.ts';
import { versionOf } from '../../src/version.ts';
import { keyOf, type View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { order, randomOf } from '../backfill/orders.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { HOW_TO_GET_MOTO, type MotoServer, motoAvailable, startMoto } from '../servers/moto.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const VIEWS: readonly View[] = Object.values(shop);
const BOUND_MS = 60_000;
/** Of somebody who writes by hand: newer than any change. */
const HAND = versionOf('2026-06-01T00:00:00.000', '1');

interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

function logbook() {
  const lines: Line[] = [];
  const log = (level: string) => (message: string, fields: object) => void lines.push({ level, message, ...fields });
  return { lines, logger: { info: log('info'), warn: log('warn'), error: log('error') } };
}

/** A queue in virtual time. */
function virtualQueue(clock: { now(): number }) {
  let next = 0;
  const waiting: { readonly messageId: string; readonly body: string; readonly due: number }[] = [];
  const sent: CheckMessage[] = [];
  const refuses = { now: false };
  const queue: CheckQueue = {
    async send(messages) {
      return messages.map(({ text, delaySeconds = BOUND_MS / 1_000 }, i) => {
        if (refuses.now && i % 2 === 0) return false;
        next += 1;
        sent.push({ text, delaySeconds });
        waiting.push({ messageId: String(next), body: text, due: clock.now() + delaySeconds * 1_000 });
        return true;
      });
    },
  };
  return {
    queue,
    sent,
    waiting,
    refuses,
    put: (body: string) => void waiting.push({ messageId: body.slice(0, 8), body, due: clock.now() }),
    /** Lets the function have what is due. What it reports as failed stays. */
    async deliver(handler: VerifyHandler): Promise<number> {
      const due = waiting.filter((message) => message.due <= clock.now());
      if (due.length === 0) return 0;
      const { batchItemFailures } = await handler({ Records: due });
      const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      for (const message of due) if (!failed.has(message.messageId)) waiting.splice(waiting.indexOf(message), 1);
      return failed.size;
    },
  };
}

function total(facts: readonly VerifyFacts[]) {
  const counts = facts.flatMap(({ views }) => views.map(({ counts }) => counts));
  const sum = (of: (counts: ProbeCounts) => number) => counts.reduce((all, one) => all + of(one), 0);
  const violations: Record<string, number> = {};
  for (const one of counts)
    for (const [fault, times] of Object.entries(one.violations)) if (times > 0) violations[fault] = (violations[fault] ?? 0) + times;
  return {
    observations: sum(({ observations }) => observations),
    misses: sum(({ misses }) => misses),
    late: sum(({ late }) => late),
    undecided: sum(({ undecided }) => undecided),
    violations,
  };
}

describe('verifyHandler', () => {
  const client = {
    send: async () => {
      throw new Error('the table is asked');
    },
  } as never;
  const { lines, logger } = logbook();
  const handler = verifyHandler({
    views: VIEWS,
    cache: memoryCache(),
    table: { client, name: 't' },
    queue: { send: async () => [] },
    logger,
  });

  it.each([[undefined], [{}], [{ action: 'check' }], [{ Records: 'none' }]])('refuses the event %j', async (event) => {
    await expect(handler(event as never)).rejects.toThrow('the event is wrong: give messages of SQS, or { "action": "probe" }');
  });

  it('fails when it cannot say what the table is, so that all messages come again', async () => {
    const body = JSON.stringify({
      probe: 'stream',
      at: 0,
      age: 0,
      looks: [{ subject: { kind: 'document', view: 'detail@1', key: 'detail@1:1' } }],
    });
    await expect(handler({ Records: [{ messageId: 'a', body }] })).rejects.toThrow('the table is asked');
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA);

describe.skipIf(isMissing)('verifyHandler, of a table of DynamoDB Local', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
  }, 60_000);
  afterAll(async () => {
    await local?.close();
  });

  let tables = 0;
  let tableName: string;
  let cache: MemoryCache;
  let time: number;
  let facts: VerifyFacts[];
  let log: ReturnType<typeof logbook>;
  let mail: ReturnType<typeof virtualQueue>;
  const clock = {
    now: () => time,
    sleep: async (ms: number) => {
      time += ms;
    },
  };
  const items = new Map<string, PlainItem>();

  beforeEach(async () => {
    tables += 1;
    ({ tableName } = await createShopTable(local.client, `shop${tables}`));
    time = Date.now();
    cache = memoryCache({ now: clock.now });
    facts = [];
    log = logbook();
    mail = virtualQueue(clock);
    items.clear();
  });

  const handlerWith = (options: Partial<VerifyHandlerOptions> = {}): VerifyHandler =>
    verifyHandler({
      views: VIEWS,
      cache,
      table: { client: local.client, name: tableName },
      queue: mail.queue,
      boundMs: BOUND_MS,
      clock,
      logger: log.logger,
      metrics: (some) => void facts.push(some),
      readUnitsPerSecond: 1_000_000,
      ...options,
    });

  /** Writes items into the table. */
  const store = async (...some: readonly PlainItem[]) => {
    for (const item of some) await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(item) }));
  };
  /** Writes items, and lets the worker apply the changes. `oneIn`: which part of them is sampled. */
  const change = async (some: readonly PlainItem[], { oneIn = 1, worker = cache as CacheClient } = {}) => {
    await store(...some);
    const handle = streamHandler({
      views: VIEWS,
      cache: worker,
      logger: log.logger,
      sample: sampler({ views: VIEWS, queue: mail.queue, oneIn, now: clock.now }),
    });
    const steps = some.map((item) => {
      const name = itemOf({ pk: item.pk, sk: item.sk });
      const before = items.get(name);
      items.set(name, item);
      return before ? modify(before, item) : insert(item);
    });
    await handle(streamEvent(steps));
  };
  const drop = async (item: PlainItem, worker: CacheClient = cache) => {
    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall({ pk: item.pk, sk: item.sk }) }));
    const handle = streamHandler({
      views: VIEWS,
      cache: worker,
      logger: log.logger,
      sample: sampler({ views: VIEWS, queue: mail.queue, oneIn: 1, now: clock.now }),
    });
    await handle(streamEvent([remove(item)]));
  };
  /** Time passes, in steps of 10 s. */
  const pass = async (seconds: number, handler: VerifyHandler): Promise<void> => {
    for (let s = 0; s < seconds; s += 10) {
      time += 10_000;
      await mail.deliver(handler);
    }
  };
  const writtenByHand = async (id: string, json = '{"by":"hand"}') => {
    await cache.apply([{ kind: 'document', type: 'put', key: `detail@1:${id}`, version: HAND, json }]);
  };
  const fillLists = async (...lists: readonly string[]) => {
    const leases = await cache.lease(lists.map((list) => ({ kind: 'list', list, keep: 150 })));
    await cache.settle(leases.map((lease) => ({ lease, found: { kind: 'list', newest: [] } })));
  };

  it('checks each address of a change after 60, 300 and 600 s, and then no more', async () => {
    const handler = handlerWith();
    await fillLists('orders@1:all', 'orders@1:creator:creator1');
    await change([order(1, 1, 'new', 1)]);
    expect(mail.waiting).toHaveLength(1);
    const at = [50, 60, 290, 300, 590, 600, 2_000];
    const seen: number[] = [];
    let passed = 0;
    for (const seconds of at) {
      await pass(seconds - passed, handler);
      passed = seconds;
      seen.push(total(facts).observations);
    }
    // Two documents and two lists.
    expect(seen).toEqual([0, 4, 4, 8, 8, 12, 12]);
    expect(total(facts)).toMatchObject({ misses: 0, late: 0, undecided: 0, violations: {} });
    expect(mail.waiting).toEqual([]);
    expect(mail.sent.map(({ delaySeconds }) => delaySeconds)).toEqual([60, 240, 300]);
    expect(log.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('finds by a second look, a bound later, that a worker dropped a change', async () => {
    const handler = handlerWith();
    await change([order(1, 1, 'new', 1)]);
    mail.waiting.length = 0;
    const deaf: CacheClient = { ...cache, apply: async (all) => all.map(() => ({ type: 'applied' }) as const) };
    await change([order(1, 1, 'baked', 1)], { worker: deaf });
    await pass(110, handler);
    expect(total(facts)).toMatchObject({ observations: 0, violations: {} });
    await pass(20, handler);
    expect(total(facts)).toMatchObject({ observations: 2, violations: { 'old-value': 2 } });
    const violation = log.lines.find(({ message }) => message === 'violation');
    expect(violation).toMatchObject({
      level: 'error',
      view: 'detail@1',
      fault: 'old-value',
      key: 'detail@1:1',
      probe: 'stream',
      ageMs: 60_000,
    });
    expect(JSON.stringify(log.lines)).not.toContain('xxx');
    // What is wrong was found, so it is not looked at again.
    expect(
      mail.waiting.flatMap(({ body }) => JSON.parse(body).looks.map((one: { subject: { kind: string } }) => one.subject.kind)),
    ).not.toContain('document');
  });

  it('finds at a later age what an old record broke after the first check', async () => {
    const handler = handlerWith();
    await change([order(1, 1, 'new', 1)]);
    await pass(120, handler);
    expect(total(facts).violations).toEqual({});
    const lookup = await cache.get('detail@1:1');
    // A worker that ignores versions writes the old value over the new one. Here its version is old, too.
    cache.evict({ kind: 'document', key: 'detail@1:1' });
    const old = versionOf('2025-01-01T00:00:00.000', '1');
    await cache.apply([{ kind: 'document', type: 'put', key: 'detail@1:1', version: old, json: '{"status":"old"}' }]);
    expect(lookup).not.toEqual(await cache.get('detail@1:1'));
    await pass(300, handler);
    expect(total(facts).violations).toEqual({ 'old-value': 1 });
  });

  it('counts as late what comes right within the bound, and a miss as no claim', async () => {
    const handler = handlerWith();
    await change([order(1, 1, 'new', 1), order(2, 1, 'new', 1)]);
    mail.waiting.length = 0;
    const deaf: CacheClient = { ...cache, apply: async (all) => all.map(() => ({ type: 'applied' }) as const) };
    await change([order(1, 1, 'baked', 1), order(2, 1, 'baked', 1)], { worker: deaf });
    await pass(70, handler);
    // The worker was slow.
    await change([order(1, 1, 'baked', 1)], { oneIn: 0 });
    cache.evict({ kind: 'document', key: 'detail@1:2' });
    cache.evict({ kind: 'document', key: 'admin@1:2' });
    await pass(70, handler);
    expect(total(facts)).toMatchObject({ late: 4, violations: {} });
    await pass(1_000, handler);
    expect(total(facts)).toMatchObject({ late: 4, violations: {} });
    expect(total(facts).misses).toBeGreaterThan(0);
    expect(mail.waiting).toEqual([]);
  });

  it('finds deleted items that the cache still has', async () => {
    const handler = handlerWith();
    const one = order(1, 1, 'new', 1);
    await fillLists('orders@1:all', 'orders@1:creator:creator1');
    await change([one]);
    mail.waiting.length = 0;
    await drop(one, { ...cache, apply: async (all) => all.map(() => ({ type: 'applied' }) as const) });
    await pass(130, handler);
    expect(total(facts).violations).toEqual({ ghost: 2, 'extra-member': 2 });
  });

  it('does not blame the cache while an item changes all the time', async () => {
    const handler = handlerWith();
    for (let n = 0; n < 60; n += 1) {
      await change([order(1, n % 3, `s${n}`, n)]);
      await pass(10, handler);
    }
    await pass(1_300, handler);
    expect(total(facts)).toMatchObject({ violations: {} });
    expect(total(facts).observations).toBeGreaterThan(300);
    expect(mail.waiting).toEqual([]);
  });

  it('reports messages whose next look cannot be sent, and counts them only when they come again', async () => {
    const handler = handlerWith();
    await change([order(1, 1, 'new', 1)]);
    await change([order(2, 1, 'new', 1)]);
    time += BOUND_MS;
    mail.refuses.now = true;
    expect(await mail.deliver(handler)).toBe(1);
    expect(total(facts).observations).toBe(2);
    mail.refuses.now = false;
    expect(await mail.deliver(handler)).toBe(0);
    expect(total(facts).observations).toBe(4);
  });

  it('reports all messages while the cache gives no answer', async () => {
    let isDown = true;
    const away = async (): Promise<never> => {
      throw new CacheUnavailableError('away');
    };
    const handler = handlerWith({
      cache: { getMany: (keys) => (isDown ? away() : cache.getMany(keys)), list: (...given) => (isDown ? away() : cache.list(...given)) },
    });
    await change([order(1, 1, 'new', 1)]);
    time += BOUND_MS;
    expect(await mail.deliver(handler)).toBe(1);
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'checks come again', messages: 1 }));
    expect(total(facts).observations).toBe(0);
    isDown = false;
    expect(await mail.deliver(handler)).toBe(0);
    expect(total(facts).observations).toBe(2);
  });

  it('leaves out messages that it cannot read, and those of views that it does not have, and does not quote them', async () => {
    const handler = handlerWith({ views: [shop.detail as View] });
    const look = (subject: object) => JSON.stringify({ probe: 'stream', at: time - BOUND_MS, age: 0, looks: [{ subject }] });
    const bad = [
      'canary',
      'null',
      '[]',
      '{"canary":1}',
      JSON.stringify({ probe: 'canary', at: 1, age: 0, looks: [] }),
      JSON.stringify({ probe: 'stream', at: 'canary', age: 0, looks: [] }),
      JSON.stringify({ probe: 'stream', at: 1, age: 0, version: 'canary', looks: [] }),
      look({ kind: 'document', view: 'detail@1', list: 'canary' }),
      look({ kind: 'member', view: 'detail@1', list: 'canary', member: 'x', score: 'y' }),
      look({ kind: 'document', view: 'detail@1', key: '' }),
      look({ kind: 'document', view: 'detail@1', key: 'canary\ud800' }),
      look({ kind: 'document', view: 'detail@1', key: 'canary'.repeat(12_000) }),
      look({ kind: 'member', view: 'detail@1', list: '', member: 'x', score: 1 }),
      ...[[], {}, null, { pk: 7 }, { pk: { S: 7 } }, { pk: { X: 'canary' } }, { pk: { S: 'canary', N: '1' } }].map((item) =>
        look({ kind: 'document', view: 'detail@1', key: 'detail@1:1', item }),
      ),
    ];
    for (const body of bad) mail.put(body);
    mail.put(look({ kind: 'document', view: 'admin@1', key: 'admin@1:1' }));
    mail.put(look({ kind: 'member', view: 'detail@1', list: 'detail@1:all', member: 'x', score: 1 }));
    expect(await mail.deliver(handler)).toBe(0);
    expect(mail.waiting).toEqual([]);
    expect(log.lines).toHaveLength(bad.length);
    for (const line of log.lines)
      expect(line).toMatchObject({
        level: 'warn',
        message: 'a check is left out',
        error: expect.stringMatching(/^the message is no check of the verifier: /),
      });
    expect(JSON.stringify(log.lines.map(({ messageId, ...line }) => line))).not.toContain('canary');
  });

  it('probes random segments and random keys, and sends what differs into the queue', async () => {
    await change(
      Array.from({ length: 40 }, (_, id) => order(id, 1, 'new', id, 10)),
      { oneIn: 0 },
    );
    await writtenByHand('7');
    // A ghost, which no item leads to.
    await writtenByHand('ghost');
    const handler = handlerWith({
      keys: async function* () {
        for (;;) yield ['detail@1:ghost', ...Array.from({ length: 20 }, (_, id) => `detail@1:${id}`)];
      },
      probeReadUnits: 200,
      random: randomOf(3),
    });
    const first = await handler({ action: 'probe' });
    expect(total([first])).toMatchObject({ violations: {}, undecided: 0 });
    expect(total([first]).observations).toBeGreaterThan(100);
    expect(first.readUnits).toBeGreaterThanOrEqual(90);
    await pass(50, handler);
    expect(total(facts).violations).toEqual({});
    await pass(20, handler);
    expect(total(facts).violations).toEqual({ 'old-value': expect.any(Number), ghost: expect.any(Number) });
    expect(mail.waiting).toEqual([]);
    const probes = new Set(log.lines.filter(({ message }) => message === 'violation').map(({ probe }) => probe));
    expect(probes).toEqual(new Set(['table', 'cache']));
  });

  it('ends its probes within the read units', async () => {
    await store(...Array.from({ length: 200 }, (_, id) => order(id, 1, 'new', id, 30_000)));
    const frugal = await handlerWith({ probeReadUnits: 20 })({ action: 'probe' });
    expect(frugal.readUnits).toBeGreaterThanOrEqual(20);
    // One page of a scan has 1 MB, and takes 250 units.
    expect(frugal.readUnits).toBeLessThanOrEqual(300);
  });

  describe('in a function with little time left', () => {
    const MARGIN_MS = 20_000;
    /** An invocation with 1 s before the margin. */
    const hurried = () => {
      const end = Date.now() + MARGIN_MS + 1_000;
      return { getRemainingTimeInMillis: () => end - Date.now() };
    };
    /** Throws unless the call ends when the time is nearly over, and no earlier. */
    const inTime = async <T>(call: () => Promise<T>): Promise<T> => {
      const began = performance.now();
      const answer = await call();
      expect(performance.now() - began).toBeGreaterThan(900);
      expect(performance.now() - began).toBeLessThan(15_000);
      return answer;
    };

    it('ends a run whose read units do not suffice for the table', async () => {
      await store(...Array.from({ length: 200 }, (_, id) => order(id, 1, 'new', id, 30_000)));
      const slow = handlerWith({ probeReadUnits: 1_000_000, readUnitsPerSecond: 20 });
      const { readUnits } = await inTime(() => slow({ action: 'probe' }, hurried()));
      expect(readUnits).toBeGreaterThan(0);
    });

    it('ends a run whose keys come slowly, and counts what it has seen', async () => {
      await change([order(1, 1, 'new', 1)]);
      const keys = async function* () {
        for (;;) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          yield ['detail@1:1'];
        }
      };
      const endless = handlerWith({ keys, probeReadUnits: 1_000_000 });
      const answer = await inTime(() => endless({ action: 'probe' }, hurried()));
      expect(total([answer]).observations).toBeGreaterThan(1);
    });

    it('lets all messages come again when the cache still gives no answer', async () => {
      const away = async (): Promise<never> => {
        throw new CacheUnavailableError('away');
      };
      const handler = handlerWith({ cache: { getMany: away, list: away }, clock: PROCESS_CLOCK, retryForMs: 600_000 });
      await change([order(1, 1, 'new', 1)]);
      const Records = mail.waiting.map(({ messageId, body }) => ({
        messageId,
        body: JSON.stringify({ ...JSON.parse(body), at: time - BOUND_MS, due: undefined }),
      }));
      expect(Records).toHaveLength(1);
      const { batchItemFailures } = await inTime(() => handler({ Records }, hurried()));
      expect(batchItemFailures).toEqual(Records.map(({ messageId }) => ({ itemIdentifier: messageId })));
      expect(total(facts).observations).toBe(0);
    });
  });
});

const isOffline = isMissing || missing(valkeyAvailable(), HOW_TO_GET_VALKEY) || missing(motoAvailable(), HOW_TO_GET_MOTO);

describe.skipIf(isOffline)('verifyHandler, with SQS of moto, Valkey and DynamoDB Local', { timeout: 120_000 }, () => {
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let moto: MotoServer;
  let sqs: SQSClient;
  beforeAll(async () => {
    [local, valkey, moto] = await Promise.all([startDynamoDbLocal(), startValkey(), startMoto()]);
    sqs = new SQSClient(moto.settings);
  }, 60_000);
  afterAll(async () => {
    sqs?.destroy();
    await Promise.all([local?.close(), valkey?.close(), moto?.close()]);
  });

  it('checks what the worker sampled, by messages that wait in the queue', async () => {
    const { tableName } = await createShopTable(local.client, 'shop');
    const cache = valkeyCache({ url: valkey.url });
    const { lines, logger } = logbook();
    try {
      const { QueueUrl: url = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'checks', Attributes: { DelaySeconds: '1' } }));
      const queue = sqsQueue({ url, client: sqs });
      const facts: VerifyFacts[] = [];
      const handler = verifyHandler({
        views: VIEWS,
        cache,
        table: { client: local.client, name: tableName },
        queue,
        boundMs: 1_000,
        keys: () => randomNames({ url: valkey.url, namespace: 'millrace' }),
        probeReadUnits: 100,
        logger,
        metrics: (some) => void facts.push(some),
      });
      const worker = streamHandler({ views: VIEWS, cache, logger, sample: sampler({ views: VIEWS, queue, oneIn: 1 }) });
      const orders = Array.from({ length: 25 }, (_, id) => order(id, 1, 'new', id, 10));
      for (const Item of orders) await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(Item) }));
      await worker(streamEvent(orders.map((one) => insert(one))));
      await cache.apply([{ kind: 'document', type: 'put', key: keyOf(shop.detail, 'ghost'), version: HAND, json: '1' }]);
      await handler({ action: 'probe' });
      const began = performance.now();
      // 1, 5 and 10 s.
      while (performance.now() - began < 13_000) {
        const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }));
        if (Messages.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          continue;
        }
        const { batchItemFailures } = await handler({
          Records: Messages.map(({ MessageId = '', Body = '' }) => ({ messageId: MessageId, body: Body })),
        });
        expect(batchItemFailures).toEqual([]);
        for (const { ReceiptHandle } of Messages) await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
      }
      const ofChecks = total(facts.filter(({ action }) => action === 'check'));
      // Two documents of each change, at three ages; and the ghost.
      expect(ofChecks.observations).toBeGreaterThanOrEqual(150);
      expect(total(facts).violations).toEqual({ ghost: expect.any(Number) });
      expect(lines.filter(({ message }) => message === 'violation').every(({ key }) => key === 'detail@1:ghost')).toBe(true);
    } finally {
      await cache.close();
    }
  });

  it('says which messages a queue has not taken', async () => {
    const { QueueUrl: url = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'small' }));
    const queue = sqsQueue({ url, client: sqs });
    const texts = Array.from({ length: 23 }, (_, i) => ({
      text: i === 7 ? 'x'.repeat(300_000) : `m${i} ${'y'.repeat(30_000)}`,
      delaySeconds: 0,
    }));
    const taken = await queue.send(texts);
    expect(taken.map((isTaken, i) => (isTaken ? undefined : i)).filter((i) => i !== undefined)).toEqual([7]);
    await expect(sqsQueue({ url: `${url}-other`, client: sqs }).send([{ text: 'a' }])).rejects.toThrow();
    expect(await queue.send([])).toEqual([]);
  });
});
