import { isDeepStrictEqual } from 'node:util';
import type { CacheClient, Page } from '../cache.ts';
import type { Attributes } from '../change.ts';
import type { Entry } from '../mutation.ts';
import { entriesOf, jsonOf, parse } from '../plan/projection.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import type { Judgement, WrongEntry } from './wire.ts';
import { WORKSHOP_ALL } from './workshop.ts';

type Document = Extract<Entry, { readonly kind: 'document' }>;
type Member = Extract<Entry, { readonly kind: 'member' }>;

/** What the views make of the table: what a cache that is equal to the table holds. */
export interface Projected {
  readonly documents: ReadonlyMap<string, { readonly item: string; readonly entry: Document }>;
  /** Greatest score first. */
  readonly lists: ReadonlyMap<string, readonly { readonly item: string; readonly entry: Member }[]>;
  /** By the item: the views that throw on it. */
  readonly refused: ReadonlyMap<string, readonly string[]>;
}

/** Projects tables. Projects each image once. */
export function projector(views: readonly View[]): (items: ReadonlyMap<string, Attributes>) => Projected {
  const known = new WeakMap<Attributes, { entries: readonly Entry[]; refusedBy: readonly string[] }>();
  const projected = (item: string, attributes: Attributes) => {
    const found = known.get(attributes);
    if (found) return found;
    const entries: Entry[] = [];
    const refusedBy: string[] = [];
    for (const view of views) {
      try {
        entries.push(...entriesOf(view, parse(view.entity, attributes), item, jsonOf));
      } catch {
        refusedBy.push(viewName(view));
      }
    }
    const made = { entries, refusedBy };
    known.set(attributes, made);
    return made;
  };
  return (items) => {
    const documents = new Map<string, { item: string; entry: Document }>();
    const lists = new Map<string, { item: string; entry: Member }[]>();
    const refused = new Map<string, readonly string[]>();
    for (const [item, attributes] of items) {
      const { entries, refusedBy } = projected(item, attributes);
      if (refusedBy.length > 0) refused.set(item, refusedBy);
      for (const entry of entries) {
        if (entry.kind === 'document') documents.set(entry.key, { item, entry });
        else {
          const members = lists.get(entry.list);
          if (members) members.push({ item, entry });
          else lists.set(entry.list, [{ item, entry }]);
        }
      }
    }
    for (const members of lists.values()) members.sort((a, b) => inOrder(a.entry, b.entry));
    return { documents, lists, refused };
  };
}

/** Greatest score first, and then the greatest name. */
function inOrder(a: Pick<Member, 'score' | 'member'>, b: Pick<Member, 'score' | 'member'>): number {
  return b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member));
}

interface LookedDocument {
  readonly name: string;
  readonly state: 'hit' | 'gone' | 'miss';
  readonly version?: Version;
  readonly value?: unknown;
  readonly verdict: Judgement;
  readonly wrong?: WrongEntry;
}

interface LookedMember {
  readonly member: string;
  readonly version: Version;
  readonly value: unknown;
  readonly verdict: Judgement;
}

interface LookedList {
  readonly name: string;
  /** Whether a reader may take the first page for complete. */
  readonly complete: boolean;
  readonly members: readonly LookedMember[];
  readonly verdict: Judgement;
  readonly wrong: readonly WrongEntry[];
}

export interface Comparison {
  readonly documents: readonly LookedDocument[];
  readonly lists: readonly LookedList[];
}

export interface LookInput {
  readonly cache: Pick<CacheClient, 'getMany' | 'list'>;
  /** Names of documents, and the items that they are of. */
  readonly documents: ReadonlyMap<string, string>;
  readonly lists: Iterable<string>;
  /** Called after the cache was read. */
  projected(): Projected;
  isLate(item: string): boolean;
  /** The item of a member of a list. */
  itemOf(list: string, member: string): string;
}

/** Members of a page as readers ask for it. */
export const PAGE_MEMBERS = 20;
/** More members than any list of a playground has. */
const ALL = 2_000;

/**
 * Compares a cache with what the views make of the table. An entry of an item that a record is on its way of is `late`, and not judged. A miss, and what
 * an incomplete page lacks, is no claim. An item that a view throws on has no entry to compare with.
 */
