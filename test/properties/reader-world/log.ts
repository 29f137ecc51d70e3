import { itemOf } from '../../../src/change.ts';
import { keyOf } from '../../../src/view.ts';
import { project } from '../world/table.ts';
import { isCursed } from '../world/views.ts';
import type { Image } from './fake-table.ts';
import { detail, KEYS, type NamedList, VIEWS } from './views.ts';

/** What one change made of an item. */
interface State {
  /** The moment of the change. */
  readonly tick: number;
  readonly image: Image | undefined;
  /** When the global index shows it, by `performance.now`. */
  readonly visibleAt: number;
  /** What the views give for it that do not throw on it. */
  readonly sound: Places;
  /** What the views that throw on it give once they are mended. */
  readonly hidden: Places;
  /** Names of the views that throw on it until they are mended. */
  readonly cursed: ReadonlySet<string>;
}

interface Places {
  /** JSON text of documents, by their keys. */
  readonly documents: ReadonlyMap<string, string>;
  /** Members, by the keys of the lists. */
  readonly members: ReadonlyMap<string, Shown>;
}

/** A member as a page shows it. */
export interface Shown {
  readonly member: string;
  readonly score: number;
  readonly json: string;
}

/** An item, what it has been, and what the cache has been told of it. */
export interface Past {
  readonly item: string;
  /** Oldest first; the item is absent at first. */
  readonly states: State[];
  /** How far the stream has been delivered: from each moment on, the number of the state. */
  readonly delivered: { readonly tick: number; readonly state: number }[];
  /** Times in which the cache may show a state, although the stream has delivered a newer one: a redrive wrote what it had read. */
  readonly redriven: { readonly from: number; to: number; readonly state: number }[];
}

/** From one moment of the log to another. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Everything that happened to the items, in order. Moments are numbered by ticks. */
export class Log {
  readonly pasts = new Map<string, Past>();
  /** When the views were mended. */
  mendedAt = Infinity;
  #tick = 0;

  get now(): number {
    return this.#tick;
  }

  /** A new moment. */
  tick(): number {
    this.#tick += 1;
    return this.#tick;
  }

  pastOf(key: Image): Past {
    const item = itemOf(Object.fromEntries(KEYS.map((name) => [name, key[name]])));
    let past = this.pasts.get(item);
    if (!past) {
      past = { item, states: [stateOf(item, undefined, 0, 0)], delivered: [{ tick: 0, state: 0 }], redriven: [] };
      this.pasts.set(item, past);
    }
    return past;
  }

  /** @returns the number of the state */
  write(key: Image, image: Image | undefined, visibleAt: number): number {
    const past = this.pastOf(key);
    past.states.push(stateOf(past.item, image, this.tick(), visibleAt));
    return past.states.length - 1;
  }

  deliver(past: Past, state: number): void {
    past.delivered.push({ tick: this.tick(), state });
  }
}

/** The number of the state at a moment. */
export function stateAt({ states }: Past, tick: number): number {
  return states.findLastIndex((state) => state.tick <= tick);
}

/** The number of the state that a global index shows, by `performance.now`. */
export function stateInIndex({ states }: Past, now: number): number {
  return states.findLastIndex(({ visibleAt }) => visibleAt <= now);
}

/** The oldest state that the cache may show in this time: the stream had delivered it, or a redrive wrote it, at some moment of this time. */
export function leastDelivered({ delivered, redriven }: Past, { from, to }: Span): number {
  const first = delivered.findLastIndex(({ tick }) => tick <= from);
  const inTime = [
    ...delivered.slice(first).filter(({ tick }) => tick <= to),
    ...redriven.filter((write) => write.from <= to && write.to >= from),
  ];
  return Math.min(...inTime.map(({ state }) => state));
}

/**
 * What a document may be in a state: absent while its view throws, its value once the view is mended, and either of them where the state's record was
 * set aside before.
 */
export function documentsIn({ mendedAt }: Log, { tick, sound, hidden }: State, key: string, to: number): readonly (string | undefined)[] {
  const later = hidden.documents.get(key);
  if (later === undefined || mendedAt > to) return [sound.documents.get(key)];
  return tick > mendedAt ? [later] : [undefined, later];
}

/** As `documentsIn`, for the member that the item is of a list. */
export function membersIn({ mendedAt }: Log, { tick, sound, hidden }: State, list: string, to: number): readonly (Shown | undefined)[] {
  const later = hidden.members.get(list);
  if (later === undefined || mendedAt > to) return [sound.members.get(list)];
  return tick > mendedAt ? [later] : [undefined, later];
}

/** What the table has for the key of a document now. */
export function documentNow({ mendedAt }: Log, { states }: Past, key: string): string | undefined {
  const now = states.at(-1);
  return now?.sound.documents.get(key) ?? (mendedAt === Infinity ? undefined : now?.hidden.documents.get(key));
}

/** The members of a list at a moment, in the order of pages, by views that throw or by mended ones. */
export function membersAt(pasts: Iterable<Past>, list: string, tick: number, isMended: boolean): readonly Shown[] {
  const placeOf = (past: Past): Shown | undefined => {
    const state = past.states[stateAt(past, tick)];
    return state?.sound.members.get(list) ?? (isMended ? state?.hidden.members.get(list) : undefined);
  };
  return [...pasts].flatMap((past) => placeOf(past) ?? []).sort(inOrder);
}

/** The order of pages: greatest score first, then by the bytes of the names. */
export function inOrder(a: Omit<Shown, 'json'>, b: Omit<Shown, 'json'>): number {
  return b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member));
}

export function addressOf({ view, list }: NamedList): string {
  return keyOf(view, list);
}

function stateOf(item: string, image: Image | undefined, tick: number, visibleAt: number): State {
  const cursed = VIEWS.filter(({ name }) => image && isCursed(name, image));
  const sound = VIEWS.filter((view) => !cursed.includes(view));
  const names = new Set(cursed.map(({ name }) => name));
  return { tick, image, visibleAt, sound: placesOf(sound, item, image), hidden: placesOf(cursed, item, image), cursed: names };
}

function placesOf(views: typeof VIEWS, item: string, image: Image | undefined): Places {
  const places = image ? project(views as never, item, image) : [];
  return {
    documents: new Map(places.flatMap((it) => (it.kind === 'document' ? [[it.key, it.json]] : []))),
    members: new Map(
      places.flatMap((it) => (it.kind === 'member' ? [[it.list, { member: it.member, score: it.score, json: it.json }]] : [])),
    ),
  };
}

/** The item that gives a document, by the document's key. */
export function itemKeyOf(key: string): Image {
  return detail.from?.(key) ?? { pk: key, sk: 'none' };
}
