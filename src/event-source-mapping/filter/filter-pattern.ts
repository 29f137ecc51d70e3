import { isObject, parsePattern } from './filter-json.ts';
import { type Rule, ruleOf } from './rule.ts';

/** Says whether a value matches; `undefined`: there is none. */
export type Matcher = (value: unknown) => boolean;

/**
 * A pattern of Lambda's event filtering, compiled: every field of it must match, by one of its rules (Lambda Developer Guide, "Control
 * which events Lambda sends to your function").
 *
 * @throws Error that says where the pattern is wrong.
 */
export function patternOf(text: string): Matcher {
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
