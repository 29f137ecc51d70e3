import type { Attributes } from '../change.ts';
import { busyEvenings } from './evening.ts';
import { itemFor } from './items.ts';
import { type PageServer, servePage } from './server.ts';
import { playStory } from './story.ts';
import { makeTrouble, TROUBLE_BUTTONS } from './troubles.ts';
import type { Answer, Command } from './wire.ts';
import { PlayedWorld, type PlayedWorldOptions } from './world.ts';

export interface PlaygroundOptions extends PlayedWorldOptions {
  /** Port of the page. Default: a free port. */
  readonly port?: number | undefined;
  /** The folder of the built page. Default: that of this package. */
  readonly page?: URL;
  /** Whether the playground writes the first items, and fills the lists. Default: false, because the table may be one of yours. */
  readonly seed?: boolean;
  /** Whether the story is played at once. */
  readonly demo?: boolean;
}

export interface Playground {
  readonly url: string;
  readonly world: PlayedWorld;
  close(): Promise<void>;
}

const FIRST_ITEMS = 6;
const FASTEST = 500;

/** Starts a worker that follows the stream, and serves the page that shows and troubles it. */
export async function startPlayground(options: PlaygroundOptions): Promise<Playground> {
  const world = new PlayedWorld(options);
  world.troubles = TROUBLE_BUTTONS;
  let server: PageServer | undefined;
  await world.start();
  try {
    if (options.seed) await seed(world);
    server = await servePage({
      port: options.port,
      page: options.page ?? new URL('./page/', import.meta.url),
      subscribe: (listener) => world.subscribe(listener),
      command: (command) => perform(world, command as Command),
    });
  } catch (error) {
    await world.stop();
    throw error;
  }
  const { url, close } = server;
  const evenings = busyEvenings(world);
  if (options.demo) void playStory(world);
  return {
    url,
    world,
    async close() {
      await close();
      await world.stop();
      await evenings;
    },
  };
}

/** The first items, and complete lists. Views for which no item can be made begin empty. */
async function seed(world: PlayedWorld): Promise<void> {
  try {
    for (let i = 0; i < FIRST_ITEMS; i += 1) await world.write(world.maker.create());
    if (world.options.isSample) {
      for (const id of ['42', '43']) await world.write({ pk: 'cart#7', sk: `product#${id}`, quantity: 1 + (Number(id) % 2) });
    }
  } catch {
    return;
  }
  await world.settled();
  await world.fillLists();
}

/** What writes items that the user has not written, or reads a whole table. */
const WRITES = new Set(['create', 'trouble', 'evening', 'demo', 'fill-lists']);

async function perform(world: PlayedWorld, command: Command): Promise<Answer> {
  if (world.options.isRemote && WRITES.has(command.do)) {
    return { error: 'This table is in AWS, so the playground writes to it by the form only. Make trouble with npm run playground.' };
  }
  switch (command.do) {
    case 'write': {
      const item = objectOf(command.item);
      const missing = world.options.table.keys.filter((key) => item[key] === undefined || item[key] === '');
      if (missing.length > 0) return { error: `The item needs a value for ${missing.join(' and ')}.` };
      await world.write(item);
      return { text: 'Written to the table.' };
    }
    case 'create':
      await world.write(world.maker.create());
      return { text: 'A new item was written to the table.' };
    case 'example': {
      const entity = world.options.views.find(({ entity }) => entity.name === command.entity)?.entity;
      return { text: '', item: entity ? itemFor(entity, world.options.views, world.maker) : {} };
    }
    case 'delete':
      await world.remove(String(command.item));
      return { text: 'Deleted from the table.' };
    case 'trouble':
      // The list of what happened says it.
      await makeTrouble(world, String(command.id));
      return { text: '' };
    case 'evict':
      await world.alone(() => world.evict(String(command.name)));
      return { text: `${command.name} was dropped from the cache.` };
    case 'read':
      return { text: `Read ${command.name}: ${await world.read(String(command.name))}.` };
    case 'history':
      return { text: '', history: world.history(String(command.name)), ...valued(await world.valueOf(String(command.name))) };
    case 'mend':
      world.mend();
      return { text: 'The code of the views now takes the value. The letter waits for its redrive.' };
    case 'redrive': {
      const { removed, kept } = await world.alone(() => world.redrive());
      return { text: `${removed} dead letters were settled and removed, ${kept} were kept.` };
    }
    case 'fill-lists':
      await world.alone(() => world.fillLists());
      return { text: 'All lists were completed from the table.' };
    case 'workshop':
      await world.alone(() => world.setWorkshop(command.on === true));
      return { text: command.on ? "The workshop's worker follows the same stream." : "The workshop's worker is off." };
    case 'evening': {
      const rate = Math.min(FASTEST, Math.max(1, Number(command.rate) || 1));
      world.evening = { on: command.on === true, rate, trouble: command.trouble === true };
      world.publish();
      return { text: command.on ? `A busy evening: ${rate} writes a second.` : 'The evening is over.' };
    }
    case 'demo':
      void playStory(world);
      return { text: '' };
    default:
      return { error: 'The playground does not know this command.' };
  }
}

function valued(value: string | undefined): { readonly value?: string } {
  return value === undefined ? {} : { value };
}

function objectOf(item: unknown): Attributes {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw new Error('an item is an object');
  return item as Attributes;
}
