import { memoryCache } from '../../src/caches/memory.ts';
import { memoryLetters } from '../../src/playground/memory-letters.ts';
import { memoryTable } from '../../src/playground/memory-table.ts';
import { PlayedWorld, type PlayedWorldOptions } from '../../src/playground/world.ts';
import type { View } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';

const MAX_VALUE_BYTES = 32_768;

export function memoryOptions(of: readonly View[] = Object.values(views), more: Partial<PlayedWorldOptions> = {}): PlayedWorldOptions {
  const cache = memoryCache({ maxValueBytes: MAX_VALUE_BYTES });
  const table = memoryTable({ name: 'pizza-shop', keys: ['pk', 'sk'] });
  return {
    views: of,
    isSample: true,
    cache,
    cacheName: 'memory',
    async evict(name) {
      if (name === undefined) return cache.flush();
      cache.evict({ kind: 'document', key: name });
      cache.evict({ kind: 'list', list: name, keep: 1 });
    },
    maxValueBytes: MAX_VALUE_BYTES,
    table,
    stream: table.stream,
    streamArn: table.stream.arn,
    isOrdered: true,
    watch: table.watch,
    letters: memoryLetters(),
    ...more,
  };
}

/** A world that runs, with the workshop beside it. */
export async function startWorld(options: PlayedWorldOptions = memoryOptions()): Promise<PlayedWorld> {
  const world = new PlayedWorld(options);
  await world.start();
  await world.setWorkshop(true);
  for (let i = 0; i < 4; i += 1) await world.write(world.maker.create());
  await world.settled();
  await world.fillLists();
  return world;
}

/** Looks twice, because a difference counts when two looks find it. */
export async function lookTwice(world: PlayedWorld): Promise<{ readonly ours: readonly string[]; readonly theirs: readonly string[] }> {
  await world.lookNow();
  await world.lookNow();
  const text = ({ place, fault }: { place: string; fault: string }): string => `${place}: ${fault}`;
  return { ours: world.wrong.map(text), theirs: world.theirWrong.map(text) };
}
