import { styleText } from 'node:util';
import { plainCause } from '../../cause.ts';
import type { MappingEvent } from '../../event-source-mapping/index.ts';
import type { RecordReport, Report } from '../../sync/sync.ts';
import { text as plain } from '../terminal.ts';

/** Prints one line a record, and one line for each other thing that a person wants to know, as it happens. */
export interface ChangeLines {
  report(report: Report): void;
  /** Says that a service gives no answer, and why. Without a reason: the service answers again. */
  outage(service: string, reason: string | undefined): void;
  event(event: MappingEvent): void;
  print(text: string): void;
}

export interface ChangeLinesOptions {
  /** Prints one JSON object a line. */
  readonly json: boolean;
  /** Whether to print the lag: the stream tells the second of a write. DynamoDB Local tells only the minute. */
  readonly lag: boolean;
  readonly out?: NodeJS.WritableStream;
}

type Style = Parameters<typeof styleText>[0];

/** Prints the keys of items, and never their values. */
export function changeLines({ json, lag, out = process.stdout }: ChangeLinesOptions): ChangeLines {
  let unsaved = false;
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
    const { letter } = record;
    const causes = record.causes.map(plainCause);
    const { item, result } = shown(record);
    const lagMs = lag && record.change?.at !== undefined ? Math.max(0, Date.now() - record.change.at) : undefined;
    const late = lagMs === undefined ? '' : `  ${lagMs} ms after the write's second`;
    // The message of a view's failure begins with the view.
    const notes = causes.map(({ stage, view, error }) =>
      stage === 'view' ? error.message : `${stage}${view === undefined ? '' : ` ${view}`}: ${error.message}`,
    );
    write(
      causes.length > 0 ? 'red' : 'green',
      record.change?.kind ?? 'unknown',
      `${item}  ${result}${late}`,
      { item, result, lagMs, ...(causes.length > 0 && { causes, letter }) },
      [...notes, ...(letter === undefined ? [] : [`letter ${letter}`])],
    );
  };
  return {
    report({ records }) {
      for (const record of records) if (record.status === 'done') done(record);
      const failed = records.filter(({ status }) => status === 'failed');
      const [first] = failed;
      if (!first) return;
      const { item } = shown(first);
      const reason = first.error?.message ?? 'unknown reason';
      const others = failed.length > 1 ? ` and ${failed.length - 1} more` : '';
      write('red', 'failed', `${item}${others}: ${plain(reason)}`, { item, records: failed.length, reason });
    },
    outage(service, reason) {
      if (reason === undefined) write('green', `${service}-back`, 'it answers again', {});
      else write('red', `${service}-failed`, `${plain(reason)}; it is asked again until it answers`, { reason });
    },
    event(event) {
      const again = unsaved && event.type === 'checkpoint-failed';
      if (event.type === 'checkpoint-failed') unsaved = true;
      if (event.type === 'checkpoint') unsaved = false;
      const told = again ? undefined : noteworthy(event);
      if (told) write('yellow', told.kind, told.text, event);
    },
    print(text) {
      if (json) return;
      out.write(`${text}\n`);
    },
  };
}

/** Shows errors, which are `{}` in plain JSON. */
function withErrors(_: string, value: unknown): unknown {
  return value instanceof Error ? { name: value.name, message: value.message } : value;
}

function shown({ change, applied, stale, causes }: RecordReport) {
  const counts = Object.entries({ applied, stale, 'set aside': causes.length }).filter(([, count]) => count > 0);
  return {
    item: change?.item ?? '(could not be decoded)',
    result: counts.map(([name, count]) => `${count} ${name}`).join(', ') || 'of no view',
  };
}

function noteworthy(event: MappingEvent): { readonly kind: string; readonly text: string } | undefined {
  switch (event.type) {
    case 'retried':
      return { kind: 'retry', text: `${event.sequenceNumbers.length} from ${event.sequenceNumbers[0]}, in ${seconds(event.delayMs)}` };
    case 'failed':
      // The report says why.
      return event.reason === 'partial' ? undefined : { kind: 'failed', text: `${event.reason}: ${event.error.message}` };
    case 'delivered':
      return { kind: 'letter', text: `${event.condition}: ${event.sequenceNumbers.length} records, in ${event.name}` };
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
