/** A number of a pattern, as it is written there: 300 and 300.0 are not equal to Lambda. */
export class NumberText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** No pattern has a field of this name. */
const NUMBER = '\u0000number';

/** JSON with its numbers as `NumberText`. */
export function parsePattern(text: string): unknown {
  JSON.parse(text);
  const marked = text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : JSON.stringify({ [NUMBER]: token })));
  return JSON.parse(marked, (_, value) => (isObject(value) && NUMBER in value ? new NumberText(String(value[NUMBER])) : value));
}

/** Neither a list nor a number of a pattern. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}
