import { expect, it } from 'vitest';
import { busyEvenings } from '../../src/playground/evening.ts';
import { playStory } from '../../src/playground/story.ts';
import { PlayedWorld } from '../../src/playground/world.ts';
import { lookTwice, memoryOptions } from './stage.ts';

it('tells the whole story, in which only the usual worker ends up wrong', { timeout: 120_000 }, async () => {
  const world = new PlayedWorld(memoryOptions());
  await world.start();
  const evenings = busyEvenings(world);
  const captions: string[] = [];
  let [mostWrong, mostLetters, wasStopped, wasBroken] = [0, 0, false, false];
  world.subscribe(({ caption, counters, status }) => {
    if (caption && captions.at(-1) !== caption.title) captions.push(caption.title);
    if (counters) [mostWrong, mostLetters] = [Math.max(mostWrong, counters.everWrong), Math.max(mostLetters, counters.letters)];
    if (status) [wasStopped, wasBroken] = [wasStopped || status.cache === 'stopped', wasBroken || status.broken];
  });
  await playStory(world, { pace: 5 });
  await world.settled();
  const { ours, theirs } = await lookTwice(world);
  expect(captions).toEqual([
    'A table, and a cache beside it',
    'Each change travels through the stream',
    'The usual way, beside it',
    'A stream delivers at least once',
    'Old news comes late',
    'The worker dies in the middle of its work',
    'The cache goes away for ten seconds',
    'The cache forgets',
    'A record that can never be applied',
    'A busy evening',
    'Now it is your turn',
  ]);
  expect(ours).toEqual([]);
  expect({ mostWrong, mostLetters, wasStopped, wasBroken }).toEqual({ mostWrong: 0, mostLetters: 1, wasStopped: true, wasBroken: true });
  expect(world.letters).toEqual([]);
  expect(world.counts.stale).toBeGreaterThan(0);
  expect(theirs.join('\n')).toMatch(/times in the list/);
  await world.stop();
  await evenings;
});
