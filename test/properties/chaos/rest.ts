import { MAX_VALUE_BYTES } from '../world/items.ts';
import { GOOD } from './code.ts';
import { isHandled, type Written } from './journal.ts';
import { differences, gaps, staleAnswers } from './judge.ts';
import type { Row } from './table.ts';
import type { World } from './world.ts';

const HOUR_MS = 3_600_000;
/** After this number of runs no letter is left that can be removed. */
const MOST_REDRIVES = 4;

/** Ends all faults, mends the code, and lets everything come to its end. Returns what is wrong then. */
export async function comeToRest(world: World): Promise<readonly string[]> {
  world.tell?.('--- all faults end');
  world.weathers.clear();
  await until(world, 'a ghost', () => world.isFreeOfGhosts);
  // The remaining poison is bad records, so an operator has removed the limit.
  world.lambda.deploy(GOOD, 0);
  world.bug.mended = true;
  await idle(world);
  world.tell?.('--- everything is at rest');
  const faults = [...world.misdeeds, ...neverApplied(world), ...(world.source.isRenewed ? [] : await staleAnswers(world))];
  if (faults.length > 0) return faults;
  if (world.history.losses && world.chance.hits(0.5)) await evictSome(world);
  world.tell?.('--- the letters are redriven');
  const stuck = await redriveAll(world);
  if (stuck.length > 0) return stuck;
  await resync(world);
  const wrong = await differences(world);
  if (wrong.length > 0 || world.misdeeds.length > 0 || !world.chance.hits(0.3)) return [...world.misdeeds, ...wrong];
  return await afterlife(world);
}

/** Replays every record, and then fills the cache by readers that nothing disturbs. */
async function afterlife(world: World): Promise<readonly string[]> {
  world.tell?.('--- all is replayed');
  for (const worker of world.workers) worker.beginAnew();
  await idle(world);
  const stuck = await redriveAll(world);
  const isNew = await resync(world);
  const faults = [...world.misdeeds, ...stuck, ...(await differences(world)), ...(isNew || !world.source.isWhole ? [] : await gaps(world))];
  if (faults.length > 0) return faults;
  world.tell?.('--- all is filled');
  for (const target of world.table.targets) await world.clock.until(world.readers.fill(target), HOUR_MS);
  return await differences(world);
}

/** Waits until every record is dealt with, and nothing runs any more. */
async function idle(world: World): Promise<void> {
  await until(world, 'a writer', () => world.source.isIdle);
  for (const worker of world.workers) await world.clock.until(worker.drained(), 12 * HOUR_MS);
  await until(world, 'something', () => world.isIdle);
  for (const worker of world.workers) worker.kill(0);
}

async function until({ clock }: World, what: string, isOver: () => boolean): Promise<void> {
  for (let seconds = 0; !isOver(); seconds += 1) {
    if (seconds > 600) throw new Error(`${what} does not come to its end`);
    await clock.advance(1_000);
  }
}

function neverApplied({ journal, letters }: World): readonly string[] {
  const held = new Set(
    [...letters.records()].flatMap(([, records]) => records.map((it) => journal.find(it.eventSourceARN, it.dynamodb?.SequenceNumber))),
  );
  const faults: string[] = [];
  for (const written of journal.records) {
    const name = `${written.number} of ${written.item || 'no item'}`;
    if (!isHandled(written)) faults.push(`${name} was neither applied nor set aside`);
    else if (written.missing.size > 0 && !written.lost && !written.redriven && !held.has(written))
      faults.push(`the letter of ${name} is gone`);
  }
  return faults;
}

async function evictSome(world: World): Promise<void> {
  for (const target of world.table.targets) if (world.chance.hits(0.3)) await world.evict(target, world.chance.upTo(4));
}

/** Redrives all letters. Returns those that should have been removed. */
async function redriveAll(world: World): Promise<readonly string[]> {
  for (let n = 0; n < MOST_REDRIVES; n += 1) {
    const summary = await world.clock.until(world.redrives.run(undefined), HOUR_MS);
    if (!summary) return ['a redrive failed while all was well'];
    if (!summary.stopped && (summary.kept === 0 || summary.removed === 0)) break;
  }
  const faults: string[] = [];
  for (const [name, records] of world.letters.records()) {
    const written = records.map((it) => world.journal.find(it.eventSourceARN, it.dynamodb?.SequenceNumber) as Written);
    const mayStay = written.some(({ item, garbled }) => item === '' || garbled === 'old' || isTooLarge(world.table.rows.get(item)));
    if (!mayStay) faults.push(`letter ${name} stays: ${JSON.parse(world.letters.texts.get(name) ?? '').millrace?.redrives?.cause}`);
  }
  return faults;
}

/** Resyncs the cache if records were lost, or if old addresses are unknown, as the log of the worker asks for. */
async function resync(world: World): Promise<boolean> {
  const lost = [...world.journal.records].filter((written) => written.lost || written.garbled === 'old');
  if (lost.length === 0) return false;
  world.tell?.('--- the cache is flushed, because records were lost');
  world.tally.add('resyncs');
  await world.flush();
  return true;
}

function isTooLarge(row: Row | undefined): boolean {
  return row?.projected.some(({ json }) => Buffer.byteLength(json) > MAX_VALUE_BYTES) ?? false;
}
