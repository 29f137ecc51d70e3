import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import type { Change } from '../../src/change.ts';
import { playback } from '../../src/cli/replay/playback.ts';
import type { Entries, Played } from '../../src/cli/replay/result.ts';
import { decodeRecord, type StreamEvent } from '../../src/dynamodb/record.ts';
import { keyOf, type View } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';

const EVENTS = join(import.meta.dirname, '../../events');
const EXPECTED = join(EVENTS, 'expected');
const namesIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.json'));
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const quiet = { info() {}, warn() {}, error() {} };

/** The events that AWS sends have these, whatever the story. */
const LAMBDA_SHAPE = {
  eventID: expect.stringMatching(/^[0-9a-f]{32}$/),
  eventName: expect.stringMatching(/^(INSERT|MODIFY|REMOVE)$/),
  eventVersion: '1.1',
  eventSource: 'aws:dynamodb',
  awsRegion: 'eu-west-1',
  eventSourceARN: expect.stringMatching(/^arn:aws:dynamodb:eu-west-1:123456789012:table\/shop\/stream\/2026-/),
  dynamodb: {
    ApproximateCreationDateTime: expect.closeTo(1_795_200_000, -6),
    Keys: { pk: { S: expect.any(String) }, sk: { S: expect.any(String) } },
    SequenceNumber: expect.stringMatching(/^\d{21,26}$/),
    SizeBytes: expect.any(Number),
    StreamViewType: expect.stringMatching(/^(NEW_AND_OLD_IMAGES|KEYS_ONLY)$/),
  },
};

async function replay(event: StreamEvent): Promise<Played & { views: Entries }> {
  const { play, entries } = playback(memoryCache(), Object.values(views), quiet);
  const played = await play(event);
  return { ...played, views: await entries() };
}

describe('events/', () => {
  const names = namesIn(EVENTS);
  if (process.env.UPDATE_EXPECTED) {
    it.each(names)('records what %s does', async (name) => {
      writeFileSync(join(EXPECTED, name), `${format(await replay(read(join(EVENTS, name))))}\n`);
    });
  }

  it('has one expectation a story, and no other', () => {
    expect(namesIn(EXPECTED)).toEqual(names);
    expect(names.length).toBeGreaterThan(11);
  });

  it('is told of in its README, each story by name', () => {
    const rows = readFileSync(join(EVENTS, 'README.md'), 'utf8').matchAll(/^\| `([^`]+\.json)` \|/gm);
    expect([...rows].map(([, name]) => name).sort()).toEqual(names);
  });

  it('replays as one history: no story touches an item of another', () => {
    const owners = names.map(
      (name) => new Set((read(join(EVENTS, name)) as StreamEvent).Records.map((r) => JSON.stringify(r.dynamodb?.Keys))),
    );
    const all = owners.flatMap((items) => [...items]);
    expect(new Set(all).size).toBe(all.length);
  });

  describe.each(names)('%s', (name) => {
    const event: StreamEvent = read(join(EVENTS, name));

    it('does what is recorded', async () => {
      // Through JSON: what is absent and what is undefined are one.
      expect(JSON.parse(JSON.stringify(await replay(event)))).toEqual(read(join(EXPECTED, name)));
    });

    it('leaves what the table, projected, would show', async () => {
      expect(visible((await replay(event)).views)).toEqual(oracle(event));
    });

    it('looks like an event of Lambda', () => {
      for (const record of event.Records) expect(record).toMatchObject(LAMBDA_SHAPE);
    });
  });
});

/** What either kind of view gives. */
type Projected = { readonly key: string; readonly list: string; readonly score: number; readonly value: unknown; readonly member?: string };

type Visible = Readonly<Record<string, unknown>>;

/** What readers see at the addresses that were touched. */
function visible({ documents, lists }: Entries): Visible {
  const seen: Record<string, unknown> = {};
  for (const [key, found] of Object.entries(documents)) seen[key] = found.type === 'hit' ? found.value : found.type;
  for (const [list, { members }] of Object.entries(lists)) seen[list] = members.map(({ value }) => value);
  return JSON.parse(JSON.stringify(seen));
}

/** The table after the newest record of each item, projected: another way to the same end, which neither compares versions nor takes differences. */
function oracle(event: StreamEvent): Visible {
  const newest = new Map<string, Change>();
  const touched: Change[] = [];
  for (const [index, record] of event.Records.entries()) {
    try {
      const change = decodeRecord(record, index);
      const number = BigInt(record.dynamodb?.SequenceNumber as string);
      const held = newest.get(change.item);
      if (!held || number >= BigInt(held.version.split('/')[1] as string)) newest.set(change.item, change);
      touched.push(change);
    } catch {}
  }
  const seen: Record<string, unknown> = {};
  const lists = new Map<string, { score: number; member: string; value: unknown }[]>();
  for (const view of Object.values(views) as View[]) {
    const projected = (image: Change['before']) =>
      image && view.entity.owns(image) ? (view.project(view.entity.schema.parse(image)) as Projected[]) : [];
    for (const { before, after } of touched) {
      for (const image of [before, after]) {
        try {
          for (const { key, list } of projected(image)) {
            if (key) seen[keyOf(view, key)] = 'gone';
            else lists.set(keyOf(view, list), []);
          }
        } catch {}
      }
    }
    for (const { item, before, after } of newest.values()) {
      try {
        for (const { key, list, member = item, score, value } of projected(after)) {
          if (key) seen[keyOf(view, key)] = value;
          else lists.get(keyOf(view, list))?.push({ score, member, value });
        }
      } catch {
        // Nobody can say what is there now, least of all the cache.
        for (const { key } of projected(before)) if (key) seen[keyOf(view, key)] = 'miss';
      }
    }
  }
  for (const [list, members] of lists) {
    seen[list] = members
      .sort((a, b) => b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)))
      .map(({ value }) => value);
  }
  return JSON.parse(JSON.stringify(seen));
}

/** JSON, with small things on one line. */
function format(value: unknown, indent = ''): string {
  const flat = (JSON.stringify(value, null, 1) ?? 'null').replace(/\n\s*/g, ' ');
  if (typeof value !== 'object' || value === null || indent.length + flat.length <= 120) return flat;
  const deeper = `${indent}  `;
  if (Array.isArray(value)) return `[\n${value.map((part) => deeper + format(part, deeper)).join(',\n')}\n${indent}]`;
  const parts = Object.entries(value).filter(([, part]) => part !== undefined);
  return `{\n${parts.map(([name, part]) => `${deeper}${JSON.stringify(name)}: ${format(part, deeper)}`).join(',\n')}\n${indent}}`;
}
