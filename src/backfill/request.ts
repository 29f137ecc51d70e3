import { quoted } from '../errors.ts';
import type { BackfillPlace } from './checkpoint.ts';
import type { LifeIds } from './lives.ts';
import type { Pass } from './segment.ts';

/** What an execution of the state machine may be asked for: its input. */
export interface BackfillRequest {
  /** Names of the views to fill, NAME or NAME@REVISION. Default: all. */
  readonly views?: readonly string[];
  /** Parts of the table. Default: one a gigabyte, but at least as many as are read at the same time. */
  readonly segments?: number;
  /** Read units of the table to use per second, over all segments. Default: the configuration's. */
  readonly readUnitsPerSecond?: number;
  /** The most segments that are read at the same time. Default: the configuration's. */
  readonly segmentsAtOnce?: number;
  /** Whether the present lives of the views end first, so that nothing is read that the cache has now. Default: false. */
  readonly fresh?: boolean;
}

/** What all invocations of one backfill share. It is plain data, and has no keys of items. */
export interface BackfillPlan extends Omit<BackfillPlace, 'fresh'> {
  /** Tells the backfill from all others; see `CacheClient.mark`. */
  readonly survey: string;
  /** When it began, ISO 8601. */
  readonly begun: string;
  /** The names of the table's key attributes. */
  readonly keys: readonly string[];
  /** The ARN of the table's stream. */
  readonly streamArn: string;
  /** Read units that one segment may use per second. */
  readonly readUnitsPerSecond: number;
  /** The lives that are filled. Absent: the views of the cache have none. */
  readonly lives?: LifeIds;
}

export interface PlanEvent {
  readonly action: 'plan';
  /** The name of the execution. A report is asked for by it. */
  readonly execution: string;
  readonly request?: BackfillRequest;
}

export interface RunEvent {
  readonly action: 'run';
  readonly plan: BackfillPlan;
  readonly pass: Pass;
  /** From 0 to below `plan.segments`. */
  readonly segment: number;
  /** The name of the checkpoint from which to go on. Default: the segment's beginning. */
  readonly checkpoint?: string;
  /** In the pass `seal`: names of views of which no list may be sealed. */
  readonly unsealable?: readonly string[];
}

export interface SumEvent {
  readonly action: 'sum';
  readonly plan: BackfillPlan;
  readonly pass: Pass;
}

export interface ReportEvent {
  readonly action: 'report';
  /** The name of the execution that planned the backfill. */
  readonly execution: string;
}

export type BackfillEvent = PlanEvent | RunEvent | SumEvent | ReportEvent;

/** What to give instead of a wrong value; undefined if the value is right. */
type FaultOf = (value: unknown) => string | undefined;

const MOST_SEGMENTS = 10_000;
const NAME: FaultOf = (value) =>
  typeof value === 'string' && /^[\w.+=@-]{1,80}$/.test(value) ? undefined : 'give the name of an execution';
const TEXT: FaultOf = (value) => (typeof value === 'string' && value !== '' ? undefined : 'give a text');
const TEXTS: FaultOf = (value) =>
  Array.isArray(value) && value.every((it) => typeof it === 'string') ? undefined : 'give a list of texts';
const PASS: FaultOf = (value) => (value === 'mark' || value === 'fill' || value === 'seal' ? undefined : 'give mark, fill or seal');
const whole =
  (least: number, most: number): FaultOf =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
      ? undefined
      : `give a whole number from ${least} to ${most}`;
const optional =
  (faultOf: FaultOf): FaultOf =>
  (value) =>
    value === undefined ? undefined : faultOf(value);
const object =
  (fields: Readonly<Record<string, FaultOf>>): FaultOf =>
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'give an object';
    const faults = faultsOf(value, fields);
    return faults.length > 0 ? faults.join('; ') : undefined;
  };

const PLAN = object({
  survey: (value) => (typeof value === 'string' && /^[\dA-Za-z-]{1,64}$/.test(value) ? undefined : 'give what the action plan gave'),
  begun: TEXT,
  tableArn: TEXT,
  tableId: TEXT,
  streamArn: TEXT,
  keys: TEXTS,
  views: TEXTS,
  cache: TEXT,
  segments: whole(1, MOST_SEGMENTS),
  readUnitsPerSecond: (value) => (typeof value === 'number' && value > 0 ? undefined : 'give a positive number'),
  lives: optional((value) =>
    typeof value === 'object' && value !== null && TEXTS(Object.values(value)) === undefined ? undefined : 'give what the action plan gave',
  ),
});
const REQUEST = object({
  views: optional((value) => TEXTS(value) ?? ((value as string[]).length > 0 ? undefined : 'give at least one view, or leave it out')),
  segments: optional(whole(1, MOST_SEGMENTS)),
  readUnitsPerSecond: optional(whole(1, 1_000_000)),
  segmentsAtOnce: optional(whole(1, 1_000)),
  fresh: optional((value) => (typeof value === 'boolean' ? undefined : 'give true or false')),
});
const ACTIONS: Readonly<Record<BackfillEvent['action'], Readonly<Record<string, FaultOf>>>> = {
  plan: { execution: NAME, request: optional(REQUEST) },
  run: {
    plan: PLAN,
    pass: PASS,
    segment: whole(0, MOST_SEGMENTS - 1),
    checkpoint: optional(TEXT),
    unsealable: optional(TEXTS),
    isDone: optional((value) => (value === false ? undefined : 'give false, or leave it out: this segment is done')),
  },
  sum: { plan: PLAN, pass: PASS },
  report: { execution: NAME },
};

/**
 * @param event untrusted input
 * @throws TypeError that names every wrong field, what is wrong, and what to give
 */
export function parseEvent(event: unknown): BackfillEvent {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new TypeError('the event is not an object: give { "action": … }, as the state machine of deploy/backfill.yaml does');
  }
  const { action, ...fields } = event as Readonly<Record<string, unknown>>;
  if (typeof action !== 'string' || !Object.hasOwn(ACTIONS, action)) {
    throw new TypeError(`the event is wrong: action is ${quoted(action)}: give ${Object.keys(ACTIONS).join(', ')}`);
  }
  const faults = faultsOf(fields, ACTIONS[action as BackfillEvent['action']]);
  const { plan, segment } = fields as Partial<RunEvent>;
  if (faults.length === 0 && plan && segment !== undefined && segment >= plan.segments) {
    faults.push(`segment is ${segment}: the plan has ${plan.segments} segments, from 0`);
  }
  if (faults.length > 0) throw new TypeError(`the event is wrong: ${faults.join('; ')}`);
  return event as BackfillEvent;
}

function faultsOf(given: object, fields: Readonly<Record<string, FaultOf>>): string[] {
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(fields, name));
  return [
    ...unknown.map((name) => `${name} is unknown: use ${Object.keys(fields).join(', ')}`),
    ...Object.entries(fields).flatMap(([name, faultOf]) => {
      const value = (given as Readonly<Record<string, unknown>>)[name];
      const fault = faultOf(value);
      if (fault === undefined) return [];
      if (value === undefined) return [`${name} is absent: ${fault}`];
      // The faults of an object are those of its fields.
      return typeof value === 'object' && value !== null && !Array.isArray(value)
        ? [`in ${name}, ${fault}`]
        : [`${name} is ${quoted(value)}: ${fault}`];
    }),
  ];
}
