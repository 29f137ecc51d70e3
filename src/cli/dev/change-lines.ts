import { styleText } from 'node:util';
import type { MappingEvent } from '../../event-source-mapping/index.ts';
import type { LettersPlace } from '../../letters/place.ts';
import type { Mutation, Outcome } from '../../mutation.ts';
import type { RecordReport, Report } from '../../sync/sync.ts';
import type { Version } from '../../version.ts';
import { causeFacts, causeLines } from '../causes.ts';
import { letterPath } from '../options/letters.ts';
import { text as plain } from '../terminal.ts';
import { devBanner, type Followed } from './banner.ts';

/** Prints one line a record, and one line for each other thing that a person wants to know, as it happens. */
export interface ChangeLines {
  /** Prints what is followed. The first line. */
  following(followed: Followed): void;
  /** Notes what a record wrote, for the record's line. */
  wrote(mutations: readonly Mutation[], outcomes: readonly Outcome[]): void;
  report(report: Report): void;
  /** Says that a service gives no answer, and why. Without a reason: the service answers again. */
  outage(service: string, reason: string | undefined): void;
  event(event: MappingEvent): void;
}

export interface ChangeLinesOptions {
  /** Prints one JSON object a line. */
  readonly json: boolean;
  /** Whether to print the lag: the stream tells the second of a write. DynamoDB Local tells only the minute. */
  readonly lag: boolean;
  /** Whether to print the keys and values that a record writes. */
  readonly show: boolean;
  /** Where the letters lie. */
  readonly letters: LettersPlace;
  readonly out?: NodeJS.WritableStream;
}

type Style = Parameters<typeof styleText>[0];

/** Prints the keys of items. Prints the values of entries only with `show`. */
export function changeLines({ json, lag, show, letters, out = process.stdout }: ChangeLinesOptions): ChangeLines {
  let unsaved = false;
  /** What records wrote whose line is not printed yet. A version belongs to one record. */
  const written = new Map<Version, readonly Written[]>();
  const write = (style: Style, kind: string, text: string, fields: object, notes: readonly string[] = []): void => {
    const at = new Date();
    if (json) out.write(`${JSON.stringify({ at: at.toISOString(), type: kind, ...fields }, withErrors)}\n`);
    else {
      const lines = [`${styleText(style, kind.padEnd(8))} ${text}`, ...notes.map((note) => styleText(style, `└ ${plain(note)}`))];
      const [first, ...more] = lines;
      out.write(`${styleText('dim', at.toTimeString().slice(0, 8))}  ${first}\n${more.map((line) => `          ${line}\n`).join('')}`);
    }
  };
  const done = (record: RecordReport): void => {
    const { letter, causes, change } = record;
    const { item, result } = shown(record);
    const lagMs = lag && change?.at !== undefined ? Math.max(0, Date.now() - change.at) : undefined;
    const late = lagMs === undefined ? '' : `  ${lagMs} ms after the write's second`;
    const path = letter === undefined ? undefined : letterPath(letters, letter);
    const entries = show && change ? (written.get(change.version) ?? []) : undefined;
    write(
      causes.length > 0 ? 'red' : 'green',
      change?.kind ?? 'unknown',
      `${item}  ${result}${late}`,
      {
        item,
        keys: change?.keys,
        result,
        lagMs,
        entries,
        ...(causes.length > 0 && { causes: causes.map(causeFacts), letter, letterPath: path }),
      },
      [...(entries ?? []).map(entryLine), ...causeLines(causes), ...(path === undefined ? [] : [`letter ${path}`])],
    );
  };
  return {
    following(followed) {
      if (json) write('green', 'following', '', followedFacts(followed));
      else out.write(`${devBanner(followed)}\n`);
    },
    wrote(mutations, outcomes) {
      const [first] = mutations;
      if (show && first)
        written.set(
          first.version,
          mutations.map((mutation, i) => writtenOf(mutation, outcomes[i])),
        );
    },
    report({ records }) {
      for (const record of records) {
        if (record.status === 'done') done(record);
        if (record.change) written.delete(record.change.version);
      }
      const failed = records.filter(({ status }) => status === 'failed');
      const [first] = failed;
      if (!first) return;
      const { item } = shown(first);
      const reason = first.error?.message ?? 'unknown reason';
      const others = failed.length > 1 ? ` and ${failed.length - 1} more` : '';
      write('red', 'failed', `${item}${others}: ${plain(reason)}`, { item, keys: first.change?.keys, records: failed.length, reason });
    },
    outage(service, reason) {
      if (reason === undefined) write('green', `${service}-back`, 'it answers again', {});
      else write('red', `${service}-failed`, `${plain(reason)}; it is asked again until it answers`, { reason });
    },
    event(event) {
      const again = unsaved && event.type === 'checkpoint-failed';
      if (event.type === 'checkpoint-failed') unsaved = true;
      if (event.type === 'checkpoint') unsaved = false;
      const path = event.type === 'delivered' && event.name !== undefined ? letterPath(letters, event.name) : undefined;
      const told = again ? undefined : noteworthy(event, path);
      if (told) write('yellow', told.kind, told.text, { ...event, letterPath: path });
    },
  };
}

