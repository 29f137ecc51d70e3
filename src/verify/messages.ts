import type { Marshalled } from '../dynamodb/record.ts';
import { MAX_KEY_BYTES, nameFault } from '../mutation.ts';
import { isVersion, type Version } from '../version.ts';
import { PROBES, type Probe } from './counts.ts';
import type { Suspect } from './looks.ts';
import type { Subject } from './observation.ts';

/** The times after a change at which its addresses are checked, in bounds. With a bound of 60 s: 60, 300 and 600 s. */
export const AGES = [1, 5, 10] as const;

/** Addresses to look at later: of a change, or suspects of a probe. It has keys of items, and no values. */
export interface Check {
  readonly probe: Probe;
  /** When to look, ms since 1970. Absent: a bound after `at`. */
  readonly due?: number;
  /** When the change was applied, or its address first seen to differ, ms since 1970. */
  readonly at: number;
  /** Which of `AGES` this is. */
  readonly age: number;
  /** The version of the change. */
  readonly version?: Version;
  readonly looks: readonly { readonly subject: Subject; readonly before?: Suspect }[];
}

/** The text of a message. */
export function checkText(check: Check): string {
  const looks = check.looks.map(({ subject, before }) => ({
    subject: subject.item ? { ...subject, item: plainKey(subject.item) } : subject,
    ...(before && { before }),
  }));
  return JSON.stringify({ ...check, looks });
}

/** Binary as base64, which reads take, too. */
function plainKey(key: Marshalled): Marshalled {
  return Object.fromEntries(
    Object.entries(key).map(([name, value]) => {
      const binary = (value as { readonly B?: unknown } | undefined)?.B;
      return [name, binary instanceof Uint8Array ? { B: Buffer.from(binary).toString('base64') } : value];
    }),
  );
}

/** @throws TypeError that says what is wrong, without quoting the text */
export function parseCheck(text: string): Check {
  const refuse = (what: string): TypeError => new TypeError(`the message is no check of the verifier: ${what}`);
  let given: Partial<Check> | null;
  try {
    given = JSON.parse(text);
  } catch {
    throw refuse('it is no JSON');
  }
  if (typeof given !== 'object' || given === null) throw refuse('it is no object');
  const { probe, at, age, due, version, looks } = given;
  if (!PROBES.some((known) => known === probe)) throw refuse('its probe is unknown');
  if (!isNumber(at) || !isNumber(age) || !(due === undefined || isNumber(due))) throw refuse('its times are no numbers');
  if (version !== undefined && !isVersion(version)) throw refuse('its version is none');
  if (!Array.isArray(looks) || !looks.every(isLook)) throw refuse('its addresses have another form');
  return given as Check;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isLook(given: unknown): boolean {
  const { subject, before } = (given ?? {}) as { readonly subject?: Partial<Record<string, unknown>>; readonly before?: Partial<Suspect> };
  if (typeof subject !== 'object' || subject === null || typeof subject.view !== 'string') return false;
  const isSubject =
    subject.kind === 'document'
      ? isName(subject.key)
      : subject.kind === 'member' && isName(subject.list) && isName(subject.member) && isNumber(subject.score);
  const isSuspect = before === undefined || (typeof before.mark === 'string' && isNumber(before.since) && isNumber(before.from));
  return isSubject && isSuspect && (subject.item === undefined || isKey(subject.item));
}

function isName(value: unknown): boolean {
  return nameFault(value, MAX_KEY_BYTES) === undefined;
}

/** Whether it is an item's key in the table's form: text, a number or binary, each with its type. */
function isKey(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  const values = Object.values(given);
  return (
    values.length > 0 &&
    values.every((value: unknown) => {
      const [[type, text] = [], ...more] = Object.entries(value ?? {});
      return more.length === 0 && ['S', 'N', 'B'].includes(String(type)) && typeof text === 'string';
    })
  );
}
