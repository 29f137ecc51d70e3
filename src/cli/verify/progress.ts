import type { VerifyProgress } from '../../verify/verify.ts';

const LINE_EVERY_MS = 10_000;
const TERMINAL_EVERY_MS = 200;

/** Shows on stderr how far a run is: one line that changes on a terminal, else a line every 10 s. */
export function progressLines(segments: number): { update(progress: VerifyProgress): void; stop(): void } {
  const isTerminal = process.stderr.isTTY === true;
  let printedAt = 0;
  let phase: VerifyProgress['phase'] | undefined;
  return {
    update(progress) {
      const now = performance.now();
      const isDue = now - printedAt >= (isTerminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS);
      if (!isDue && progress.phase === phase) return;
      [printedAt, phase] = [now, progress.phase];
      process.stderr.write(isTerminal ? `\r\x1b[K${lineOf(progress, segments)}` : `${lineOf(progress, segments)}\n`);
    },
    stop() {
      if (isTerminal) process.stderr.write('\r\x1b[K');
    },
  };
}

function lineOf({ phase, items, segmentsDone, keys, waiting, violations }: VerifyProgress, segments: number): string {
  const done: Readonly<Record<VerifyProgress['phase'], string>> = {
    table: `from table to cache: ${items} items, ${segmentsDone} of ${segments} segments`,
    cache: `from cache to table: ${keys} keys`,
    stream: 'following the stream',
    waiting: 'looking again at what differed',
  };
  return `${done[phase]}, ${waiting} to look at again, ${violations} violations`;
}
