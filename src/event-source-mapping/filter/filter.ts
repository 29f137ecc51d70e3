import type { StreamRecord } from '../../dynamodb/record.ts';
import { isObject, NumberText, type Rule, ruleOf } from './rule.ts';

/** Lambda's filter criteria: a record that matches any of the filters passes. The others are gone for this function. */
export interface FilterCriteria {
  /** Up to ten. */
  readonly filters: readonly Filter[];
}

export interface Filter {
  /** JSON, up to 4,096 characters. */
  readonly pattern: string;
}

const MAXIMUM_FILTERS = 10;
const MAXIMUM_PATTERN = 4_096;

export interface CompiledFilter {
  readonly passes: (record: StreamRecord) => boolean;
  readonly faults: readonly string[];
}

export function filterOf(criteria: FilterCriteria | undefined): CompiledFilter {
  const filters = criteria?.filters ?? [];
  const faults = filters.length > MAXIMUM_FILTERS ? [`filterCriteria has ${filters.length} filters: Lambda takes ${MAXIMUM_FILTERS}`] : [];
  const matchers: Matcher[] = [];
  for (const [i, { pattern }] of filters.entries()) {
    try {
      if (pattern.length > MAXIMUM_PATTERN) throw new RangeError(`it has ${pattern.length} characters: Lambda takes ${MAXIMUM_PATTERN}`);
      matchers.push(patternOf(pattern));
    } catch (error) {
      faults.push(`filterCriteria.filters[${i}].pattern: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { faults, passes: matchers.length === 0 ? () => true : (record) => matchers.some((matches) => matches(record)) };
}

/** Says whether a value matches; `undefined`: there is none. */
type Matcher = (value: unknown) => boolean;

/**
 * A pattern of Lambda's event filtering, compiled: every field of it must match, by one of its rules (Lambda Developer Guide, "Control
 * which events Lambda sends to your function").
 *
 * @throws Error that says where the pattern is wrong.
 */
function patternOf(text: string): Matcher {
  const pattern = parsePattern(text);
  if (!isObject(pattern)) throw new TypeError('it is no JSON object');
  return objectMatcher(pattern, '');
}

function objectMatcher(pattern: Readonly<Record<string, unknown>>, path: string): Matcher {
  const fields = Object.entries(pattern).map(([name, inner]) => {
    const at = path === '' ? name : `${path}.${name}`;
    if (name === '$or' && Array.isArray(inner) && inner.every(isObject)) return anyOf(inner, path);
    const matches = fieldMatcher(inner, at);
    return (value: Readonly<Record<string, unknown>>) => matches(Object.hasOwn(value, name) ? value[name] : undefined);
  });
  // A list matches if one of its elements does: all fields by the same element.
  const matches: Matcher = (value) => {
    if (Array.isArray(value) && value.length > 0) return value.some(matches);
    const object = isObject(value) ? value : {};
    return fields.every((field) => field(object));
  };
  return matches;
}

function anyOf(patterns: readonly Readonly<Record<string, unknown>>[], path: string): Matcher {
  if (patterns.length < 2) throw new TypeError(`"${path === '' ? '' : `${path}.`}$or" is a list of two patterns or more`);
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

/** Rules look at leaves: for them, an object is not there. A list has as many leaves as elements, and an empty one none. */
function holds(rule: Rule, value: unknown): boolean {
  if (Array.isArray(value)) {
    const leaves = value.filter((element) => !isObject(element));
    return leaves.length === 0 ? rule(undefined) : leaves.some(rule);
  }
  return rule(isObject(value) ? undefined : value);
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** No pattern has a field of this name. */
const NUMBER = '\u0000number';

/** JSON with its numbers as `NumberText`. */
function parsePattern(text: string): unknown {
  JSON.parse(text);
  const marked = text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : JSON.stringify({ [NUMBER]: token })));
  return JSON.parse(marked, (_, value) => (isObject(value) && NUMBER in value ? new NumberText(String(value[NUMBER])) : value));
}
