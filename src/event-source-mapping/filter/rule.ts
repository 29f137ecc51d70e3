/** A number as its pattern writes it. For Lambda, 300 and 300.0 are not equal. */
export class NumberText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Whether a value is an object, but no list and no number of a pattern. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}

/** Says whether a leaf of a record matches: a text, number, boolean or null. The leaf is `undefined` if the record does not have it. */
export type Rule = (leaf: unknown) => boolean;

type Rules = { readonly [name: string]: (operand: unknown, path: string) => Rule };

/** The rules of the Lambda Developer Guide, "Filter rule syntax". */
const RULES: Rules = {
  prefix: (operand, path) => {
    const text = textOf(operand, `"prefix" of "${path}"`);
    return (leaf) => typeof leaf === 'string' && leaf.startsWith(text);
  },
  suffix: (operand, path) => {
    const text = textOf(operand, `"suffix" of "${path}"`);
    return (leaf) => typeof leaf === 'string' && leaf.endsWith(text);
  },
  'equals-ignore-case': (operand, path) => {
    const text = textOf(operand, `"equals-ignore-case" of "${path}"`).toLowerCase();
    return (leaf) => typeof leaf === 'string' && leaf.toLowerCase() === text;
  },
  'anything-but': (operand, path) => {
    const values = Array.isArray(operand) ? operand : [operand];
    if (values.length === 0 || values.some((value) => typeof value !== 'string' && !(value instanceof NumberText))) {
      throw new TypeError(`"anything-but" of "${path}" takes texts or numbers`);
    }
    const equals = values.map((value) => equal(value));
    return (leaf) => leaf !== undefined && !equals.some((rule) => rule(leaf));
  },
  exists: (operand, path) => {
    if (typeof operand !== 'boolean') throw new TypeError(`"exists" of "${path}" takes true or false`);
    return (leaf) => (leaf !== undefined) === operand;
  },
  numeric: (operand, path) => {
    const comparisons = comparisonsOf(operand, path);
    return (leaf) => typeof leaf === 'number' && comparisons.every((holds) => holds(leaf));
  },
};

/**
 * Compiles one element of a pattern's list of values and rules.
 *
 * @param path the field, for error messages.
 * @throws TypeError that says what is wrong.
 */
export function ruleOf(rule: unknown, path: string): Rule {
  if (Array.isArray(rule)) throw new TypeError(`"${path}" has a list inside its list of rules`);
  if (!isObject(rule)) return equal(rule);
  const [entry, ...more] = Object.entries(rule);
  const [name, operand] = entry ?? ['', undefined];
  const make = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  if (!make || more.length > 0) {
    throw new TypeError(`"${path}" has the rule ${JSON.stringify(Object.keys(rule))}: use one of ${Object.keys(RULES).join(', ')}`);
  }
  return make(operand, path);
}

/** Numbers are equal if their digits are. */
function equal(value: unknown): Rule {
  if (!(value instanceof NumberText)) return (leaf) => leaf === value;
  return (leaf) => typeof leaf === 'number' && String(leaf) === value.text;
}

function textOf(operand: unknown, what: string): string {
  if (typeof operand !== 'string') throw new TypeError(`${what} takes a text`);
  return operand;
}

const COMPARISONS: { readonly [sign: string]: (bound: number) => (leaf: number) => boolean } = {
  '=': (bound) => (leaf) => leaf === bound,
  '<': (bound) => (leaf) => leaf < bound,
  '<=': (bound) => (leaf) => leaf <= bound,
  '>': (bound) => (leaf) => leaf > bound,
  '>=': (bound) => (leaf) => leaf >= bound,
};

/** Compiles comparisons such as `[">", 0, "<=", 5]`. */
function comparisonsOf(operand: unknown, path: string): ((leaf: number) => boolean)[] {
  const parts: readonly unknown[] = Array.isArray(operand) ? operand : [];
  const comparisons = [];
  for (let i = 0; i < parts.length; i += 2) {
    const [sign, bound] = [parts[i], parts[i + 1]];
    const compare = typeof sign === 'string' && Object.hasOwn(COMPARISONS, sign) ? COMPARISONS[sign] : undefined;
    if (!compare || !(bound instanceof NumberText)) break;
    comparisons.push(compare(Number(bound.text)));
  }
  if (comparisons.length === 0 || comparisons.length > 2 || comparisons.length * 2 !== parts.length) {
    throw new TypeError(`"numeric" of "${path}" takes one or two comparisons, like [">", 0, "<=", 5]`);
  }
  return comparisons;
}
