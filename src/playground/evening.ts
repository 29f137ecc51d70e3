import { setTimeout as sleep } from 'node:timers/promises';
import type { Attributes } from '../change.ts';
import { makeTrouble, TROUBLE_BUTTONS } from './troubles.ts';
import type { PlayedWorld } from './world.ts';

const STEP_MS = 50;
/** About this number of items is in the table. */
const ITEMS = 60;
/** Pauses between two troubles, ms. */
const [SHORTEST_MS, LONGEST_MS] = [1_000, 3_000];

/** Writes to the table, and reads through the cache, as customers do on a busy evening, until the world is stopped. @param made is called with each random trouble */
export async function busyEvenings(
  world: PlayedWorld,
  { random = Math.random, made }: { readonly random?: () => number; readonly made?: (trouble: string) => void } = {},
): Promise<void> {
  let due = 0;
  let nextTrouble = Date.now() + SHORTEST_MS;
  let isTroubled = false;
  for (let at = performance.now(); !world.isStopped; ) {
    await sleep(STEP_MS);
    const now = performance.now();
    const { on, rate, trouble } = world.evening;
    if (on) due += ((now - at) * rate) / 1_000;
    else due = 0;
    at = now;
    // After a pause of this process, what was missed is not made up for.
    for (due = Math.min(due, rate); due >= 1; due -= 1) await writeOne(world, random).catch(() => {});
    if (on && random() < 0.15) void readOne(world, random).catch(() => {});
    if (!on || !trouble || isTroubled || Date.now() < nextTrouble) continue;
    isTroubled = true;
    void randomTrouble(world, random, made).finally(() => {
      isTroubled = false;
      nextTrouble = Date.now() + SHORTEST_MS + random() * (LONGEST_MS - SHORTEST_MS);
    });
  }
}

async function writeOne(world: PlayedWorld, random: () => number): Promise<void> {
  const items = world.soundItems;
  const item = items[Math.floor(random() * items.length)] as Attributes | undefined;
  const shareOfNew = items.length < ITEMS / 2 ? 0.7 : items.length < ITEMS ? 0.3 : 0.05;
  const shareOfDeletes = items.length > ITEMS ? 0.5 : 0.2;
  const chance = random();
  if (!item || chance < shareOfNew) await world.write(world.maker.create());
  else if (chance < shareOfNew + shareOfDeletes) await world.remove(world.nameOf(item));
  else await world.write(world.maker.change(item));
}

async function readOne(world: PlayedWorld, random: () => number): Promise<void> {
  const names = world.entryNames;
  const name = names[Math.floor(random() * names.length)];
  if (name !== undefined) await world.read(name);
}

async function randomTrouble(world: PlayedWorld, random: () => number, made?: (id: string) => void): Promise<void> {
  const pick = TROUBLE_BUTTONS[Math.floor(random() * TROUBLE_BUTTONS.length)];
  if (!pick) return;
  made?.(pick.id);
  await makeTrouble(world, pick.id);
  if (pick.id === 'poison') await world.alone(() => mendAndRedrive(world));
  if (pick.id === 'flush' || pick.id === 'overfill') await world.fillLists().catch(() => {});
}

/** Mends the code of the views, and takes up the dead letters. */
export async function mendAndRedrive(world: PlayedWorld): Promise<{ readonly removed: number; readonly kept: number }> {
  world.mend();
  return await world.redrive();
}
