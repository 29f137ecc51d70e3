import { setTimeout as sleep } from 'node:timers/promises';
import type { Attributes } from '../change.ts';
import { keyOf, type ListView, type View, viewName } from '../view.ts';
import type { Trouble } from './wire.ts';
import type { PlayedWorld } from './world.ts';

/** A trouble, and what makes it. `run` returns what happened, in one sentence or two. */
interface Played extends Trouble {
  run(world: PlayedWorld): Promise<string>;
}

const OUTAGE_MS = 10_000;
const KEPT_BACK_MS = 2_500;
const RESTART_MS = 800;

const TROUBLES: readonly Played[] = [
  {
    id: 'twice',
    title: 'Deliver twice',
    before: 'A new item is written, and its record is then delivered a second time, as a stream may do after a retry.',
    async run(world) {
      const item = await world.write(world.maker.create());
      await world.arrived(item);
      const [record] = world.recordsOf(item, 1);
      if (record) await world.deliver([record]);
      return `The record came twice, and the entries of the item are there once.${theirs(world, 'The usual worker has the order twice in its lists.')}`;
    },
  },
  {
    id: 'disorder',
    title: 'Deliver out of order',
    before: 'An item changes three times, and the two older records are delivered again after the newest one, in the wrong order.',
    async run(world) {
      const item = await world.write(world.maker.create());
      for (let i = 0; i < 2; i += 1) await world.write(world.maker.change(world.items.get(item) as Attributes));
      await world.arrived(item);
      const before = world.counts.stale;
      const records = world.recordsOf(item, 3);
      await world.deliver(records.slice(0, -1).reverse());
      const stale = world.counts.stale - before;
      return `The cache found ${count(stale, 'write')} older than what it holds (stale), and kept the newest value.${theirs(world, 'The usual worker now serves the oldest value.')}`;
    },
  },
  {
    id: 'replay',
    title: 'Replay from the start',
    before: 'The worker starts again at the beginning of the stream, and receives every record once more.',
    async run(world) {
      const before = world.counts.stale;
      await world.restart(true);
      await world.caughtUp();
      return `Every record came again. ${count(world.counts.stale - before, 'write')} found a newer version and changed nothing.${theirs(world, 'The usual worker added its orders to its lists once more.')}`;
    },
  },
  {
    id: 'kill',
    title: 'Kill the worker',
    before: 'The stream is held until six records wait, and the worker is killed after it has written a part of them.',
    async run(world) {
      world.dam.hold();
      const items: string[] = [];
      for (let i = 0; i < 6; i += 1) items.push(await world.write(world.maker.create()));
      const died = new Promise<void>((resolve) => {
        world.ourGate.killAfter(3, () => {
          world.ours.kill();
          resolve();
        });
        if (world.workshopOn) world.theirGate.killAfter(9, () => world.theirs.kill());
      });
      world.dam.release();
      await Promise.race([died, sleep(10_000)]);
      world.publish();
      await sleep(RESTART_MS);
      await world.restart(false);
      for (const item of items) await world.arrived(item);
      return `The next worker received the whole batch again, because its place in the stream was not saved, and completed it.${theirs(world, 'The usual worker has added the first orders of the batch twice.')}`;
    },
  },
  {
    id: 'stop',
    title: 'Stop the cache',
    before: 'The cache gives no answer for ten seconds, while four items change.',
    async run(world) {
      world.ourGate.stop();
      world.theirGate.stop();
      world.publish();
      const items: string[] = [];
      try {
        for (let i = 0; i < 4; i += 1) {
          items.push(await world.write(i % 2 === 0 ? world.maker.create() : world.maker.change(anyItem(world))));
          await sleep(OUTAGE_MS / 4);
        }
      } finally {
        world.ourGate.start();
        world.theirGate.start();
      }
      for (const item of items) await world.arrived(item);
      return `The records waited in the stream, and were applied when the cache answered again.${theirs(world, 'The usual worker logged the errors and went on, so it lost these changes.')}`;
    },
  },
  {
    id: 'evict',
    title: 'Evict keys',
    before: 'A full cache drops a document and the lists of its item; then the item changes, and a customer reads the document and a list.',
    async run(world) {
      const item = await world.write(world.maker.create());
      await world.arrived(item);
      const { document, list } = entriesOf(world, item);
      for (const name of [document, ...world.placesOf(item).lists]) if (name !== undefined) await world.evict(name);
      await world.write(world.maker.change(world.items.get(item) as Attributes));
      await world.arrived(item);
      const answers: string[] = [];
      if (list !== undefined) answers.push(`the list: ${await world.read(list).catch(messageOf)}`);
      if (document !== undefined) answers.push(`the document: ${await world.read(document).catch(messageOf)}`);
      return `What was dropped is a miss and no wrong answer. Read afterwards, ${answers.join('; ')}.${theirs(world, 'The usual worker made a list of this one order, which looks like the whole list.')}`;
    },
  },
  {
    id: 'flush',
    title: 'Flush the cache',
    before: 'All entries are dropped at once, together with their versions, and then an item is written.',
    async run(world) {
      await world.evict();
      const item = await world.write(world.maker.create());
      await world.arrived(item);
      return `The cache knows what came since, and reports all else as a miss: lists say that they are not complete until they are filled.${theirs(world, 'The usual worker shows lists of one order as if there were no others.')}`;
    },
  },
  {
    id: 'poison',
    title: 'Write a poison item',
    before: 'An item gets a value that the code of the views cannot take, so its record can never be applied.',
    async run(world) {
      const changed = world.surprise(world.maker.change(anyItem(world)));
      const item = await world.write(changed);
      await world.arrived(item);
      await until(() => world.letters.some((letter) => letter.item === item), 5_000);
      return 'The record lies whole in a dead letter, the other records go on, and the old value is a miss. Mend the code, and redrive the letter.';
    },
  },
  {
    id: 'hold',
    title: 'Hold the stream and read',
    before: 'The stream is held back, an item changes, and its writer reads it: without a ticket, and with one.',
    async run(world) {
      const item = await world.write(world.maker.create());
      await world.arrived(item);
      const { document } = entriesOf(world, item);
      if (document !== undefined) await world.read(document).catch(messageOf);
      world.dam.hold();
      try {
        await world.write(world.maker.change(world.items.get(item) as Attributes));
        if (document === undefined) return 'These views have no documents to read.';
        const view = viewOf(world, document) as View;
        const ticket = world.reader.wrote(view, document.slice(document.indexOf(':') + 1));
        const plain = await world.read(document).catch(messageOf);
        const own = await world.read(document, ticket).catch(messageOf);
        world.publish();
        await sleep(KEPT_BACK_MS);
        return `Without a ticket ${plain}. With the ticket of the write ${own}. The record arrives as the stream flows again.`;
      } finally {
        world.dam.release();
        await world.arrived(item);
      }
    },
  },
  {
    id: 'fill',
    title: 'Fill at the worst moment',
    before: 'A reader misses and reads the table; the item changes before the reader puts what it has read into the cache.',
    async run(world) {
      const item = await world.write(world.maker.create());
      await world.arrived(item);
      const { document } = entriesOf(world, item);
      if (document === undefined) return 'These views have no documents to fill.';
      await world.evict(document);
      const { cache } = world.options;
      const [looked] = await cache.getOrLease([document]);
      const old = world.items.get(item) as Attributes;
      const json = world.jsonOf(document);
      await world.write(world.maker.change(old));
      await world.arrived(item);
      const lease = looked?.type === 'miss' ? looked.lease : undefined;
      const [outcome] = lease
        ? await cache.settle([{ lease, found: { kind: 'document', ...(json !== undefined && { json }) } }])
        : ['lost'];
      if (world.workshopOn && typeof old.id === 'string') await world.workshop.set(old.id, JSON.stringify(old)).catch(() => {});
      const fate =
        outcome === 'lost'
          ? 'The lease was lost, because the stream wrote first, and the old value was not stored.'
          : 'The fill was stored.';
      return `${fate}${theirs(world, 'A reader of the usual kind takes no lease, and stored the old value.')}`;
    },
  },
  {
    id: 'overfill',
    title: 'Overfill a list',
    before: 'One list gets more members than it keeps, so it drops the oldest ones together with their versions.',
    async run(world) {
      const view = smallestList(world);
      if (!view) return 'These views have no lists.';
      const wanted = Math.min(view.keep + 10, MOST_MEMBERS);
      const list = await crowded(world, view, wanted);
      if (list === undefined) return 'No items could be made for one list.';
      const page = await world.options.cache.list(list, { limit: MOST_MEMBERS * 2 });
      return `${list} holds ${page.members.length} of ${world.sizeOf(list)} members. Its first page is the newest, and a reader goes on in the table where the list ends.${theirs(world, 'The list of the usual worker is one value, which became too large to store; the error is ignored.')}`;
    },
  },
];