export async function lookAtOurs(input: LookInput): Promise<Comparison> {
  const { cache, documents, isLate } = input;
  const names = [...documents.keys()];
  // What is late now may be on time after the read, and what comes next may be late then.
  const wasLate = new Set(names.filter((name) => isLate(documents.get(name) as string)));
  const found = names.length > 0 ? await cache.getMany(names) : [];
  const before = input.projected();
  const lookedDocuments = names.map((name, i): LookedDocument => {
    const lookup = found[i] ?? { type: 'miss' };
    const item = documents.get(name) as string;
    if (lookup.type === 'miss') return { name, state: 'miss', verdict: 'miss' };
    const base = { name, state: lookup.type, version: lookup.version, ...(lookup.type === 'hit' && { value: lookup.value }) };
    if (wasLate.has(name) || isLate(item)) return { ...base, verdict: 'late' };
    const view = name.split(':', 1)[0] as string;
    const wanted = before.documents.get(name);
    if (before.refused.get(wanted?.item ?? item)?.includes(view)) return { ...base, verdict: 'late' };
    if (lookup.type === 'gone') {
      if (!wanted) return { ...base, verdict: 'equal' };
      return {
        ...base,
        verdict: 'wrong',
        wrong: { place: name, fault: 'the cache says that it is gone', cache: 'gone', table: short(wanted.entry.json) },
      };
    }
    if (!wanted)
      return {
        ...base,
        verdict: 'wrong',
        wrong: { place: name, fault: 'deleted, and still there', cache: short(lookup.value), table: 'nothing' },
      };
    if (isDeepStrictEqual(lookup.value, JSON.parse(wanted.entry.json))) return { ...base, verdict: 'equal' };
    return {
      ...base,
      verdict: 'wrong',
      wrong: { place: name, fault: 'an old value', cache: short(lookup.value), table: short(wanted.entry.json) },
    };
  });
  const lookedLists: LookedList[] = [];
  for (const name of input.lists) {
    const lateBefore = new Set([...(input.projected().lists.get(name) ?? [])].map(({ item }) => item).filter(isLate));
    const [all, first] = await Promise.all([cache.list(name, { limit: ALL }), cache.list(name, { limit: PAGE_MEMBERS })]);
    const projected = input.projected();
    lookedLists.push(
      compareList(
        name,
        all,
        first,
        projected,
        (item) => lateBefore.has(item) || isLate(item),
        (member) => input.itemOf(name, member),
      ),
    );
  }
  return { documents: lookedDocuments, lists: lookedLists };
}

function compareList(
  name: string,
  all: Page,
  first: Page,
  { lists, refused }: Projected,
  isLate: (item: string) => boolean,
  itemOf: (member: string) => string,
): LookedList {
  const view = name.split(':', 1)[0] as string;
  const wanted = lists.get(name) ?? [];
  const byMember = new Map(wanted.map((member) => [member.entry.member, member]));
  const isOpen = (item: string): boolean => isLate(item) || refused.get(item)?.includes(view) === true;
  const wrong: WrongEntry[] = [];
  const members = all.members.map(({ member, version, value }): LookedMember => {
    const expected = byMember.get(member);
    const base = { member, version, value };
    if (isOpen(expected?.item ?? itemOf(member))) return { ...base, verdict: 'late' };
    if (expected && isDeepStrictEqual(value, JSON.parse(expected.entry.json))) return { ...base, verdict: 'equal' };
    const fault = expected ? 'an old value' : 'not of this list any more';
    wrong.push({ place: `${name} ${member}`, fault, cache: short(value), table: expected ? short(expected.entry.json) : 'nothing' });
    return { ...base, verdict: 'wrong' };
  });
  // A page that is complete lacks no member of its range.
  const page = all.complete ? all : first;
  const claims = page.complete;
  if (claims) {
    const shown = new Set(page.members.map(({ member }) => member));
    const last = page.cursor === undefined ? undefined : page.members.at(-1);
    for (const { item, entry } of wanted) {
      if (last && inOrder(entry, last) > 0) break;
      if (shown.has(entry.member) || isOpen(item)) continue;
      wrong.push({
        place: `${name} ${entry.member}`,
        fault: 'lacks a member, and says that it is complete',
        cache: 'nothing',
        table: short(entry.json),
      });
    }
  }
  const isLateList = members.some(({ verdict }) => verdict === 'late') || wanted.some(({ item }) => isLate(item));
  const verdict = wrong.length > 0 ? 'wrong' : isLateList ? 'late' : first.complete ? 'equal' : 'miss';
  return { name, complete: first.complete, members, verdict, wrong };
}

