import type { StreamRecord } from '../../dynamodb/record.ts';
import { isObject, NumberText, type Rule, ruleOf } from './rule.ts';

/** Lambda's filter criteria: the function receives the records that match at least one filter. */
export interface FilterCriteria {
  /** At most 10 filters. With none, every record matches. */
  readonly filters: readonly Filter[];
}

interface Filter {
  /** A pattern as JSON, at most 4,096 characters (Lambda Developer Guide, "Control which events Lambda sends to your function"). */
  readonly pattern: string;
}

const MAXIMUM_FILTERS = 10;
const MAXIMUM_PATTERN = 4_096;

export interface CompiledFilter {
  readonly passes: (record: StreamRecord) => boolean;
  /** What is wrong with the criteria. Empty if nothing is. */
  readonly faults: readonly string[];
}

export function filterOf(criteria: FilterCriteria | undefined): CompiledFilter {
  const filters = criteria?.filters ?? [];
  const faults = filters.length > MAXIMUM_FILTERS ? [`filterCriteria has ${filters.length} filters: Lambda takes ${MAXIMUM_FILTERS}`] : [];
  const matchers: Matcher[] = [];
  for (const [i, { pattern }] of filters.entries()) {
    try {
      if (pattern.length > MAXIMUM_PATTERN) throw new RangeError(`it has ${pattern.length} characters: Lambda takes ${MAXIMUM_PATTERN}`);
      matchers.push(matcherOf(pattern));
    } catch (error) {
      faults.push(`filterCriteria.filters[${i}].pattern: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { faults, passes: matchers.length === 0 ? () => true : (record) => matchers.some((matches) => matches(record)) };
}

/** Says whether a value matches. The value is `undefined` if a record does not have it. */
type Matcher = (value: unknown) => boolean;

/**
 * Compiles a pattern. A value matches if each field of the pattern matches by at least one of its rules.
 *
 * @throws Error that says where the pattern is wrong.
 */
function matcherOf(text: string): Matcher {
  const pattern = parsePattern(text);
  if (!isObject(pattern)) throw new TypeError('it is not a JSON object');
  return objectMatcher(pattern, '');
}

function objectMatcher(pattern: Readonly<Record<string, unknown>>, path: string): Matcher {
  const fields = Object.entries(pattern).map(([name, inner]) => {
    const at = path === '' ? name : `${path}.${name}`;
    if (name === '$or' && Array.isArray(inner) && inner.every(isObject)) return anyOf(inner, path);
    const matches = fieldMatcher(inner, at);
    return (value: Readonly<Record<string, unknown>>) => matches(Object.hasOwn(value, name) ? value[name] : undefined);
  });
  // A list matches if one of its elements matches all fields.
  const matches: Matcher = (value) => {
    if (Array.isArray(value) && value.length > 0) return value.some(matches);
    const object = isObject(value) ? value : {};
    return fields.every((field) => field(object));
  };
  return matches;
}

function anyOf(patterns: readonly Readonly<Record<string, unknown>>[], path: string): Matcher {
  if (patterns.length < 2) throw new TypeError(`"${path === '' ? '' : `${path}.`}$or" must be a list of at least two patterns`);
  const alternatives = patterns.map((pattern) => objectMatcher(pattern, path));
  return (value) => alternatives.some((matches) => matches(value));
}

function fieldMatcher(pattern: unknown, path: string): Matcher {
  if (isObject(pattern)) return objectMatcher(pattern, path);
  if (!Array.isArray(pattern) || pattern.length === 0) {
    throw new TypeError(`"${path}" must be a list of values and rules, or an object of fields`);
  }
  const rules = pattern.map((rule) => ruleOf(rule, path));
  return (value) => rules.some((rule) => holds(rule, value));
}

/** Applies a rule to leaves. An object counts as absent. A list has its elements as leaves, and an empty list has none. */
function holds(rule: Rule, value: unknown): boolean {
  if (Array.isArray(value)) {
    const leaves = value.filter((element) => !isObject(element));
    return leaves.length === 0 ? rule(undefined) : leaves.some(rule);
  }
  return rule(isObject(value) ? undefined : value);
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Marks a number during parsing. No field of a pattern has this name. */
const NUMBER = '\u0000number';

/** Parses JSON with its numbers as `NumberText`. */
function parsePattern(text: string): unknown {
  JSON.parse(text);
  const marked = text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : JSON.stringify({ [NUMBER]: token })));
  return JSON.parse(marked, (_, value) => (isObject(value) && NUMBER in value ? new NumberText(String(value[NUMBER])) : value));
}
