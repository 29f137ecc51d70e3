/** What the server sends to the page, and what the page asks for. Types only: both sides import this file. */

/** How an entry of a cache compares with the table. `late`: a record of its item is still on its way, so the entry is not judged. */
export type Judgement = 'equal' | 'late' | 'wrong' | 'miss';

export interface TableRow {
  /** The item's name; see `itemOf`. */
  readonly item: string;
  readonly entity: string;
  /** The item in one line. */
  readonly brief: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Names of views that throw on the item. */
  readonly refusedBy: readonly string[];
}

interface TableState {
  readonly name: string;
  readonly keys: readonly string[];
  readonly count: number;
  /** The rows that changed last, the newest first. */
  readonly rows: readonly TableRow[];
}

export interface StreamRow {
  /** Counts the records of this playground from 1. */
  readonly number: number;
  readonly item: string;
  readonly kind: string;
  readonly state: 'waiting' | 'delivered' | 'done' | 'failed' | 'letter';
  /** What the record did, for people: `3 applied`. */
  readonly result: string;
}

interface StreamState {
  readonly rows: readonly StreamRow[];
}

interface CachedMember {
  readonly member: string;
  readonly value: string;
  readonly number: number | undefined;
  readonly verdict: Judgement;
}

export interface CachedEntry {
  /** The key with its view: `detail@1:42`. */
  readonly name: string;
  readonly key: string;
  readonly state: 'hit' | 'gone' | 'miss' | 'list';
  /** The number of the record that wrote the entry; absent if no record of this playground did. */
  readonly number?: number;
  readonly value?: string;
  readonly verdict: Judgement;
  /** Of a list: what a reader of its first page gets. */
  readonly complete?: boolean;
  readonly size?: number;
  readonly members?: readonly CachedMember[];
}

export interface CachedView {
  readonly name: string;
  readonly kind: 'document' | 'list';
  readonly count: number;
  readonly entries: readonly CachedEntry[];
}

/** An entry of a cache that differs from the table, although no record of its item is on its way. */
export interface WrongEntry {
  readonly place: string;
  readonly fault: string;
  readonly cache: string;
  readonly table: string;
}

interface WorkshopState {
  readonly possible: boolean;
  readonly on: boolean;
  readonly wrong: readonly WrongEntry[];
}

export interface Counters {
  readonly wrong: number;
  /** Entries that were wrong at some time. */
  readonly everWrong: number;
  /** Entries that were compared in the last look. */
  readonly compared: number;
  readonly late: number;
  readonly workshopWrong: number;
  readonly workshopEverWrong: number;
  readonly records: number;
  readonly applied: number;
  readonly stale: number;
  readonly letters: number;
  readonly reads: { readonly cache: number; readonly table: number };
}

export interface ShownLetter {
  readonly name: string;
  readonly item: string;
  readonly causes: readonly string[];
}

/** What a button did, or what the story says. */
export interface Told {
  readonly id: string;
  readonly title: string;
  readonly before: string;
  /** Absent while it runs. */
  readonly after?: string;
  readonly failed?: true;
}

export interface Caption {
  readonly step: number;
  readonly steps: number;
  readonly title: string;
  readonly text: string;
}

export interface Status {
  readonly cache: 'up' | 'stopped';
  readonly worker: 'running' | 'killed' | 'catching up';
  readonly held: boolean;
  /** Whether the code of the views throws on a value that it does not know. */
  readonly broken: boolean;
  readonly evening: { readonly on: boolean; readonly rate: number; readonly trouble: boolean };
}

/** One point of the charts: the last second. */
export interface Point {
  /** Seconds since 1970. */
  readonly at: number;
  readonly lagMs: number;
  readonly records: number;
  readonly roundTrips: number;
}

/** A field of a form, made from a schema. */
export interface Field {
  readonly name: string;
  readonly type: 'text' | 'number' | 'boolean' | 'json';
  readonly required: boolean;
  readonly hint: string;
}

export interface Form {
  readonly entity: string;
  readonly fields: readonly Field[];
}

/** A trouble button. */
export interface Trouble {
  readonly id: string;
  readonly title: string;
  /** What will happen, in one sentence. */
  readonly before: string;
}

/** What does not change while the page is open. */
export interface Scene {
  readonly cache: string;
  readonly table: string;
  readonly isSample: boolean;
  readonly forms: readonly Form[];
  readonly troubles: readonly Trouble[];
  readonly views: readonly string[];
}

/** A record that goes from one column to the next. */
export interface Move {
  readonly number: number;
  readonly from: 'table' | 'stream';
  /** The views that the record wrote to. */
  readonly views: readonly string[];
}

/** One message of the server. A part that is absent has not changed. */
export interface Update {
  readonly scene?: Scene;
  readonly table?: TableState;
  readonly stream?: StreamState;
  readonly views?: readonly CachedView[];
  readonly workshop?: WorkshopState;
  readonly counters?: Counters;
  readonly letters?: readonly ShownLetter[];
  readonly told?: readonly Told[];
  readonly caption?: Caption | null;
  readonly status?: Status;
  readonly points?: readonly Point[];
  readonly moves?: readonly Move[];
}

/** What happened at an entry. */
export interface HistoryLine {
  readonly at: number;
  readonly number: number | undefined;
  readonly type: string;
  readonly outcome: string;
}

/** What the page asks for. */
export type Command =
  | { readonly do: 'write'; readonly item: Readonly<Record<string, unknown>> }
  /** Writes an item that the playground makes up. */
  | { readonly do: 'create' }
  /** What a new item of an entity may be. */
  | { readonly do: 'example'; readonly entity: string }
  | { readonly do: 'delete'; readonly item: string }
  | { readonly do: 'trouble'; readonly id: string }
  | { readonly do: 'evict'; readonly name: string }
  | { readonly do: 'read'; readonly name: string }
  | { readonly do: 'history'; readonly name: string }
  | { readonly do: 'mend' }
  | { readonly do: 'redrive' }
  | { readonly do: 'fill-lists' }
  | { readonly do: 'workshop'; readonly on: boolean }
  | { readonly do: 'evening'; readonly on: boolean; readonly rate: number; readonly trouble: boolean }
  | { readonly do: 'demo' };

export type Answer =
  | {
      readonly text: string;
      readonly history?: readonly HistoryLine[];
      readonly item?: Readonly<Record<string, unknown>>;
      readonly value?: string;
    }
  | { readonly error: string };
