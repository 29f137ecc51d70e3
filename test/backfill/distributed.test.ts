import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { type BackfillHandlerOptions, type BackfillReport, backfillHandler } from '../../src/handlers/backfill-handler.ts';
import { type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { FLOOR } from '../../src/version.ts';
import type { View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { type MemoryStore, memoryStore } from '../letters/letters.ts';
import { only, type Properties, readTemplate, stackOf, TEMPLATES } from '../release/template.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { beginNow, faultsOf, fillTable, follow, type Orders, order, randomOf, write } from './orders.ts';
import { type Execution, type StateMachineOptions, stateMachine } from './state-machine.ts';

const VIEWS: readonly View[] = Object.values(shop);
const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);

const { resources } = stackOf(readTemplate(TEMPLATES.backfill), { TableName: 'orders', ValkeyUrl: 'valkey://cache' });

/** The definition of the template, with its substitutions in place. */
function definition(): Properties {
  const { Definition, DefinitionSubstitutions } = only(resources, 'BackfillStateMachine').Properties;
  const text = JSON.stringify(Definition).replace(/\$\{(\w+)\}/g, (_, name: string) =>
    String((DefinitionSubstitutions as Properties)[name]),
  );
  expect(text).not.toContain('${');
  return JSON.parse(text);
}

const machineOf = (options: StateMachineOptions) => stateMachine(definition(), options);

describe('the state machine of deploy/backfill.yaml', () => {
  const plan = { survey: 's1', tableId: 'x'.repeat(300) };
  /** Answers as the function does, after some runs of each segment. */
  const answering = (segments: number, runs: number, more: Properties = {}) => {
    const events: Properties[] = [];
    const left = new Map<string, number>();
    const invoke = async (_: string, payload: unknown) => {
      const event = payload as Properties;
      events.push(event);
      switch (event.action) {
        case 'plan':
          return {
            plan,
            segments: Array.from({ length: segments }, (_, i) => i),
            segmentsAtOnce: 5,
            hasLists: true,
            drainSeconds: 306,
            usableAt: new Date(Date.now() + 90_000).toISOString(),
            ...more,
          };
        case 'run': {
          const name = `${event.pass} ${event.segment}`;
          const n = (left.get(name) ?? runs) - 1;
          left.set(name, n);
          return { ...event, checkpoint: `c${n}`, isDone: n === 0 };
        }
        case 'sum':
          return { items: 1, readUnits: 1, unsealable: event.pass === 'fill' ? ['orders@1'] : [] };
        default:
          return { isAllDone: true };
      }
    };
    return { events, invoke };
  };

  it('runs the passes one after the other, each segment until it is done', async () => {
    const { events, invoke } = answering(7, 3);
    const waits: number[] = [];
    const machine = machineOf({
      invoke,
      async wait(seconds, why) {
        if (why === 'state') waits.push(seconds);
        events.push({ action: why });
      },
    });
    const execution = await machine.start({ segments: 7 }, 'e1');
    expect(execution).toMatchObject({ status: 'SUCCEEDED', output: { isAllDone: true }, atOnce: 5 });
    const order = events.map(({ action, pass }) => `${action} ${pass ?? ''}`.trim());
    expect(order.filter((it, i) => it !== order[i - 1])).toEqual([
      ...['plan', 'state', 'run mark', 'sum mark', 'state', 'run fill', 'sum fill', 'run seal', 'report'],
    ]);
    expect(order.filter((it) => it.startsWith('run'))).toHaveLength(7 * 3 * 3);
    expect(waits).toEqual([expect.closeTo(90, 0), 306]);
    expect(events[0]).toEqual({ action: 'plan', execution: 'e1', request: { segments: 7 } });
    expect(events.at(-1)).toEqual({ action: 'report', execution: 'e1' });
    expect(events.find(({ pass }) => pass === 'mark')).toEqual({ action: 'run', pass: 'mark', plan, segment: 0 });
    expect(events.find(({ action, pass }) => action === 'run' && pass === 'seal')).toMatchObject({ unsealable: ['orders@1'] });
  });

  it('runs the first pass only where there are no lists', async () => {
    const { events, invoke } = answering(2, 1, { hasLists: false });
    expect(await machineOf({ invoke }).start({}, 'e1')).toMatchObject({ status: 'SUCCEEDED' });
    expect(events.map(({ action, pass }) => `${action} ${pass ?? ''}`.trim())).toEqual([
      'plan',
      'run mark',
      'run mark',
      'sum mark',
      'report',
    ]);
  });

  it('keeps its state below the limit with the most segments', async () => {
    const { invoke } = answering(10_000, 1);
    expect(await machineOf({ invoke }).start({}, 'e1')).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('keeps the history of a child below the limit for ten days', async () => {
    const runs = (10 * 86_400) / 280;
    const { invoke } = answering(1, Math.ceil(runs));
    const { status, events } = await machineOf({ invoke }).start({}, 'e1');
    expect(status).toBe('SUCCEEDED');
    expect(events).toBeGreaterThan(runs);
  });

  it('repeats what may pass for more than ten minutes, and at once gives up what would fail again', async () => {
    for (const [name, attempts] of [
      ['CacheUnavailableError', 9],
      ['Sandbox.Timedout', 9],
      ['TypeError', 1],
      ['ConfigurationError', 1],
      ['TableRefusalError', 1],
    ] as const) {
      let calls = 0;
      let waited = 0;
      const { invoke } = answering(1, 1);
      const machine = machineOf({
        async invoke(functionName, payload) {
          if ((payload as Properties).pass !== 'fill') return await invoke(functionName, payload);
          calls += 1;
          throw Object.assign(new Error('no'), { name });
        },
        async wait(seconds, why) {
          if (why === 'retry') waited += seconds;
        },
      });
      expect(await machine.start({}, 'e1')).toMatchObject({
        status: 'FAILED',
        error: { error: 'States.ExceedToleratedFailureThreshold', cause: `${name}: no` },
      });
      expect([name, calls]).toEqual([name, attempts]);
      // With full jitter, half of 915 s on average.
      if (attempts > 1) expect(waited).toBeGreaterThan(60);
    }
  });

  it('begins neither the next pass nor the sealing when a child gives up', async () => {
    const { events, invoke } = answering(4, 1);
    const machine = machineOf({
      async invoke(functionName, payload) {
        const { pass, segment } = payload as Properties;
        if (pass === 'fill' && segment === 2) throw new TypeError('no');
        return await invoke(functionName, payload);
      },
    });
    expect(await machine.start({}, 'e1')).toMatchObject({ status: 'FAILED' });
    expect(events.some(({ action, pass }) => pass === 'seal' || action === 'report' || (action === 'sum' && pass === 'fill'))).toBe(false);
  });

  it('has three passes that differ in names and the pass only', () => {
    const { States } = definition() as { States: Readonly<Record<string, Properties>> };
    const [mark, fill, seal] = ['Mark', 'Fill', 'Seal'].map((name) => {
      const { Next, ItemSelector, ...rest } = States[name] as Properties;
      const { 'unsealable.$': unsealable, ...selector } = ItemSelector as Properties;
      const text = JSON.stringify([rest, selector]).replaceAll('BackfillFunction', 'FUNCTION');
      return { unsealable, text: text.replaceAll(name, 'NAME').replaceAll(name.toLowerCase(), 'name') };
    });
    expect(fill).toEqual(mark);
    expect(seal).toEqual({ ...mark, unsealable: '$.closed.unsealable' });
  });

  it('reports on an execution that failed, by its name', () => {
    const { EventPattern, Targets } = only(resources, 'FailureRule').Properties as {
      EventPattern: Properties;
      Targets: [{ InputTransformer: { InputPathsMap: Properties; InputTemplate: string } }];
    };
    const arn = 'arn:aws:states:eu-west-1:123456789012:stateMachine:backfill-state-machine';
    expect(EventPattern).toMatchObject({ detail: { stateMachineArn: [arn], status: ['FAILED', 'TIMED_OUT', 'ABORTED'] } });
    const { InputPathsMap, InputTemplate } = Targets[0].InputTransformer;
    expect(InputPathsMap).toEqual({ execution: '$.detail.name' });
    expect(JSON.parse(InputTemplate.replace('<execution>', '"e1"'))).toEqual({ action: 'report', execution: 'e1' });
  });

  it.each([
    [{ Next: 'Nowhere' }, 'Plan leads to Nowhere, which is no state beside it'],
    [{ TimeoutSeconds: 5 }, 'Plan has TimeoutSeconds, which is not known here'],
    [{ OutputPath: '$.Payload[0]' }, 'OutputPath of Plan is $.Payload[0], a path that is not known here'],
    [{ Type: 'Parallel' }, 'Plan has the type Parallel, which is not known here'],
    [{ Resource: 'arn:aws:states:::sqs:sendMessage' }, 'Plan has a Resource that is not known here'],
  ])('is run by what refuses the change %j', (change, message) => {
    const { States, ...rest } = definition() as { States: Properties };
    const changed = { ...rest, States: { ...States, Plan: { ...(States.Plan as Properties), ...change } } };
    expect(() => stateMachine(changed, { invoke: async () => ({}) })).toThrow(message);
  });
});

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

describe.skipIf(isMissing).each(['memory', 'Valkey'])(
  'a distributed backfill, of a table of DynamoDB Local into %s',
  { timeout: 120_000 },
  (backend) => {
    const silent = { info() {}, warn() {}, error() {} };
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
    let random = randomOf(SEED);
    beforeEach(async () => {
      tables += 1;
      random = randomOf(SEED + tables);
      store = memoryStore();
      const table = await createShopTable(local.client, `shop${tables}`);
      const cache = backend === 'memory' ? memoryCache() : valkeyCache({ url: valkey.url, namespace: table.tableName });
      orders = { local, ...table, cache, views: VIEWS };
      return async () => {
        await cache.close();
      };
    });
    const upTo = (n: number) => Math.floor(random() * n);

    const handlerWith = (options: Partial<BackfillHandlerOptions> = {}) =>
      backfillHandler({
        views: VIEWS,
        cache: orders.cache,
        table: { client: local.client, name: orders.tableName },
        checkpoints: store,
        logger: silent,
        readUnitsPerSecond: 6_000,
        segmentsAtOnce: 3,
        retryForMs: 50,
        ...options,
      });

    it('ends filled, sealed and equal to a table that is written meanwhile, although invocations end early, die, and run on unknown', async () => {
      const COUNT = 3_000;
      await fillTable(
        orders,
        Array.from({ length: COUNT }, (_, id) => order(id, id % 20, 'new', upTo(1_000), 4_000)),
      );
      // It follows what is written from here on: no record tells of the orders before.
      const following = await follow(orders);
      const stopWriting = write(orders, COUNT, upTo);
      const tally = { invocations: 0, killed: 0, lost: 0 };
      const unknown: Promise<unknown>[] = [];
      const invoke = async (_: string, payload: unknown): Promise<unknown> => {
        tally.invocations += 1;
        const end = Date.now() + 20_000 + 500 + upTo(2_000);
        const context = { getRemainingTimeInMillis: () => end - Date.now() };
        const { action } = payload as Properties;
        const chance = action === 'run' ? upTo(10) : 9;
        if (chance > 1) return await handlerWith()(payload as never, context);
        if (chance === 0) {
          // Its answer is lost, and Step Functions invokes again at once, while it runs on.
          tally.lost += 1;
          unknown.push(handlerWith()(payload as never, context).catch(() => {}));
          await sleep(upTo(50));
          throw Object.assign(new Error('the answer is lost'), { name: 'Lambda.SdkClientException' });
        }
        // It is killed: no call leaves it any more.
        tally.killed += 1;
        let isDead = false;
        const mortal = <T extends object>(target: T, methods: readonly (keyof T)[]): T => {
          const calls = methods.map((name) => [
            name,
            (...args: unknown[]) =>
              isDead ? new Promise(() => {}) : (target[name] as (...args: unknown[]) => unknown).apply(target, args),
          ]);
          return { ...target, ...Object.fromEntries(calls) };
        };
        const handler = handlerWith({
          cache: mortal({ ...orders.cache }, ['getOrLease', 'settle', 'mark', 'fill', 'seal', 'list']),
          checkpoints: mortal({ ...store }, ['get', 'put']),
        });
        const running = handler(payload as never, context);
        running.catch(() => {});
        await sleep(upTo(300));
        isDead = true;
        throw Object.assign(new Error('the function timed out'), { name: 'Sandbox.Timedout' });
      };
      const machine = machineOf({
        invoke,
        // The state waits until every invocation must be over.
        wait: async (_, why) => void (why === 'state' && (await Promise.all(unknown))),
      });
      let execution: Execution = await machine.start({ segments: 6 }, 'e1');
      for (let tries = 0; execution.status === 'FAILED' && tries < 5; tries += 1) execution = await execution.redrive();
      await stopWriting();
      await following.drained();
      await following.stop();
      await Promise.all(unknown);
      const about = `seed ${SEED}, ${JSON.stringify(tally)}`;
      expect(execution.error, about).toBeUndefined();
      expect(execution, about).toMatchObject({ status: 'SUCCEEDED', atOnce: 3, output: { isAllDone: true, status: 'done' } });
      expect(tally.invocations, about).toBeGreaterThan(6 * 3 + 4);
      expect(tally.killed + tally.lost, about).toBeGreaterThan(0);
      expect(await faultsOf(orders), about).toEqual([]);
    });

    it('seals nothing when a child gives up in the pass fill, reports it, and ends after a redrive or in a new execution', async () => {
      await fillTable(
        orders,
        Array.from({ length: 400 }, (_, id) => order(id, id % 20, 'new', id)),
      );
      let isBroken = true;
      const cache: BackfillHandlerOptions['cache'] = {
        ...orders.cache,
        fill: async (lists, survey) => {
          if (isBroken) throw new Error('the cache refuses');
          return await orders.cache.fill(lists, survey);
        },
      };
      const handler = handlerWith({ cache });
      const invoke = (_: string, payload: unknown) => handler(payload as never, { getRemainingTimeInMillis: () => 300_000 });
      const failed = await machineOf({ invoke }).start({ segments: 4 }, 'e1');
      expect(failed).toMatchObject({ status: 'FAILED', error: { cause: 'Error: the cache refuses' } });
      for (let creator = 0; creator < 20; creator += 1) {
        expect((await orders.cache.list(`orders@1:creator:creator${creator}`, { limit: 1 })).complete).toBe(false);
      }
      const report: BackfillReport = await handler({ action: 'report', execution: 'e1' });
      expect(report).toMatchObject({
        isAllDone: false,
        status: 'interrupted',
        items: 400,
        unfinished: { pass: 'fill', count: 4, segments: [0, 1, 2, 3] },
      });
      expect(report.views.map(({ lists }) => lists?.sealed ?? 0)).toEqual([0, 0, 0, 0]);

      isBroken = false;
      const fresh = await machineOf({ invoke }).start({ segments: 4 }, 'e2');
      expect(fresh).toMatchObject({ status: 'SUCCEEDED' });
      expect(await faultsOf(orders)).toEqual([]);
      expect(await failed.redrive()).toMatchObject({ status: 'SUCCEEDED', output: { status: 'done' } });
      expect(await faultsOf(orders)).toEqual([]);
    });

    describe('of views with lives', () => {
      let living: LivingCache;
      beforeEach(async () => {
        living = withLives({ ...orders.cache, close: async () => {} }, { askMs: 1 });
        await fillTable(
          orders,
          Array.from({ length: 200 }, (_, id) => order(id, id % 20, 'new', id)),
        );
        return async () => {
          await living.close();
        };
      });
      const idOf = async (view: string) => {
        await sleep(5);
        return (await living.lives()).get(view)?.life;
      };
      /** @param during called with each event of the function */
      const machine = (during: (event: Properties) => Promise<unknown> = async () => {}) => {
        const waits: number[] = [];
        const handler = handlerWith({ cache: living });
        const options: StateMachineOptions = {
          async invoke(_, payload) {
            await during(payload as Properties);
            return await handler(payload as never, { getRemainingTimeInMillis: () => 300_000 });
          },
          async wait(seconds, why) {
            if (why === 'state') waits.push(seconds);
            // Every worker knows of the lives.
            if (why === 'state' && waits.length === 1) await beginNow(orders.cache);
          },
        };
        return { handler, waits, start: (input: Properties, name: string) => machineOf(options).start(input, name) };
      };

      it('starts lives that are absent, waits until they are usable, and keeps those of other views', async () => {
        const other = (await living.start([{ name: 'other', revision: 1 }])).get('other@1');
        const { start, waits } = machine();
        expect(await start({ segments: 3 }, 'e1')).toMatchObject({ status: 'SUCCEEDED', output: { isAllDone: true } });
        expect(waits[0]).toBeCloseTo(90, -1);
        expect(await faultsOf({ ...orders, cache: living })).toEqual([]);
        expect(await orders.cache.get('detail@1:7')).toEqual({ type: 'miss' });
        const before = await living.lives();
        expect(before.get('other@1')?.life).toEqual(other?.life);

        const again = machine();
        expect(await again.start({ segments: 3 }, 'e2')).toMatchObject({ status: 'SUCCEEDED' });
        expect(again.waits[0]).toBe(0);
        expect((await living.lives()).get('detail@1')?.life).toBe(before.get('detail@1')?.life);
      });

      it('begins with new lives where the input is fresh', async () => {
        await living.start(VIEWS);
        await beginNow(orders.cache);
        const [detail, list] = [await idOf('detail@1'), await idOf('orders@1')];
        await living.apply([{ kind: 'document', type: 'put', key: 'detail@1:old', version: FLOOR, json: '"old"' }]);
        const { start, waits } = machine();
        expect(await start({ segments: 3, fresh: true, views: ['detail', 'cart', 'admin'] }, 'e1')).toMatchObject({ status: 'SUCCEEDED' });
        expect(waits[0]).toBeCloseTo(90, -1);
        expect(await idOf('detail@1')).not.toBe(detail);
        expect(await idOf('orders@1')).toBe(list);
        expect(await living.get('detail@1:old')).toEqual({ type: 'miss' });
        expect(await living.get('detail@1:7')).toMatchObject({ type: 'hit' });
      });

      it('fails when a life ends, reports it, and ends in a new execution', async () => {
        for (const [name, at] of [
          ['e1', (event: Properties) => event.action === 'run' && event.pass === 'fill'],
          ['e2', (event: Properties) => event.action === 'sum' && event.pass === 'fill'],
        ] as const) {
          let isEnded = false;
          const { handler, start } = machine(async (event) => {
            if (isEnded || !at(event)) return;
            isEnded = true;
            await living.start([shop.orders], { fresh: true });
          });
          const failed = await start({ segments: 2 }, name);
          expect(failed).toMatchObject({
            status: 'FAILED',
            error: { cause: expect.stringContaining('the life of orders@1 ended while the backfill ran') },
          });
          const report: BackfillReport = await handler({ action: 'report', execution: name });
          expect(report).toMatchObject({ isAllDone: false, status: 'interrupted', ended: ['orders@1'] });
          expect(await failed.redrive()).toMatchObject({ status: 'FAILED' });
          await beginNow(orders.cache);
        }
        const { handler, start } = machine();
        expect(await start({ segments: 2 }, 'e3')).toMatchObject({ status: 'SUCCEEDED', output: { isAllDone: true } });
        expect(await faultsOf({ ...orders, cache: living })).toEqual([]);
        await living.start([shop.detail], { fresh: true });
        await sleep(5);
        expect(await handler({ action: 'report', execution: 'e3' })).toMatchObject({
          isAllDone: false,
          status: 'done',
          ended: ['detail@1'],
        });
      });

      it('refuses to go on with a cache without lives, or without the time that they need', async () => {
        const { handler } = machine();
        const { plan } = await handler({ action: 'plan', execution: 'e1' });
        const run = { action: 'run', plan, pass: 'mark', segment: 0 } as const;
        await expect(handler(run)).rejects.toMatchObject({ name: 'CacheUnavailableError', message: /the lives of the views begin at/ });
        await expect(handlerWith()(run)).rejects.toThrow(
          'the backfill began with lives of views, and the function has its cache without them',
        );
        const { lives: _, ...without } = plan;
        await expect(handler({ ...run, plan: without })).rejects.toThrow(
          'began without lives of views, and the function has its cache with them',
        );
        await living.start([shop.cart], { fresh: true });
        await sleep(5);
        await expect(handler({ action: 'sum', plan, pass: 'mark' })).rejects.toMatchObject({
          name: 'ConfigurationError',
          message: expect.stringMatching(/^the life of cart@1 ended.* begin again by a new execution$/),
        });
        await expect(handlerWith()({ action: 'plan', execution: 'e2', request: { fresh: true } })).rejects.toThrow(
          'in request, fresh is "true", and the views of the cache have no lives',
        );
      });
    });
  },
);
