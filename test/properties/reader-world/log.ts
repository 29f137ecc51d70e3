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
  /** JSON text of documents, by their keys. */
  readonly documents: ReadonlyMap<string, string>;
  /** Its members, by the keys of the lists. */
  readonly members: ReadonlyMap<string, Shown>;
  /** Names of the views that throw on it. */
  readonly cursed: ReadonlySet<string>;
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
}

/** From one moment of the log to another. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Everything that happened to the items, in order. Moments are numbered by ticks. */
export class Log {
  readonly pasts = new Map<string, Past>();
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
      past = { item, states: [stateOf(item, undefined, 0, 0)], delivered: [{ tick: 0, state: 0 }] };
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

/** The oldest state that the cache may show in this time: the stream had delivered it, at some moment of this time. */
export function leastDelivered({ delivered }: Past, { from, to }: Span): number {
  const first = delivered.findLastIndex(({ tick }) => tick <= from);
  return Math.min(
    ...delivered
      .slice(first)
      .filter(({ tick }) => tick <= to)
      .map(({ state }) => state),
  );
}

/** The members of a list at a moment, in the order of pages. */
export function membersAt(pasts: Iterable<Past>, list: string, tick: number): readonly Shown[] {
  return [...pasts].flatMap((past) => past.states[stateAt(past, tick)]?.members.get(list) ?? []).sort(inOrder);
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
  const places = image ? project(sound as never, item, image) : [];
  return {
    tick,
    image,
    visibleAt,
    documents: new Map(places.flatMap((it) => (it.kind === 'document' ? [[it.key, it.json]] : []))),
    members: new Map(
      places.flatMap((it) => (it.kind === 'member' ? [[it.list, { member: it.member, score: it.score, json: it.json }]] : [])),
    ),
    cursed: new Set(cursed.map(({ name }) => name)),
  };
}

/** The item that gives a document, by the document's key. */
export function itemKeyOf(key: string): Image {
  return detail.from?.(key) ?? { pk: key, sk: 'none' };
}
