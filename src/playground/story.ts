import { setTimeout as sleep } from 'node:timers/promises';
import { mendAndRedrive } from './evening.ts';
import { makeTrouble } from './troubles.ts';
import type { PlayedWorld } from './world.ts';

interface Step {
  readonly title: string;
  readonly text: string;
  /** How long the caption stays at least, ms. */
  readonly ms: number;
  run?(world: PlayedWorld, pause: Pause): Promise<unknown>;
}

/** Lets people look, for `ms` at the pace of people. */
type Pause = (ms: number) => Promise<unknown>;

/** The whole story, in about two minutes. */
const STORY: readonly Step[] = [
  {
    title: 'A table, and a cache beside it',
    text: 'On the left is a DynamoDB table. On the right is a cache, which answers faster and cheaper. The cache is only of use while it says what the table says.',
    ms: 9_000,
  },
  {
    title: 'Each change travels through the stream',
    text: 'An order is written to the table. The table puts a record into its stream, and Millrace makes cache entries of the record. No other code writes to the cache.',
    ms: 10_000,
    async run(world, pause) {
      for (let i = 0; i < 4; i += 1) {
        await world.write(world.maker.create());
        await pause(900);
      }
    },
  },
  {
    title: 'The usual way, beside it',
    text: 'Many workers are written as in a well-known workshop: take the record, overwrite the entry. Such a worker now follows the same stream. In quiet times, both look alright.',
    ms: 9_000,
    async run(world) {
      await world.setWorkshop(true);
      await world.write(world.maker.create());
    },
  },
  {
    title: 'A stream delivers at least once',
    text: 'The same record comes a second time, as it does after a retry. Entries of Millrace carry the version of their record, so the second time changes nothing.',
    ms: 9_000,
    run: (world) => makeTrouble(world, 'twice'),
  },
  {
    title: 'Old news comes late',
    text: 'Older records arrive after newer ones. Millrace applies a change unless its address holds a newer version. The other worker now serves an old value, and nobody will correct it.',
    ms: 10_000,
    run: (world) => makeTrouble(world, 'disorder'),
  },
  {
    title: 'The worker dies in the middle of its work',
    text: 'It is killed after a part of a batch. The next worker gets the whole batch again, and completes it.',
    ms: 9_000,
    run: (world) => makeTrouble(world, 'kill'),
  },
  {
    title: 'The cache goes away for ten seconds',
    text: 'Records wait in the stream, and none is lost. The other worker logs errors, goes on, and has lost the changes for good.',
    ms: 13_000,
    run: (world) => makeTrouble(world, 'stop'),
  },
  {
    title: 'The cache forgets',
    text: 'A full cache may drop any entry at any time. Millrace then says: I do not know, ask the table. It never takes one order for the whole list. Then the lists are filled from the table.',
    ms: 10_000,
    async run(world, pause) {
      await makeTrouble(world, 'evict');
      await pause(4_000);
      await world.fillLists();
    },
  },
  {
    title: 'A record that can never be applied',
    text: 'Code that does not know a new value fails on it, again and again. Millrace keeps the record whole in a dead letter, and the others go on. Then the code is mended, and the letter is taken up.',
    ms: 11_000,
    async run(world, pause) {
      await makeTrouble(world, 'poison');
      await pause(4_000);
      await world.alone(() => mendAndRedrive(world));
    },
  },
  {
    title: 'A busy evening',
    text: 'Thirty writes a second. Look at the two numbers on top: entries that differ from the table, although no record of them is on its way.',
    ms: 16_000,
    async run(world, pause) {
      world.evening = { on: true, rate: 30, trouble: false };
      await pause(8_000);
      await makeTrouble(world, 'replay');
      await pause(4_000);
      world.evening = { ...world.evening, on: false };
    },
  },
  {
    title: 'Now it is your turn',
    text: 'Write, edit and delete items. Make trouble with the buttons. Select an entry to see which records came to it, and what became of them.',
    ms: 1_000,
  },
];

const playing = new WeakSet<PlayedWorld>();

/** Plays the story, unless it plays already. The last caption stays. @param pace of the pauses. Default: 1, for people. */
export async function playStory(world: PlayedWorld, { pace = 1 } = {}): Promise<void> {
  if (playing.has(world)) return;
  playing.add(world);
  const pause: Pause = (ms) => sleep(ms / pace);
  try {
    for (const [i, { title, text, ms, run }] of STORY.entries()) {
      if (world.isStopped) return;
      world.caption = { step: i + 1, steps: STORY.length, title, text };
      world.publish();
      await Promise.all([run?.(world, pause).catch(() => {}), pause(ms)]);
    }
  } finally {
    playing.delete(world);
  }
}