const MOST_MEMBERS = 400;

/** The buttons. */
export const TROUBLE_BUTTONS: readonly Trouble[] = TROUBLES.map(({ id, title, before }) => ({ id, title, before }));

/** Makes a trouble, once all other trouble is over. Tells before and after what happens. */
export async function makeTrouble(world: PlayedWorld, id: string): Promise<string> {
  const trouble = TROUBLES.find((trouble) => trouble.id === id);
  if (!trouble) throw new Error(`there is no trouble ${id}`);
  const { title, before } = trouble;
  return await world.alone(async () => {
    world.tell({ id, title, before });
    try {
      const after = await trouble.run(world);
      world.tell({ id, title, before, after });
      return after;
    } catch (error) {
      const after = `It could not be done: ${messageOf(error)}`;
      world.tell({ id, title, before, after, failed: true });
      return after;
    }
  });
}

/** An item that may be changed; a new one if there is none. */
function anyItem(world: PlayedWorld): Attributes {
  const items = world.soundItems;
  return items[Math.floor(Math.random() * items.length)] ?? world.maker.create();
}

function theirs(world: PlayedWorld, sentence: string): string {
  return world.workshopOn ? ` ${sentence}` : '';
}

/** A document and a list that an item gives. */
function entriesOf(world: PlayedWorld, item: string): { readonly document?: string; readonly list?: string } {
  const { documents, lists } = world.placesOf(item);
  const list = lists.find((name) => readable(viewOf(world, name), name)) ?? lists[0];
  return { ...(documents[0] !== undefined && { document: documents[0] }), ...(list !== undefined && { list }) };
}

