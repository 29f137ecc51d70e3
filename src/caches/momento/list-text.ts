import { FLOOR, type Version } from '../../version.ts';
import type { ListContent, ListRow } from '../list/bounded-list.ts';

/** The list by column, which compresses well. A column has one entry per member, in order, where nothing else is said. */
interface Columns {
  /** null: -Infinity, which JSON cannot express. */
  readonly bottom: number | null;
  readonly lost: number;
  readonly settled: number;
  /** null: -Infinity. Absent in lists that an earlier version wrote (R24). */
  readonly highest?: number | null;
  /** null: `FLOOR`. Absent in lists that an earlier version wrote. */
  readonly dropped?: Version | null;
  /** The survey whose mark the list has. Absent: none. */
  readonly survey?: string | undefined;
  /** The longest common beginning of all versions except `FLOOR`. */
  readonly prefix: string;
  /** The rest of each version; null: `FLOOR`. */
  readonly versions: readonly (string | null)[];
  /** The length of each name as JSON text, in UTF-16 code units. */
  readonly names: readonly number[];
  /** One letter per member. */
  readonly states: string;
  /** null: equal to the score. */
  readonly peaks: readonly (number | null)[];
  /** One entry per live member. */
  readonly scores: readonly number[];
  /** One entry per live member: the length of its value, in UTF-16 code units. */
  readonly values: readonly number[];
  /** One entry per gone member: when it became gone, ms since 1970. */
  readonly since: readonly number[];
}

const LETTERS = { live: 'l', gone: 'g', forgotten: 'f' } as const;

/**
 * Writes a list as text: one line with its columns as JSON, then name and value of each member as JSON text. A value often repeats the
 * name, so they stand together.
 */
export function packList({ bottom, lost, settled, highest, dropped, survey, members }: ListContent): string {
  const live = members.flatMap((row) => (row.state === 'live' ? row : []));
  const names = members.map(({ name }) => JSON.stringify(name));
  const prefix = commonPrefix(members.flatMap(({ version }) => (version === FLOOR ? [] : version)));
  const columns: Columns = {
    bottom: Number.isFinite(bottom) ? bottom : null,
    lost,
    settled,
    highest: Number.isFinite(highest) ? highest : null,
    dropped: dropped === FLOOR ? null : dropped,
    survey,
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

/** `isUnknown`: an earlier version wrote the list, and did not store which versions were dropped from it (R24). */
interface Unpacked {
  readonly content: ListContent;
  readonly isUnknown: boolean;
}

/** @throws when neither `packList` nor its earlier versions can have made the text */
export function unpackList(text: string): Unpacked {
  const end = text.indexOf('\n');
  const { lost, settled, highest, dropped, survey, ...columns } = JSON.parse(text.slice(0, end)) as Columns;
  const bottom = columns.bottom ?? -Infinity;
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
  // R24 (earlier form)
  if (highest === undefined) {
    const isUnknown = lost > 0;
    return { content: { bottom, lost, settled: isUnknown ? 0 : settled, highest: bottom, dropped: FLOOR, survey, members }, isUnknown };
  }
  return {
    content: { bottom, lost, settled, highest: highest ?? -Infinity, dropped: dropped ?? FLOOR, survey, members },
    isUnknown: false,
  };
}

function commonPrefix(texts: readonly string[]): string {
  const [first = ''] = texts;
  let length = first.length;
  for (const text of texts) while (!text.startsWith(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
