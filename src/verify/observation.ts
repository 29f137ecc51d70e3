import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Marshalled } from '../dynamodb/record.ts';
import { type Address, nameOf } from '../mutation.ts';
import { FLOOR, type Version } from '../version.ts';

/** What is compared: an address of a view, and where the table has its item. Plain data. */
export type Subject = DocumentSubject | MemberSubject;

interface SubjectOf {
  /** The name of the view, such as `detail@1`. */
  readonly view: string;
  /** The key of the item, in the table's form. Absent for a document that no item can give, and for a member that only a query of its list finds. */
  readonly item?: Marshalled;
}

interface DocumentSubject extends SubjectOf {
  readonly kind: 'document';
  readonly key: string;
}

/** A place in a list: a member and the score at which it is looked for. */
export interface MemberSubject extends SubjectOf {
  readonly kind: 'member';
  readonly list: string;
  readonly member: string;
  readonly score: number;
}

/**
 * What the cache says of an address.
 *
 * - `none`: a miss, or an incomplete page. It claims nothing.
 * - `gone`: there is no such document, or the list has no such member at this score. Of a member, the cache tells no version.
 */
export type Claim =
  | { readonly type: 'none' }
  | { readonly type: 'gone'; readonly version?: Version }
  | { readonly type: 'value'; readonly value: unknown; readonly version: Version };

export const NO_CLAIM: Claim = { type: 'none' };

/** What the table says of an address. `unknown`: the view throws on the item, or the item cannot be read. */
export type Truth =
  | { readonly type: 'unknown' }
  | { readonly type: 'absent' }
  | { readonly type: 'value'; readonly json: string; readonly score?: number };

export const UNKNOWN: Truth = { type: 'unknown' };
export const ABSENT: Truth = { type: 'absent' };

/**
 * How a cache can differ from the table.
 *
 * - `old-value`: it has another value than the table.
 * - `ghost`: it has a document that no item gives.
 * - `hidden-item`: it says that a document is gone, and the table has the item.
 * - `missing-member`: a complete page lacks a member.
 * - `extra-member`: a complete page has a member that no item gives.
 * - `wrong-order`: a complete page has a member at another score than the table.
 */
export const FAULTS = ['old-value', 'ghost', 'hidden-item', 'missing-member', 'extra-member', 'wrong-order'] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * Compares a claim with the table.
 *
 * @returns `moved`: the claim is right for its score, and the table has the member at another one
 */
export function compared(
  subject: Subject,
  claim: Exclude<Claim, { readonly type: 'none' }>,
  truth: Exclude<Truth, { readonly type: 'unknown' }>,
): 'equal' | 'moved' | Fault {
  const isDocument = subject.kind === 'document';
  if (claim.type === 'gone') {
    if (truth.type === 'absent') return 'equal';
    if (isDocument) return 'hidden-item';
    return truth.score === subject.score ? 'missing-member' : 'moved';
  }
  if (truth.type === 'absent') return isDocument ? 'ghost' : 'extra-member';
  if (!isDocument && truth.score !== subject.score) return 'wrong-order';
  return isSameJson(claim.value, truth.json) ? 'equal' : 'old-value';
}

/** Whether a value is that of the JSON text. The order of an object's properties does not count: DynamoDB keeps none. */
function isSameJson(value: unknown, json: string): boolean {
  return JSON.stringify(value) === json || isDeepStrictEqual(value, JSON.parse(json));
}

/** A claim without its value: two claims with one mark are the same claim. */
export type Mark = string;

export function markOf(claim: Claim): Mark {
  switch (claim.type) {
    case 'none':
      return 'none';
    case 'gone':
      return `gone ${claim.version ?? ''}`;
    case 'value':
      return `value ${claim.version} ${hash('sha256', canonical(claim.value), 'base64url')}`;
  }
}

/**
 * Whether a claim with this mark may come again after another claim. A member that comes and goes is absent without a version each time. What readers
 * filled has the version `FLOOR` each time.
 */
export function mayReturn(mark: Mark): boolean {
  const [, version] = mark.split(' ');
  return version === '' || version === FLOOR;
}

/** JSON text that is the same for each order of properties. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

export function addressOf(subject: Subject): Address {
  const { kind } = subject;
  return kind === 'document' ? { kind, key: subject.key } : { kind, list: subject.list, member: subject.member };
}

/** Tells an address, and of a member its score, from all others. */
export function nameOfSubject(subject: Subject): string {
  const name = `${subject.kind} ${nameOf(addressOf(subject))}`;
  return subject.kind === 'document' ? name : `${name} ${subject.score}`;
}

/** An address to observe, and what is known of it already. */
export interface Observed {
  readonly subject: Subject;
  /** What the table said a moment ago. A claim that equals it needs no further read. */
  readonly scanned?: Truth;
  /** A version that the cache shall have by now. A claim of this version, or of a newer one, needs no read. */
  readonly expected?: Version;
  /** The segment of a sample. */
  readonly cluster?: number;
}
