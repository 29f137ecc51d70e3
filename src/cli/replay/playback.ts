import type { CacheClient, Lookup, PageMember } from '../../cache.ts';
import type { Cause } from '../../cause.ts';
import { itemOf } from '../../change.ts';
import { attributesOf, type StreamEvent, type StreamRecord } from '../../dynamodb/record.ts';
import { type StreamHandlerOptions, streamHandler } from '../../handlers/stream-handler.ts';
import type { RecordReport, Report } from '../../sync/sync.ts';
import type { View } from '../../view.ts';
import { causeFacts } from '../causes.ts';
import type { Entries, Played, RecordResult, SetAsideCause } from './result.ts';

export interface Playback {
  /** Passes an event to the stream handler, the code that runs on Lambda. */
  play(event: StreamEvent): Promise<Played>;
  entries(): Promise<Entries>;
}

export function playback(cache: CacheClient, views: readonly View[], logger: StreamHandlerOptions['logger']): Playback {
  const documents = new Set<string>();
  const lists = new Set<string>();
  const watched: Pick<CacheClient, 'apply'> = {
    apply(mutations) {
      for (const mutation of mutations) {
        if (mutation.kind === 'document') documents.add(mutation.key);
        else lists.add(mutation.list);
      }
      return cache.apply(mutations);
    },
  };
  let last: Report = { records: [] };
  const handler = streamHandler({
    views,
    cache: watched,
    logger,
    // A replay shows all faults of a file, at once.
    retries: { forMs: 0 },
    poisonRunLimit: 0,
    retention: false,
    onReport(report) {
      last = report;
    },
  });
  return {
    async play(event) {
      const response = await handler(event);
      return { response, records: last.records.map((report, i) => resultOf(event.Records[i] as StreamRecord, report)) };
    },
    async entries() {
      const keys = [...documents];
      const found = keys.length > 0 ? await cache.getMany(keys) : [];
      const pages: [string, Entries['lists'][string]][] = [];
      for (const list of lists) pages.push([list, await wholeList(cache, list)]);
      return {
        documents: Object.fromEntries(keys.map((key, i) => [key, found[i] as Lookup])),
        lists: Object.fromEntries(pages),
      };
    },
  };
}

async function wholeList(cache: CacheClient, list: string): Promise<Entries['lists'][string]> {
  const members: PageMember[] = [];
  let complete = true;
  let after: string | undefined;
  do {
    const page = await cache.list(list, { limit: 1_000, after });
    members.push(...page.members);
    complete &&= page.complete;
    after = page.cursor;
  } while (after !== undefined);
  return { members, complete };
}

function resultOf(record: StreamRecord, report: RecordReport): RecordResult {
  const { change, status, applied, stale, rejected, skipped, causes, error } = report;
  return {
    event: textOf(record?.eventName),
    // Not as in the report, where secret keys are hashed: the owner of a replayed file may see them.
    item: change ? itemOf(attributesOf(record.dynamodb?.Keys ?? {})) : null,
    sequenceNumber: textOf(record?.dynamodb?.SequenceNumber),
    ...(change?.expired && { expired: true }),
    status,
    applied,
    stale,
    rejected,
    ...(skipped !== undefined && { skipped }),
    setAside: causes.map(setAsideOf),
    ...(error && { error: error.message }),
  };
}

/** A record that cannot be decoded may have anything where a text belongs. */
function textOf(value: unknown): string | null {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null;
}

/** Adds what a view threw. Logs leave that out, because it may quote values; the owner of a replayed file may see them. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error && !('issues' in cause) ? `${message}: ${cause.message}` : message;
}

function setAsideOf({ stage, view, address, error }: Cause): SetAsideCause {
  const reason = reasonOf(error);
  if (stage === 'rejected') return { stage, address, reason };
  const { fields = [] } = causeFacts({ stage, view, error });
  const isNested = fields.some((field) => /[.[]/.test(field));
  return { stage, ...(view !== undefined && { view: view.split('@')[0] }), reason, ...(isNested && { fields }) };
}
