import { FLOOR, type Version } from '../../version.ts';
import type { ListContent, ListRow } from '../list/bounded-list.ts';

/** One entry a member unless told otherwise: like stands beside like, which compresses well. */
interface Columns {
  /** null: -Infinity, which JSON does not know. */
  readonly bottom: number | null;
  readonly lost: number;
  readonly settled: number;
  /** What all versions begin with. */
  readonly prefix: string;
  /** The rest of each version; null: `FLOOR`. */
  readonly versions: readonly (string | null)[];
  /** Characters of each name, as JSON text. */
  readonly names: readonly number[];
  /** One letter a member. */
  readonly states: string;
  /** null: the score. */
  readonly peaks: readonly (number | null)[];
  /** One a live member. */
  readonly scores: readonly number[];
  /** One a live member: characters of its value. */
  readonly values: readonly number[];
  /** One a gone member, ms since the epoch. */
  readonly since: readonly number[];
}

const LETTERS = { live: 'l', gone: 'g', forgotten: 'f' } as const;

/** A line of JSON, then each member's name and value, as JSON text: a name often comes again in the value. */
export function packList({ bottom, lost, settled, members }: ListContent): string {
  const live = members.flatMap((row) => (row.state === 'live' ? row : []));
  const names = members.map(({ name }) => JSON.stringify(name));
  const prefix = commonPrefix(members.flatMap(({ version }) => (version === FLOOR ? [] : version)));
  const columns: Columns = {
    bottom: Number.isFinite(bottom) ? bottom : null,
    lost,
    settled,
    prefix,
    versions: members.map(({ version }) => (version === FLOOR ? null : version.slice(prefix.length))),
    names: names.map(({ length }) => length),
    states: members.map(({ state }) => LETTERS[state]).join(''),
    peaks: members.map((row) => (row.state === 'live' && row.score === row.peak ? null : row.peak)),
    scores: live.map(({ score }) => score),
    values: live.map(({ json }) => json.length),
    since: members.flatMap(({ state, since = 0 }) => (state === 'gone' ? since : [])),
  };
  const texts = members.map((row, i) => `${names[i]}${row.state === 'live' ? row.json : ''}`);
  return `${JSON.stringify(columns)}\n${texts.join('')}`;
}

/** @throws when the text is not one that `packList` gave. */
export function unpackList(text: string): ListContent {
  const end = text.indexOf('\n');
  const { bottom, lost, settled, ...columns } = JSON.parse(text.slice(0, end)) as Columns;
  let [at, live, gone] = [end + 1, 0, 0];
  const next = (length: number): string => {
    at += length;
    return text.slice(at - length, at);
  };
  const members = columns.names.map((length, i): ListRow => {
    const name: string = JSON.parse(next(length));
    const tail = columns.versions[i];
    const version = tail === null ? FLOOR : ((columns.prefix + tail) as Version);
    switch (columns.states[i]) {
      case LETTERS.live: {
        const score = columns.scores[live] as number;
        const json = next(columns.values[live] as number);
        live += 1;
        return { name, state: 'live', version, peak: columns.peaks[i] ?? score, score, json };
      }
      case LETTERS.gone:
        gone += 1;
        return { name, state: 'gone', version, peak: columns.peaks[i] as number, since: columns.since[gone - 1] as number };
      default:
        return { name, state: 'forgotten', version, peak: columns.peaks[i] as number };
    }
  });
  return { bottom: bottom ?? -Infinity, lost, settled, members };
}

function commonPrefix(texts: readonly string[]): string {
  const [first = ''] = texts;
  let length = first.length;
  for (const text of texts) while (!text.startsWith(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