export interface WorkshopInput {
  readonly entries: ReadonlyMap<string, string>;
  /** The orders of the table, by id. */
  readonly orders: ReadonlyMap<string, Attributes>;
  /** Ids of orders that the table has, or had. */
  readonly ids: Iterable<string>;
  readonly creators: Iterable<string>;
  isLate(id: string): boolean;
}

/** The wrong entries of the workshop's cache, in the same sense as `lookAtOurs`. Its reader takes a list that it finds for the whole list. */
export function lookAtWorkshop({ entries, orders, ids, creators, isLate }: WorkshopInput): readonly WrongEntry[] {
  const wrong: WrongEntry[] = [];
  for (const id of ids) {
    const text = entries.get(id);
    if (text === undefined || isLate(id)) continue;
    const [value, wanted] = [JSON.parse(text), orders.get(id)];
    if (wanted && isDeepStrictEqual(value, wanted)) continue;
    wrong.push({
      place: `order ${id}`,
      fault: wanted ? 'an old value' : 'deleted, and still there',
      cache: brief(value),
      table: brief(wanted),
    });
  }
  const lists: [string, string, (order: Attributes) => boolean][] = [[WORKSHOP_ALL, 'list of all orders', () => true]];
  for (const creator of creators) lists.push([creator, `list of ${creator}`, (order) => order.creator === creator]);
  for (const [key, name, takes] of lists) {
    const text = entries.get(key);
    if (text === undefined) continue;
    const found = JSON.parse(text) as Attributes[];
    const byId = grouped(found);
    for (const [id, same] of byId) {
      if (isLate(id)) continue;
      const order = orders.get(id);
      const wanted = order && takes(order) ? order : undefined;
      const [first, ...more] = same;
      const table = brief(wanted);
      if (!wanted)
        wrong.push({
          place: `${name}: ${id}`,
          fault: order ? 'moved to another list, and still there' : 'deleted, and still there',
          cache: brief(first),
          table,
        });
      else if (!isDeepStrictEqual(first, wanted))
        wrong.push({ place: `${name}: ${id}`, fault: 'an old value', cache: brief(first), table });
      if (more.length > 0)
        wrong.push({
          place: `${name}: ${id}`,
          fault: `${same.length} times in the list`,
          cache: same.map(brief).slice(0, 3).join(' | '),
          table,
        });
    }
    for (const [id, order] of orders) {
      if (takes(order) && !byId.has(id) && !isLate(id))
        wrong.push({ place: `${name}: ${id}`, fault: 'missing, and the list looks whole', cache: 'nothing', table: brief(order) });
    }
  }
  return wrong;
}

function grouped(orders: readonly Attributes[]): Map<string, Attributes[]> {
  const groups = new Map<string, Attributes[]>();
  for (const order of orders) groups.set(String(order.id), [...(groups.get(String(order.id)) ?? []), order]);
  return groups;
}

function brief(order: Attributes | undefined): string {
  return order ? `${String(order.status)}, ${String(order.creator)}` : 'nothing';
}

const MOST_CHARACTERS = 160;

/** The plain attributes of a value in one line: ids and times say little, so they are left out, or come last. */
export function inBrief(value: unknown, without: readonly string[] = []): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return short(value);
  const plain = Object.entries(value).filter(([name, part]) => name !== 'id' && !without.includes(name) && typeof part !== 'object');
  const isTime = (part: unknown): boolean => typeof part === 'string' && /^\d{4}-\d{2}-\d{2}T/.test(part);
  const shown = plain.filter(([, part]) => !isTime(part));
  const times = plain.filter(([, part]) => isTime(part)).map(([name, part]) => [name, String(part).slice(11, 19)]);
  return short([...shown, ...times].map(([name, part]) => `${name} ${part}`).join(', '));
}

/** A value in one line. */
function short(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}