/** Whether a query of the table gives the list. */
function readable(view: View | undefined, name: string): boolean {
  return view?.kind === 'list' && view.from?.(name.slice(name.indexOf(':') + 1)) !== undefined;
}

function viewOf(world: PlayedWorld, name: string): View | undefined {
  return world.views.find((view) => name.startsWith(`${viewName(view)}:`));
}

function smallestList(world: PlayedWorld): ListView<unknown, unknown> | undefined {
  const lists = world.views.filter((view) => view.kind === 'list');
  return lists.sort((a, b) => a.keep - b.keep)[0];
}

/** Writes items until a list has this number of members. Returns its name. */
async function crowded(world: PlayedWorld, view: ListView<unknown, unknown>, wanted: number): Promise<string | undefined> {
  const prefix = keyOf(view, '');
  let fullest: string | undefined;
  for (let i = 0; i < wanted * 2; i += 1) {
    const item = await world.write(world.maker.crowd());
    const list = world
      .placesOf(item)
      .lists.filter((name) => name.startsWith(prefix))
      .at(-1);
    if (list !== undefined && world.sizeOf(list) > world.sizeOf(fullest)) fullest = list;
    if (world.sizeOf(fullest) >= wanted || world.isStopped) {
      await world.arrived(item);
      break;
    }
    // A burst, and no flood.
    if (i % 10 === 9) await sleep(20);
  }
  return fullest;
}

async function until(isDone: () => boolean, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs;
  while (!isDone() && Date.now() < end) await sleep(50);
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