/** What a mutation did at its address. */
interface Written {
  readonly outcome: Outcome['type'] | 'unknown';
  readonly type: Mutation['type'];
  /** The key of the document, or of the list. */
  readonly key: string;
  readonly member?: string;
  readonly score?: number;
  readonly value?: unknown;
}

function writtenOf(mutation: Mutation, outcome: Outcome | undefined): Written {
  return {
    outcome: outcome?.type ?? 'unknown',
    type: mutation.type,
    ...(mutation.kind === 'document' ? { key: mutation.key } : { key: mutation.list, member: mutation.member, score: mutation.score }),
    ...(mutation.type === 'put' && { value: JSON.parse(mutation.json) }),
  };
}

function entryLine({ outcome, type, key, member, score, value }: Written): string {
  const place = member === undefined ? key : `${key} ${member} at ${score}`;
  const result = outcome === 'applied' ? '' : ` (${outcome})`;
  return `${type} ${place}${result}${value === undefined ? '' : ` ${JSON.stringify(value)}`}`;
}

/** With what a program needs to write to the table. */
function followedFacts({ location, isSample, ...followed }: Followed): object {
  if (location.where === 'aws') return { ...followed, region: location.region };
  const { endpoint, region, accessKey } = location;
  return { ...followed, endpoint, region, accessKeyId: accessKey, secretAccessKey: 'local' };
}

/** Shows errors, which are `{}` in plain JSON. */
function withErrors(_: string, value: unknown): unknown {
  return value instanceof Error ? { name: value.name, message: value.message } : value;
}

function shown({ change, applied, stale, skipped = 0, causes }: RecordReport) {
  const counts = Object.entries({ applied, stale, skipped, 'set aside': causes.length }).filter(([, count]) => count > 0);
  return {
    item: change?.item ?? '(could not be decoded)',
    result: counts.map(([name, count]) => `${count} ${name}`).join(', ') || 'of no view',
  };
}

function noteworthy(event: MappingEvent, letter: string | undefined): { readonly kind: string; readonly text: string } | undefined {
  switch (event.type) {
    case 'retried':
      return { kind: 'retry', text: `${event.sequenceNumbers.length} from ${event.sequenceNumbers[0]}, in ${seconds(event.delayMs)}` };
    case 'failed':
      // The report says why.
      return event.reason === 'partial' ? undefined : { kind: 'failed', text: `${event.reason}: ${event.error.message}` };
    case 'delivered':
      return { kind: 'letter', text: `${event.condition}: ${event.sequenceNumbers.length} records, in ${letter}` };
    case 'dropped':
      return { kind: 'dropped', text: `${event.condition}: ${event.sequenceNumbers.length} records` };
    case 'gap':
      return {
        kind: 'gap',
        text: `${event.shardId}: records may be lost (${event.reason}) after ${event.from.sequenceNumber ?? 'the start'}`,
      };
    case 'read-failed':
    case 'delivery-failed':
      return { kind: event.type, text: `${event.error.message}; again in ${seconds(event.delayMs)}` };
    case 'checkpoint-failed':
      return {
        kind: event.type,
        text: `${event.error.message}; changes still reach the cache, and are replayed after a restart. Make the folder of --state writable`,
      };
    default:
      return undefined;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
