import type { Fill, Found, Lease, LeaseTarget, MarkedList, SurveyedList } from '../cache.ts';
import { type Mutation, nameFault } from '../mutation.ts';
import { isVersion } from '../version.ts';

/** @throws TypeError when `found` is of another kind than the lease, or cannot be the newest members of the leased list. */
export function checkFound(lease: Lease, found: Found): void {
  const target = lease?.target;
  if (target === undefined) throw new TypeError('a fill has no lease: give one that `lease` or `getOrLease` returned');
  if (target.kind !== found?.kind) throw new TypeError(`a lease on a ${target.kind} cannot be settled with a ${found?.kind}`);
  if (found.kind === 'document') {
    if (found.json !== undefined) checkJson('the document', found.json);
    return;
  }
  if (target.kind !== 'list') return;
  const { next } = found;
  const newest = arrayOf('the newest members', found.newest);
  const { list, keep } = target;
  if ('more' in found) {
    throw new TypeError(
      `list ${list}: give "next", the score of the member that follows the newest ${keep}, instead of "more"; omit it if none follows`,
    );
  }
  if (newest.length > keep) {
    throw new TypeError(`list ${list} keeps ${keep} members, not ${newest.length}: of the member that follows, give the score as "next"`);
  }
  const places = new Map<string, number>();
  for (const [i, { member, score, json }] of newest.entries()) {
    checkName(`the name of newest[${i}]`, member);
    checkScore(`the score of newest[${i}]`, score);
    checkJson(`newest[${i}]`, json);
    if (score > (newest[i - 1]?.score ?? Infinity)) throw new TypeError(`list ${list}: give the members by descending score`);
    const other = places.get(member);
    if (other !== undefined) throw new TypeError(`list ${list}: newest[${other}] and newest[${i}] are one member: give each member once`);
    places.set(member, i);
  }
  const last = newest.at(-1);
  if (next === undefined) return;
  if (!last) throw new TypeError(`list ${list}: "next" is ${next}, so give the members before it`);
  checkScore('"next"', next);
  if (next > last.score)
    throw new TypeError(
      `list ${list}: "next" is ${next}, which is above the score of the last member: give the score of the one that follows`,
    );
}

/** @throws TypeError when one of the fills is not one that `CacheClient` takes. */
export function checkFills(fills: readonly Fill[]): void {
  for (const fill of arrayOf('the fills', fills)) checkFound(fill?.lease, fill?.found);
}

/** @throws TypeError when a document or list cannot be leased by one of these targets. */
export function checkTargets(targets: readonly LeaseTarget[]): void {
  for (const target of arrayOf('the targets of leases', targets)) checkTarget(target);
}

/** @throws TypeError when a survey cannot have this name, or a list cannot have one of these names. */
export function checkSurvey(lists: readonly string[], survey: string): void {
  if (typeof survey !== 'string' || !/^[\dA-Za-z-]{1,64}$/.test(survey)) {
    throw new TypeError('the name of a survey is not 1 to 64 letters, digits and "-"');
  }
  for (const list of arrayOf('the lists', lists)) checkListName(list);
}

/** @throws TypeError when one of the lists is not one that `mark` takes. */
export function checkMarked(lists: readonly MarkedList[], survey: string): void {
  checkSurvey(
    arrayOf('the lists', lists).map((marked) => marked?.list),
    survey,
  );
  for (const { keep } of lists) checkKeep(keep);
}

/** @throws TypeError when one of the lists is not one that `fill` takes. */
export function checkSurveyed(lists: readonly SurveyedList[], survey: string): void {
  checkMarked(lists, survey);
  for (const { members } of lists) {
    for (const given of arrayOf('the members of a list', members)) {
      const { member, score, json } = given ?? {};
      checkName('the name of a member', member);
      checkScore('the score of a member', score);
      checkJson('a member', json);
    }
  }
}

function checkTarget(target: LeaseTarget): void {
  if (target?.kind === 'document') checkKeys([target.key]);
  else if (target?.kind === 'list') {
    checkListName(target.list);
    checkKeep(target.keep);
  } else throw new TypeError('a lease is on a target of the kind "document" or "list"');
}

/** @throws TypeError when a mutation is not one that `CacheClient` takes. */
export function checkMutations(mutations: readonly Mutation[]): void {
  for (const mutation of arrayOf('the mutations', mutations)) {
    if (mutation?.kind === 'document') checkKeys([mutation.key]);
    else if (mutation?.kind === 'member') {
      checkListName(mutation.list);
      checkName('the name of a member', mutation.member);
      checkScore('the score of a member', mutation.score);
      if (mutation.type === 'put' && mutation.from !== undefined) checkScore('the former score of a member', mutation.from);
      checkKeep(mutation.keep);
    } else throw new TypeError('a mutation is of the kind "document" or "member"');
    if (mutation.type === 'put') checkJson('a put', mutation.json);
    else if (mutation.type !== 'delete' && mutation.type !== 'forget')
      throw new TypeError('a mutation is of the type "put", "delete" or "forget"');
    if (!isVersion(mutation.version)) throw new TypeError('a mutation has a version that versionOf did not make');
  }
}

/** @throws TypeError when one of them cannot be the key of a document. */
export function checkKeys(keys: readonly string[]): void {
  for (const key of arrayOf('the keys', keys)) checkName('the key of a document', key);
}

/** Calls take many at once, so one by itself is a likely mistake; a text would pass as a list of its letters. */
function arrayOf<T>(what: string, values: readonly T[]): readonly T[] {
  if (!Array.isArray(values)) throw new TypeError(`${what} are not an array: give [...], also for one`);
  return values;
}

/** @throws TypeError when it cannot be the name of a list. */
export function checkListName(list: string): void {
  checkName('the name of a list', list);
}

function checkName(what: string, name: unknown): void {
  const fault = nameFault(name);
  if (fault !== undefined) throw new TypeError(`${what} ${fault}`);
}

function checkScore(what: string, score: unknown): void {
  if (!Number.isFinite(score))
    throw new TypeError(`${what} is ${typeof score === 'number' ? score : `of type ${typeof score}`}: give a finite number`);
}

function checkKeep(keep: unknown): void {
  if (!Number.isSafeInteger(keep) || (keep as number) < 1)
    throw new TypeError(`a list keeps ${String(keep)} members: give a positive integer`);
}

/** Does not parse the text, because that would cost more than all else about a write. */
function checkJson(what: string, json: unknown): void {
  if (typeof json !== 'string') throw new TypeError(`${what} has no JSON text`);
  if (!json.isWellFormed()) throw new TypeError(`${what} has JSON text with half a character: it was cut inside a surrogate pair`);
}
