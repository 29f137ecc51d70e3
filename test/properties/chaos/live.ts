import type { MappingEvent } from '../../../src/testing/index.ts';
import { MAX_VALUE_BYTES } from '../world/items.ts';
import { Tally } from '../world/tally.ts';
import type { Backend } from './backends.ts';
import { ruleTimeouts, WorldClock } from './clock.ts';
import type { History } from './history.ts';
import { comeToRest } from './rest.ts';
import { World } from './world.ts';

/** Lives through one history. Throws an error with its story when something is wrong. */
export async function live(history: History, backend: Backend, tally: Tally): Promise<void> {
  const faults = await outcomeOf(history, backend, tally);
  if (faults.length === 0) return;
  // The story is only recorded in a second life, because recording is slow.
  const again = await storyOf(history, backend);
  const repeats = firstLine(again.faults) === firstLine(faults) ? '' : `\n  (the first time: ${faults[0]})`;
  throw new Error(`${again.faults.slice(0, 4).join('\n  ')}${repeats}\n\n  ${again.story.join('\n  ')}`);
}

/** The story of a history, line by line, and the faults at its end. */
export async function storyOf(history: History, backend: Backend): Promise<{ faults: readonly string[]; story: readonly string[] }> {
  const story: string[] = [];
  const faults = await outcomeOf(history, backend, new Tally(), (what) => story.push(typeof what === 'string' ? what : lineOf(what)));
  return { faults, story };
}

async function outcomeOf(history: History, backend: Backend, tally: Tally, tell?: World['tell']): Promise<readonly string[]> {
  const clock = new WorldClock();
  const undo = ruleTimeouts(clock);
  const { stackTraceLimit } = Error;
  // Thousands of errors are thrown, and their stacks cost the most time.
  if (!tell) Error.stackTraceLimit = 0;
  try {
    const cache = await backend.open({ maxValueBytes: MAX_VALUE_BYTES, now: clock.now });
    const world = new World(history, { clock, cache, tally, tell });
    for (const step of history.steps) {
      await world.take(step);
      if (world.misdeeds.length > 0) return world.misdeeds;
    }
    return await comeToRest(world);
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  } finally {
    undo();
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function lineOf(event: MappingEvent): string {
  return `  ${JSON.stringify(event, (_, value) => (value instanceof Error ? value.message : value))}`;
}

function firstLine(faults: readonly string[]): string | undefined {
  return faults[0]?.split('\n', 1)[0];
}
