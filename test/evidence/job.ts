import { escapeOf, liveBroken } from '../verify/broken-life.ts';
import { BROKEN } from '../verify/broken-workers.ts';
import { liveCorrect } from '../verify/correct-worker.ts';

/** What the job has to do: break things once each, and then verify correct workers until the time is over. */
export interface Task {
  readonly seed: number;
  /** ms since 1970 */
  readonly until: number;
}

/** A message of the job. `escaped`: why a break was not caught. */
export type News =
  | {
      readonly type: 'broken';
      readonly name: string;
      readonly seed: number;
      readonly wrong: number;
      readonly observations: number;
      readonly violations: number;
      readonly escaped?: string | undefined;
    }
  | {
      readonly type: 'correct';
      readonly seed: number;
      readonly faults: number;
      readonly observations: number;
      /** Each as JSON text, and addresses that are wrong at rest. */
      readonly violations: readonly string[];
    };

/** Observations of one life of a correct worker. */
const OBSERVATIONS = 20_000;

const tell = (news: News): void => void process.send?.(news);

process.once('message', async ({ seed, until }: Task) => {
  for (const broken of BROKEN) {
    const life = await liveBroken(broken, seed);
    const { lasting, followed, violations, observations } = life;
    const found = violations.length + followed.length;
    const wrong = lasting.length + followed.length;
    tell({ type: 'broken', name: broken.name, seed, wrong, observations, violations: found, escaped: escapeOf(broken, life) });
  }
  for (let life = 0; Date.now() < until || life < 2; life += 1) {
    const stragglers = life % 2 === 1;
    const { faults, observations, violations, wrong } = await liveCorrect(
      { seed: seed + life, stragglers },
      (enough) => enough >= OBSERVATIONS || (enough > 0 && Date.now() >= until),
    );
    const texts = [...violations.map((violation) => JSON.stringify(violation)), ...wrong];
    tell({ type: 'correct', seed: seed + life, faults, observations, violations: texts });
  }
  process.disconnect();
});
