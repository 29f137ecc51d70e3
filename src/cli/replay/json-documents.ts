/** A JSON document in a file, with the line on which it begins. */
export interface JsonDocument {
  readonly line: number;
  readonly value: unknown;
}

/** What is wrong on a line of a file, and the way out. */
export interface LineFault {
  readonly line: number;
  readonly reason: string;
}

/** A part of a file that may be a document. */
interface Chunk {
  readonly line: number;
  readonly text: string;
}

/** What `aws logs tail`, `sam logs` and Lambda's text format put before a message: times, the log stream, a request id, a level. */
const LOG_PREFIX = /^(?:\d{4}[-/]\S+[ \t]+)+(?:[\da-f-]{36}[ \t]+[A-Z]+[ \t]+)?/;
/** Lambda's own lines in a log. */
const PLATFORM_LINE = /^(INIT_START|INIT_REPORT|START|END|REPORT|XRAY|EXTENSION|LOGS|TELEMETRY)\b/;

/**
 * The JSON documents of a text: one, one a line, or several that take more lines and begin at the first column. Lines of a log may have the log's
 * prefix.
 */
export function documentsIn(text: string): { readonly documents: readonly JsonDocument[]; readonly faults: readonly LineFault[] } {
  const lines: readonly Chunk[] = text
    .split('\n')
    .map((line, i) => ({ line: i + 1, text: line.replace(LOG_PREFIX, '') }))
    .filter((line) => line.text.trim() !== '' && !PLATFORM_LINE.test(line.text));
  const [first] = lines;
  if (!first) return { documents: [], faults: [{ line: 1, reason: 'it is empty: save it again' }] };
  for (const chunks of [[{ line: first.line, text: text.trimStart() }], lines, blocksOf(lines)]) {
    const documents = chunks.flatMap(({ line, text }) => parsed(text).map((value) => ({ line, value })));
    if (documents.length === chunks.length) return { documents, faults: [] };
  }
  const isOneALine = parsed(first.text).length > 0;
  const chunks = isOneALine ? blocksOf(lines) : [{ line: 1, text }];
  return { documents: [], faults: chunks.filter((chunk) => parsed(chunk.text).length === 0).map(faultIn) };
}

/** Joins the lines that belong to a block, which begins at the first column. */
function blocksOf(lines: readonly Chunk[]): readonly Chunk[] {
  const blocks: { readonly line: number; text: string; last: number }[] = [];
  for (const { line, text } of lines) {
    const block = blocks.at(-1);
    if (!block || /^[{[]/.test(text)) blocks.push({ line, text, last: line });
    else {
      // As many line breaks as in the file, so that a fault's line can be counted.
      block.text += '\n'.repeat(line - block.last) + text;
      block.last = line;
    }
  }
  return blocks;
}

/** The value, as a list of one; empty if the text is not JSON. */
function parsed(text: string): readonly unknown[] {
  try {
    return [JSON.parse(text)];
  } catch {
    return [];
  }
}

function faultIn({ line, text }: Chunk): LineFault {
  // The place in the parser's message counts characters, and is absent from some messages.
  const message = messageOf(text).replace(/( in JSON)? at position \d+( \(line \d+ column \d+\))?/, '');
  return { line: line - 1 + faultyLine(text.trimEnd()), reason: `it is not JSON (${message}): correct it, or save it again` };
}

/** The first line that no further text could make valid, by binary search; the last one if the text was cut short. */
function faultyLine(text: string): number {
  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (mayContinue(text.slice(0, ends[middle]))) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}

function mayContinue(text: string): boolean {
  const message = messageOf(text);
  return message === '' || /Unexpected end/.test(message) || Number(/at position (\d+)/.exec(message)?.[1]) === text.length;
}

/** What the parser says; empty if the text is JSON. */
function messageOf(text: string): string {
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return (error as SyntaxError).message;
  }
}
