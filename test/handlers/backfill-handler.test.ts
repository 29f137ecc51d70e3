import { DeleteTableCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import {
  type BackfillFacts,
  type BackfillHandlerOptions,
  type BackfillRequest,
  backfillHandler,
  type PlanAnswer,
  type RunAnswer,
  type RunEvent,
} from '../../src/handlers/backfill-handler.ts';
import { parseLetter } from '../../src/letters/letter.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { faultsOf, fillTable, type Orders, order } from '../backfill/orders.ts';
import { type MemoryStore, memoryStore } from '../letters/letters.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const VIEWS: readonly View[] = Object.values(shop);
const PLAN = {
  survey: 's1',
  begun: '2026-11-29T00:00:00.000Z',
  tableArn: 'arn:aws:dynamodb:us-east-1:1:table/t',
  tableId: 'id',
  streamArn: 'arn:aws:dynamodb:us-east-1:1:table/t/stream/2026',
  keys: ['pk', 'sk'],
  views: ['detail@1'],
  cache: 'cache',
  segments: 4,
  readUnitsPerSecond: 100,
};
const RUN = { action: 'run', plan: PLAN, pass: 'mark', segment: 0 };

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function logger(lines: Line[]) {
  const log = (level: string) => (message: string, fields: Readonly<Record<string, unknown>>) =>
    void lines.push({ level, message, fields });
  return { info: log('info'), warn: log('warn'), error: log('error') };
}

const silent = logger([]);

describe('backfillHandler', () => {
  const client = {
    send: async () => {
      throw new Error('the table is asked');
    },
  } as never;
  const handler = backfillHandler({
    views: VIEWS,
    cache: memoryCache(),
    table: { client, name: 't' },
    checkpoints: memoryStore(),
    logger: silent,
  });

  it.each([
    [undefined, 'the event is not an object: give { "action": … }'],
    [[], 'the event is not an object'],
    [{}, 'action is "undefined": give plan, run, sum, report'],
    [{ action: 'toString' }, 'action is "toString": give plan, run, sum, report'],
    [{ action: 'plan' }, 'execution is absent: give the name of an execution'],
    [{ action: 'plan', execution: 'a/b' }, 'execution is "a/b": give the name of an execution'],
    [
      { action: 'plan', execution: 'e', request: { segment: 4 } },
      'in request, segment is unknown: use views, segments, readUnitsPerSecond, segmentsAtOnce, fresh',
    ],
    [{ action: 'plan', execution: 'e', request: { fresh: 'yes' } }, 'in request, fresh is "yes": give true or false'],
    [{ ...RUN, plan: { ...PLAN, lives: { 'detail@1': 7 } } }, 'in plan, in lives, give what the action plan gave'],
    [{ action: 'plan', execution: 'e', request: [] }, 'request is a list: give an object'],
    [
      { action: 'plan', execution: 'e', request: { segments: 0, readUnitsPerSecond: '4000' } },
      'in request, segments is "0": give a whole number from 1 to 10000; readUnitsPerSecond is "4000": give a whole number from 1 to 1000000',
    ],
    [{ action: 'plan', execution: 'e', request: { views: [] } }, 'in request, views is a list: give at least one view, or leave it out'],
    [{ action: 'plan', execution: 'e', request: { views: ['nothing'] } }, 'views has "nothing", which is no view: give detail@1, admin@1'],
    [{ ...RUN, plan: undefined }, 'plan is absent: give an object'],
    [
      { ...RUN, plan: { ...PLAN, survey: 'a b', keys: 'pk' } },
      'in plan, survey is "a b": give what the action plan gave; keys is "pk": give a list of texts',
    ],
    [{ ...RUN, pass: 'done' }, 'pass is "done": give mark, fill or seal'],
    [{ ...RUN, segment: 4 }, 'segment is 4: the plan has 4 segments, from 0'],
    [{ ...RUN, segment: -1 }, 'segment is "-1": give a whole number from 0 to 9999'],
    [{ ...RUN, isDone: true }, 'isDone is "true": give false, or leave it out: this segment is done'],
    [{ ...RUN, checkpoint: 's2/mark/0-1.json' }, 'checkpoint is "s2/mark/0-1.json", which is none of segment 0 in the pass mark'],
    [{ ...RUN, checkpoint: 's1/mark/0-1.json' }, 'checkpoint is "s1/mark/0-1.json", which is none of segment 0 in the pass mark'],
    [{ ...RUN, extra: 1 }, 'extra is unknown: use plan, pass, segment, checkpoint, unsealable, isDone'],
    [{ action: 'sum', plan: PLAN }, 'pass is absent: give mark, fill or seal'],
    [{ action: 'report', execution: 'e' }, 'execution is "e", which planned no backfill: give the name of an execution of this stack'],
  ])('refuses the event %j, and names the field', async (event, message) => {
    const refused = handler(event as never);
    await expect(refused).rejects.toThrow(TypeError);
    await expect(refused).rejects.toThrow(message);
  });

  it('refuses to go on with other views or another cache than at the beginning', async () => {
    await expect(handler({ ...RUN, plan: { ...PLAN, views: ['detail@7'] } } as RunEvent)).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: 'the function has no view detail@7 any more: start a new execution, or deploy the function as it was',
    });
    await expect(handler({ ...RUN, plan: { ...PLAN, cache: 'other' } } as RunEvent)).rejects.toMatchObject({ name: 'ConfigurationError' });
  });
});

