import { styleText } from 'node:util';
import type { MappingEvent } from '../sources/mapping/index.ts';
import type { RecordReport, Report } from '../sync.ts';

/** One line a record, and one for whatever else a person would want to know, as it happens. */
export interface ChangeLines {
  report(report: Report): void;
  event(event: MappingEvent): void;
  say(text: string): void;
}

/** `json`: one JSON object a line. Keys of items are shown, their values are not. */
export function changeLines(json: boolean, out: NodeJS.WritableStream = process.stdout): ChangeLines {
  const write = (style: Parameters<typeof styleText>[0], kind: string, text: string, fields: object): void => {
    const at = new Date();
    if (json) out.write(`${JSON.stringify({ at: at.toISOString(), type: kind, ...fields })}\n`);
    else out.write(`${styleText('dim', at.toTimeString().slice(0, 8))}  ${styleText(style, kind.padEnd(8))} ${text}\n`);
  };
  return {
    report({ records }) {
      for (const record of records) {
        if (record.status === 'failed') continue;
        const { kind, item, result, lagMs } = shown(record);
        const lag = lagMs === undefined ? '' : styleText('dim', `  ${lagMs} ms after the write's second`);
        write(record.causes.length > 0 ? 'red' : 'green', kind, `${item}  ${result}${lag}`, { item, result, lagMs });
      }
    },
    event(event) {
      const told = noteworthy(event);
      if (told) write('yellow', told.kind, told.text, event);
    },
    say(text) {
      if (json) return;
      out.write(`${text}\n`);
    },
  };
}

function shown({ change, applied, stale, causes }: RecordReport) {
  const counts = Object.entries({ applied, stale, 'set aside': causes.length }).filter(([, count]) => count > 0);
  return {
    kind: change?.kind ?? 'unknown',
    item: change?.item ?? '(could not be decoded)',
    result: counts.map(([name, count]) => `${count} ${name}`).join(', ') || 'of no view',
    lagMs: change?.at === undefined ? undefined : Math.max(0, Date.now() - change.at),
  };
}

function noteworthy(event: MappingEvent): { readonly kind: string; readonly text: string } | undefined {
  switch (event.type) {
    case 'retried':
      return { kind: 'retry', text: `${event.sequenceNumbers.length} from ${event.sequenceNumbers[0]}, in ${seconds(event.delayMs)}` };
    case 'failed':
      return { kind: 'failed', text: `${event.reason}: ${event.error.message}` };
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
      return { kind: event.type, text: event.error.message };
    default:
      return undefined;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
