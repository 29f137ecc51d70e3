import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { tableReader } from '../../../src/dynamodb/table-reader.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { type RedriveSummary, redriveHandler } from '../../../src/handlers/redrive-handler.ts';
import type { StructuredLogger } from '../../../src/handlers/stream-handler.ts';
import { viewsOf } from './code.ts';
import type { World } from './world.ts';

const SILENT: StructuredLogger = { info() {}, warn() {}, error() {} };
const TIMEOUT_MS = 60_000;

/** The redrive function. Several runs may overlap, and some of them die. */
export class Redrives {
  readonly #world: World;
  #running = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** Resolves with the summary of the run, or with `undefined` when the run failed or died. */
  async run(limit: number | undefined, dieAfterMs = Infinity): Promise<RedriveSummary | undefined> {
    const { clock, tally } = this.#world;
    const started = clock.now();
    const diesAt = started + dieAfterMs;
    const isAlive = () => clock.now() < diesAt;
    const handler = this.#handler(isAlive);
    const context = { getRemainingTimeInMillis: () => Math.max(0, started + TIMEOUT_MS - clock.now()) };
    tally.add('redrives');
    this.#running += 1;
    try {
      const run = handler(limit === undefined ? undefined : { limit }, context);
      const summary = await (dieAfterMs === Infinity ? run : Promise.race([run, clock.sleep(dieAfterMs)]));
      if (summary) tally.add('letters redriven', summary.removed);
      else tally.add('redrives that died');
      return summary ?? undefined;
    } catch {
      return undefined;
    } finally {
      this.#running -= 1;
    }
  }

  #handler(isAlive: () => boolean) {
    const { lambda, views, bug, clock, chance, weathers, letters, journal, table } = this.#world;
    const client = this.#world.client();
    const send = (command: Parameters<typeof table.batchGet>[0]) =>
      weathers.call('table', {
        act: async () => table.batchGet(command, weathers.of('table') === 'flaky' ? 1 + chance.upTo(3) : 100),
        fault: () => new Error('InternalServerError'),
        isAlive,
      });
    return redriveHandler({
      views: viewsOf(lambda.code, views, bug),
      cache: {
        ...client,
        apply: (mutations) => {
          for (const mutation of mutations) journal.redrove(mutation);
          return weathers.call('cache', {
            act: () => clock.outside(client.apply(mutations)),
            part: () => clock.outside(client.apply(mutations.slice(0, 1 + chance.upTo(mutations.length)))),
            fault: () => new CacheUnavailableError('no answer'),
            isAlive,
          });
        },
      },
      letters: letters.client(isAlive),
      table: tableReader({ client: { send } as unknown as DynamoDBClient, sleep: clock.sleep, now: clock.now, random: chance.next }),
      logger: SILENT,
      now: () => new Date(clock.now()),
    });
  }
}
