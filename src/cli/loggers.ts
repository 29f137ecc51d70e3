import type { StructuredLogger } from '../handlers/stream-handler.ts';

export const quietLogger: StructuredLogger = { info() {}, warn() {}, error() {} };

/** One JSON object a line, beside what is printed. */
export const stderrLogger: StructuredLogger = {
  info: (...line) => logLine('INFO', line),
  warn: (...line) => logLine('WARN', line),
  error: (...line) => logLine('ERROR', line),
};

function logLine(level: string, [message, ...extra]: readonly unknown[]): void {
  const plain = (_: string, value: unknown) => (value instanceof Error ? { name: value.name, message: value.message } : value);
  process.stderr.write(`${JSON.stringify(Object.assign({ level, message }, ...extra), plain)}\n`);
}
