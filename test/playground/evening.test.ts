import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { busyEvenings, mendAndRedrive } from '../../src/playground/evening.ts';
import { lookTwice, startWorld } from './stage.ts';

/** How long the evening is, s. Default: 20. */
const SECONDS = Number(process.env.EVENING_SECONDS ?? 20);
const RATE = Number(process.env.EVENING_RATE ?? 40);

it(`a busy evening of ${SECONDS} s with random trouble leaves 0 wrong entries in our cache`, {
  timeout: SECONDS * 1_000 + 120_000,
}, async () => {
  const world = await startWorld();
  const troubles: Record<string, number> = {};
  const evenings = busyEvenings(world, { made: (trouble) => (troubles[trouble] = (troubles[trouble] ?? 0) + 1) });
  world.evening = { on: true, rate: RATE, trouble: true };
  const seen = new Set<string>();
  let most = 0;
  for (const end = Date.now() + SECONDS * 1_000; Date.now() < end; ) {
    await sleep(200);
    for (const { place, fault, cache, table } of world.wrong) seen.add(`${place}: ${fault}: ${cache} / ${table}`);
    most = Math.max(most, world.theirWrong.length);
  }
  world.evening = { ...world.evening, on: false };
  // The last trouble comes to its end.
  await world.alone(async () => {});
  await world.alone(() => mendAndRedrive(world));
  await world.settled();
  const { ours, theirs } = await lookTwice(world);
  console.log({
    seconds: SECONDS,
    ...world.counts,
    judged: world.judged,
    troubles,
    seen: seen.size,
    ours: ours.length,
    theirs: theirs.length,
    theirMost: most,
    letters: world.letters.length,
  });
  expect([...seen, ...ours]).toEqual([]);
  // Most looks find entries that no record is on its way to.
  expect(world.judged).toBeGreaterThan(SECONDS * 50);
  expect(theirs.length).toBeGreaterThan(0);
  expect(world.letters).toEqual([]);
  await world.stop();
  await evenings;
});
