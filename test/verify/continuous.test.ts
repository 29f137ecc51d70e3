import { describe, expect, it } from 'vitest';
import { itemOf } from '../../src/change.ts';
import { attributesOf, type Marshalled } from '../../src/dynamodb/record.ts';
import { type CheckQueue, sampler, type VerifyFacts, verifyHandler } from '../../src/handlers/verify-handler.ts';
import { violationsIn } from '../../src/verify/counts.ts';
import { FAULTS, type Fault } from '../../src/verify/observation.ts';
import { randomOf } from '../backfill/orders.ts';
import { BROKEN } from './broken-workers.ts';
import { BOUND_MS, WORLD_VIEWS, World, type WorldOptions } from './world.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
/** Of virtual time. More of them show more. */
const MINUTES = Number(process.env.VERIFY_MINUTES ?? 8);
const MINUTE_MS = 60_000;

/** The others take the same ways. */
const CAUGHT = ['versions are ignored', 'the old image', 'lists are sealed', 'keys are written', 'acknowledged writes'];

/** The table of a world, as the SDK's client gives it. */
function clientOf(world: World) {
  const signal = new AbortController().signal;
  const units = (CapacityUnits: number) => ({ CapacityUnits });
  const send = async (command: { readonly constructor: { readonly name: string }; readonly input: Record<string, unknown> }) => {
    const { input } = command;
    switch (command.constructor.name) {
      case 'DescribeTableCommand':
        return {
          Table: {
            TableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/things',
            ItemCount: world.table.items.size,
            KeySchema: [{ AttributeName: 'pk' }, { AttributeName: 'sk' }],
            AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
            StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
            LatestStreamArn: 'arn',
          },
        };
      case 'ScanCommand': {
        const [segment, segments, after] = [Number(input.Segment), Number(input.TotalSegments), input.ExclusiveStartKey as Marshalled];
        const page = await world.table.scan({ segment, segments, after, consistent: true }, signal);
        return { Items: page.items, LastEvaluatedKey: page.next, ConsumedCapacity: units(page.units) };
      }
      case 'BatchGetItemCommand': {
        const requests = Object.entries(input.RequestItems as Readonly<Record<string, { readonly Keys: readonly Marshalled[] }>>);
        const [name, { Keys }] = requests[0] as (typeof requests)[number];
        const found = Keys.flatMap((key) => world.table.items.get(itemOf(attributesOf(key))) ?? []);
        return { Responses: { [name]: found }, ConsumedCapacity: [units(Keys.length)] };
      }
      default:
        throw new Error(`${command.constructor.name} is not made`);
    }
  };
  return { send } as never;
}

/** A worker whose sample is checked, and whose cache is probed, all the time. */
async function verified(options: Omit<WorldOptions, 'sample'>, minutes: number, strike?: (world: World) => Promise<void>) {
  const waiting: { readonly messageId: string; readonly body: string; readonly due: number }[] = [];
  let messages = 0;
  const queue: CheckQueue = {
    async send(some) {
      for (const { text, delaySeconds = BOUND_MS / 1_000 } of some) {
        messages += 1;
        waiting.push({ messageId: String(messages), body: text, due: world.clock.now() + delaySeconds * 1_000 });
      }
      return some.map(() => true);
    },
  };
  const random = randomOf(options.seed + 1);
  const sample = sampler({ views: WORLD_VIEWS, queue, oneIn: 3, random, now: () => world.clock.now() });
  // What was there before the load is not sampled.
  const world: World = new World({
    ...options,
    sample: async (...given) => (world.isLoaded ? await sample(...given) : { sampled: 0, failed: 0 }),
  });
  const facts: VerifyFacts[] = [];
  const kinds = new Map<string, Set<Fault>>();
  const found = (probe: string, fault: Fault) => kinds.set(probe, (kinds.get(probe) ?? new Set()).add(fault));
  const handler = verifyHandler({
    views: WORLD_VIEWS,
    cache: world.downCache(),
    table: { client: clientOf(world), name: 'things' },
    queue,
    keys: async function* () {
      const all: string[] = [];
      // The cart's lists need a query.
      for await (const some of world.keys()) all.push(...some.filter((key) => !key.startsWith('cart')));
      for (;;) yield Array.from({ length: 100 }, () => all[Math.floor(random() * all.length)] as string);
    },
    boundMs: BOUND_MS,
    probeReadUnits: 500,
    readUnitsPerSecond: 1e9,
    clock: world.clock,
    random,
    logger: { info() {}, warn() {}, error: (_, { probe, fault }) => void found(String(probe), fault as Fault) },
    metrics: (some) => void facts.push(some),
  });
  const deliver = async (): Promise<void> => {
    const due = waiting.filter((message) => message.due <= world.clock.now()).slice(0, 500);
    if (due.length === 0) return;
    const { batchItemFailures } = await handler({ Records: due });
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    for (const message of due) if (!failed.has(message.messageId)) waiting.splice(waiting.indexOf(message), 1);
  };
  await world.begin();
  world.load();
  const until = world.clock.now() + minutes * MINUTE_MS;
  const run = async (): Promise<void> => {
    for (let n = 0; world.clock.now() < until; n += 1) {
      await world.clock.sleep(5_000);
      await deliver();
      // Every two minutes: of a small world, the probes see a large part.
      if (n % 24 === 23) await handler({ action: 'probe' });
      // Then little changes, so that faults last.
      if (n > 0.5 * minutes * 12) world.calm = 30;
      if (n === Math.ceil(0.6 * minutes * 12)) await strike?.(world);
    }
  };
  await world.clock.run(run());
  await world.rest();
  await world.stop();
  const counts = facts.flatMap(({ views }) => views.map(({ counts }) => counts));
  const sum = (what: 'observations' | 'late' | 'misses' | 'undecided') => counts.reduce((all, one) => all + one[what], 0);
  return {
    observations: sum('observations'),
    late: sum('late'),
    misses: sum('misses'),
    undecided: sum('undecided'),
    violations: counts.reduce((all, one) => all + violationsIn(one), 0),
    kinds: Object.fromEntries([...kinds].map(([probe, faults]) => [probe, FAULTS.filter((fault) => faults.has(fault))])),
    greatestLagMs: world.greatestLagMs,
  };
}

describe('the verifier in AWS, in virtual time', () => {
  it.each([
    ['evictions', false],
    ['late records', true],
  ])(
    'finds no violation of a correct worker, with failing calls, failovers, fills, and %s',
    async (_, stragglers) => {
      const { kinds, ...counts } = await verified({ seed: SEED, stragglers }, MINUTES);
      console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
      expect(counts.greatestLagMs, `seed ${SEED}`).toBeLessThan(BOUND_MS);
      expect(kinds, `seed ${SEED}`).toEqual({});
      expect(counts.violations, `seed ${SEED}`).toBe(0);
      expect(counts.observations, `seed ${SEED}`).toBeGreaterThan(500 * MINUTES);
      expect(counts.undecided, `seed ${SEED}`).toBeLessThan(counts.observations / 100);
    },
    300_000,
  );

  it.each(BROKEN.filter(({ name }) => CAUGHT.some((start) => name.startsWith(start))))(
    'finds what is broken: $name',
    async ({ name, options, strike, shows }) => {
      const { kinds, ...counts } = await verified({ seed: SEED, ...options }, 2 * MINUTES, strike);
      console.log(`${name}, seed ${SEED}: ${JSON.stringify({ ...counts, kinds })}`);
      const seen = new Set(Object.values(kinds).flat());
      for (const fault of shows) expect(seen, `seed ${SEED}`).toContain(fault);
    },
    300_000,
  );
});