interface Thing {
  readonly id: string;
  readonly creator: string;
  readonly status: string;
  readonly numItems: number;
}

const thing = entity<Thing>({
  name: 'order',
  owns: ({ sk }) => sk === 'order',
  schema: { parse: (item) => item as Thing },
  secretKeys: ['pk'],
});
const check = ({ status }: Thing) => {
  if (status === 'bad') throw new Error('stumbles');
};
const doc = documentView<Thing, unknown>({
  name: 'doc',
  revision: 1,
  entity: thing,
  project: (item) => {
    check(item);
    return [{ key: item.id, value: item.status }];
  },
});
const frail = listView<Thing, unknown>({
  name: 'frail',
  revision: 1,
  keep: 5,
  entity: thing,
  project: (item) => {
    check(item);
    return [{ list: item.creator, score: item.numItems, value: item.id }];
  },
});
const sound = listView<Thing, unknown>({
  name: 'sound',
  revision: 1,
  keep: 5,
  entity: thing,
  project: (item) => [{ list: item.creator, score: item.numItems, value: item.id }],
});

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

describe.skipIf(isMissing).each(['memory', 'Valkey'])(
  'backfillHandler, of a table of DynamoDB Local into %s',
  { timeout: 60_000 },
  (backend) => {
    let local: DynamoDbLocal;
    let valkey: ValkeyServer;
    beforeAll(async () => {
      [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
    }, 60_000);
    afterAll(async () => {
      await Promise.all([local?.close(), valkey?.close()]);
    });

    let tables = 0;
    let orders: Orders;
    let store: MemoryStore;
    let lines: Line[];
    beforeEach(async () => {
      tables += 1;
      store = memoryStore();
      lines = [];
      const table = await createShopTable(local.client, `shop${tables}`);
      const cache = backend === 'memory' ? memoryCache() : valkeyCache({ url: valkey.url, namespace: table.tableName });
      orders = { local, ...table, cache, views: VIEWS };
      return async () => {
        await cache.close();
      };
    });

    const handlerWith = (options: Partial<BackfillHandlerOptions> = {}) =>
      backfillHandler({
        views: orders.views,
        cache: orders.cache,
        table: { client: local.client, name: orders.tableName },
        checkpoints: store,
        logger: logger(lines),
        readUnitsPerSecond: 1_000_000,
        segmentsAtOnce: 3,
        ...options,
      });
    type Handler = ReturnType<typeof handlerWith>;
    const fill = (count: number, bytes = 1_500) =>
      fillTable(
        orders,
        Array.from({ length: count }, (_, id) => order(id, id % 20, 'new', id, bytes)),
      );

    /** Invokes until a segment is done. */
    const runToEnd = async (handler: Handler, event: RunEvent): Promise<RunAnswer> => {
      let answer = await handler(event);
      for (let runs = 0; !answer.isDone; runs += 1) {
        if (runs > 100) throw new Error('it does not end');
        answer = await handler(answer);
      }
      return answer;
    };
    const runPass = async (
      handler: Handler,
      { plan, segments }: PlanAnswer,
      pass: 'mark' | 'fill' | 'seal',
      none: readonly string[] = [],
    ) => {
      for (const segment of segments)
        await runToEnd(handler, { action: 'run', plan, pass, segment, ...(pass === 'seal' && { unsealable: none }) });
    };
    const runAll = async (handler: Handler, execution: string, request: BackfillRequest = {}) => {
      const planned = await handler({ action: 'plan', execution, request });
      await runPass(handler, planned, 'mark');
      await handler({ action: 'sum', plan: planned.plan, pass: 'mark' });
      await runPass(handler, planned, 'fill');
      const { unsealable } = await handler({ action: 'sum', plan: planned.plan, pass: 'fill' });
      await runPass(handler, planned, 'seal', unsealable);
      return await handler({ action: 'report', execution });
    };

    it('plans the segments and the read units of each', async () => {
      const handler = handlerWith({ readUnitsPerSecond: 1_200 });
      const context = { getRemainingTimeInMillis: () => 300_000 };
      const { plan, ...rest } = await handler({ action: 'plan', execution: 'e1' }, context);
      expect(rest).toEqual({ segments: [0, 1], segmentsAtOnce: 2, usableAt: plan.begun, hasLists: true, drainSeconds: 306 });
      expect(plan).toMatchObject({ segments: 2, readUnitsPerSecond: 600, keys: ['pk', 'sk'], streamArn: orders.streamArn });
      expect(plan.survey).toMatch(/^[\da-f-]{36}$/);
      const request = { views: ['detail'], segments: 5, readUnitsPerSecond: 40, segmentsAtOnce: 4 };
      expect(await handler({ action: 'plan', execution: 'e1', request })).toMatchObject({
        plan: { views: ['detail@1'], readUnitsPerSecond: 40 },
        segments: [0, 1, 2, 3, 4],
        segmentsAtOnce: 1,
        hasLists: false,
      });
    });

    it('fills all, and reports', async () => {
      await fill(300);
      const figures: BackfillFacts[] = [];
      const handler = handlerWith({ metrics: (facts) => void figures.push(facts) });
      const report = await runAll(handler, 'e1');
      expect(report).toMatchObject({
        execution: 'e1',
        isAllDone: true,
        status: 'done',
        items: 300,
        views: [
          { view: 'detail@1', entries: 300, documents: { filled: 300, held: 0, lost: 0 }, threw: 0 },
          { view: 'admin@1', documents: { filled: 300 } },
          { view: 'orders@1', entries: 600, lists: { sealed: expect.any(Number), unsealed: 0, isSealable: true } },
          { view: 'cart@1', entries: 0 },
        ],
      });
      // A list counts in each segment that has members of it.
      expect(report.views[2]?.lists?.sealed).toBeGreaterThanOrEqual(21);
      expect(await faultsOf(orders)).toEqual([]);
      expect(JSON.parse(store.texts.get('reports/e1.json') ?? '')).toEqual(report);
      expect(lines).toEqual([{ level: 'info', message: 'backfill report', fields: report }]);
      expect(figures).toHaveLength(9);
      const total = (of: 'items' | 'filled' | 'sealed' | 'threw') => figures.reduce((all, facts) => all + facts[of], 0);
      expect([total('items'), total('filled'), total('threw')]).toEqual([900, 600, 0]);
      expect(figures.every(({ isDone, readUnits, milliseconds }) => isDone && readUnits >= 0 && milliseconds >= 0)).toBe(true);
    });

    it('stops in the middle of a segment when its time is nearly over, goes on there, and tells no key of an item', async () => {
      await fill(2_000, 4_000);
      const handler = handlerWith();
      const planned = await handler({ action: 'plan', execution: 'e1', request: { segments: 1, readUnitsPerSecond: 1_000 } });
      let event: RunEvent = { action: 'run', plan: planned.plan, pass: 'mark', segment: 0 };
      let runs = 0;
      for (;;) {
        const end = Date.now() + 20_000 + 2_500;
        const answer = await handler(event, { getRemainingTimeInMillis: () => end - Date.now() });
        expect(JSON.stringify(answer).length).toBeLessThan(2_000);
        expect(JSON.stringify(answer)).not.toContain('order#');
        runs += 1;
        if (answer.isDone) break;
        event = answer;
      }
      expect(runs).toBeGreaterThan(1);
      expect(Math.max(...[...store.texts.values()].map((text) => text.length))).toBeLessThan(8_000);
      await handler({ action: 'sum', plan: planned.plan, pass: 'mark' });
      expect(await handler({ action: 'report', execution: 'e1' })).toMatchObject({ items: 2_000, unfinished: { pass: 'fill', count: 1 } });
    });

    it('says so when the time is too short for one page', async () => {
      await fill(300);
      const handler = handlerWith();
      const { plan } = await handler({ action: 'plan', execution: 'e1' });
      const run = handler({ action: 'run', plan, pass: 'mark', segment: 0 }, { getRemainingTimeInMillis: () => 20_000 });
      await expect(run).rejects.toThrow(
        /segment 0 of the pass mark: no page was filled in the function's time: give more READ_UNITS_PER_SECOND/,
      );
    });

    it('goes on from its event after a kill, also beside the killed invocation', async () => {
      await fill(1_000, 4_000);
      for (const pass of ['mark', 'fill'] as const) {
        const handler = handlerWith();
        const { plan, segments } = await handler({ action: 'plan', execution: `e-${pass}`, request: { segments: 2 } });
        if (pass === 'fill') await runPass(handler, { plan, segments } as PlanAnswer, 'mark');
        if (pass === 'fill') await handler({ action: 'sum', plan, pass: 'mark' });
        let calls = 0;
        // It dies in its second call of the cache; the others of that invocation run on.
        const dying = <T extends (...args: never[]) => Promise<unknown>>(call: T): T =>
          (async (...args: never[]) => {
            calls += 1;
            return calls === 2 ? await new Promise(() => {}) : await call(...args);
          }) as T;
        const cache: CacheClient = { ...orders.cache };
        const killed = handlerWith({
          cache: {
            ...cache,
            getOrLease: dying(cache.getOrLease),
            settle: dying(cache.settle),
            mark: dying(cache.mark),
            fill: dying(cache.fill),
          },
        });
        const event: RunEvent = { action: 'run', plan, pass, segment: 0 };
        void killed(event);
        await expect.poll(() => calls).toBeGreaterThanOrEqual(2);
        for (const segment of segments) await runToEnd(handler, { ...event, segment });
        if (pass === 'mark') continue;
        const { unsealable } = await handler({ action: 'sum', plan, pass });
        await runPass(handler, { plan, segments } as PlanAnswer, 'seal', unsealable);
      }
      expect(await faultsOf(orders)).toEqual([]);
    });

    it('ends with what it has when the cache gives no answer, and fails when it has nothing', async () => {
      await fill(1_000, 4_000);
      let calls = 0;
      const away = handlerWith({
        retryForMs: 50,
        cache: {
          ...orders.cache,
          getOrLease(keys) {
            calls += 1;
            // A page takes three calls.
            return calls > 3 ? Promise.reject(new CacheUnavailableError('the cache is away')) : orders.cache.getOrLease(keys);
          },
        },
      });
      const { plan } = await away({ action: 'plan', execution: 'e1', request: { segments: 1 } });
      const answer = await away({ action: 'run', plan, pass: 'mark', segment: 0 });
      expect(answer).toMatchObject({ isDone: false, checkpoint: `${plan.survey}/mark/0-1.json` });
      await expect(away(answer)).rejects.toThrow('the cache is away');
      expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([
        { message: 'backfill failed on a page', fields: { pass: 'mark', segment: 0, error: { message: 'the cache is away' } } },
        { fields: { pages: 0 } },
      ]);
      expect(await runToEnd(handlerWith(), answer)).toMatchObject({ isDone: true, checkpoint: `${plan.survey}/mark/0.json` });
      await handlerWith()({ action: 'sum', plan, pass: 'mark' });
      expect(await handlerWith()({ action: 'report', execution: 'e1' })).toMatchObject({ items: 1_000 });
    });

    it('closes a pass only when all segments are done, and refuses runs of a closed pass', async () => {
      await fill(50);
      const handler = handlerWith();
      const planned = await handler({ action: 'plan', execution: 'e1' });
      const { plan } = planned;
      await runToEnd(handler, { action: 'run', plan, pass: 'mark', segment: 1 });
      await expect(handler({ action: 'sum', plan, pass: 'mark' })).rejects.toThrow(
        'the pass mark is not done: 2 segments are not, such as 0, 2',
      );
      expect(await handler({ action: 'report', execution: 'e1' })).toMatchObject({
        isAllDone: false,
        status: 'interrupted',
        unfinished: { pass: 'mark', count: 2, segments: [0, 2] },
      });
      await runPass(handler, planned, 'mark');
      expect(await handler({ action: 'sum', plan, pass: 'mark' })).toMatchObject({ items: 50, unsealable: [] });
      await expect(handler({ action: 'run', plan, pass: 'mark', segment: 0 })).rejects.toThrow('pass is "mark", which is closed');
    });

    it('fails when the table was made again meanwhile', async () => {
      const handler = handlerWith();
      const planned = await handler({ action: 'plan', execution: 'e1' });
      await runPass(handler, planned, 'mark');
      await local.client.send(new DeleteTableCommand({ TableName: orders.tableName }));
      await createShopTable(local.client, orders.tableName);
      await expect(handler({ action: 'sum', plan: planned.plan, pass: 'mark' })).rejects.toThrow(
        `table ${orders.tableName} was deleted and made again since the backfill began: start a new execution`,
      );
    });

    it('seals no list of a view that throws, and writes a letter', async () => {
      await fill(40);
      await fillTable(orders, [order(7, 3, 'bad', 7)]);
      const letters = memoryStore();
      const views = [doc, frail, sound] as unknown as readonly View[];
      const report = await runAll(handlerWith({ views, letters }), 'e1', { segments: 1 });
      expect(report).toMatchObject({
        isAllDone: false,
        status: 'done',
        views: [
          {
            view: 'doc@1',
            documents: { filled: 39 },
            threw: 1,
            examples: [expect.stringMatching(/^view doc cannot project \["#[\da-f]{8}","order"\]/)],
          },
          { view: 'frail@1', lists: { sealed: 0, isSealable: false }, threw: 1 },
          { view: 'sound@1', lists: { sealed: 20, isSealable: true }, threw: 0 },
        ],
      });
      expect(lines.at(-1)).toMatchObject({ level: 'warn', message: 'backfill report' });
      expect(JSON.stringify(lines)).not.toMatch(/order#7|stumbles/);
      expect(await orders.cache.list('frail@1:creator1', { limit: 2 })).toMatchObject({ complete: false });
      expect(await orders.cache.list('sound@1:creator1', { limit: 2 })).toMatchObject({
        complete: true,
        members: [{ value: '21' }, { value: '1' }],
      });
      expect([...letters.texts.values()].map((text) => parseLetter(text).event.Records.length)).toEqual([1]);
    });

    it('scans nothing in the pass seal when no list may be sealed', async () => {
      const handler = handlerWith();
      const { plan } = await handler({ action: 'plan', execution: 'e1', request: { views: ['orders', 'detail'] } });
      const asked: unknown[] = [];
      const client = { send: async (command: unknown) => void asked.push(command) } as never;
      const idle = handlerWith({ table: { client, name: orders.tableName } });
      const event: RunEvent = { action: 'run', plan, pass: 'seal', segment: 0, unsealable: ['orders@1'] };
      expect(await idle(event)).toMatchObject({ isDone: true });
      expect(asked).toEqual([]);
    });
  },
);
