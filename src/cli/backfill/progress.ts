import cliProgress from 'cli-progress';
import { passCounts } from '../../backfill/backfill.ts';
import type { BackfillCheckpoint } from '../../backfill/checkpoint.ts';
import type { Pass } from '../../backfill/segment.ts';

/** Shows how far a backfill is, on stderr. */
export interface Progress {
  update(checkpoint: BackfillCheckpoint): void;
  stop(): void;
}

const LINE_EVERY_MS = 10_000;
/** The rate is that of the last seconds, because a table may become busy, ms. */
const RATE_OVER_MS = 10_000;

const WHAT: Readonly<Record<Pass, string>> = {
  mark: 'filling documents, marking lists',
  fill: 'filling lists',
  seal: 'sealing lists',
};

/** @param expected items of the table, as DynamoDB says: it counts every six hours */
export function progress(expected: number): Progress {
  const isTerminal = process.stderr.isTTY === true;
  const bar = isTerminal
    ? new cliProgress.SingleBar({
        format: '{what} {bar} {percentage}% | {rate} items/s | {left}',
        clearOnComplete: true,
        stream: process.stderr,
      })
    : undefined;
  let pass: Pass | 'done' | undefined;
  let samples: { readonly at: number; readonly items: number }[] = [];
  let printedAt = 0;
  let isShown = false;
  const stop = (): void => {
    if (isShown) bar?.stop();
    isShown = false;
  };
  return {
    update(checkpoint) {
      const now = performance.now();
      if (checkpoint.pass === 'done') return stop();
      // Pages come faster than anybody reads.
      if (checkpoint.pass === pass && now - (samples.at(-1)?.at ?? 0) < 200) return;
      const { items } = passCounts(checkpoint, checkpoint.pass);
      if (checkpoint.pass !== pass) {
        stop();
        pass = checkpoint.pass;
        samples = [{ at: now, items }];
        printedAt = now;
        bar?.start(Math.max(expected, 1), items, { what: WHAT[pass], rate: '…', left: '…' });
        isShown = true;
        if (!isTerminal) process.stderr.write(`${WHAT[pass]}, from item ${items} of about ${expected}\n`);
        return;
      }
      // Of a slow table, a page may come more seldom than that: the newest sample from before stays.
      const start = samples.findLastIndex(({ at }) => now - at >= RATE_OVER_MS);
      samples = [...samples.slice(Math.max(0, start)), { at: now, items }];
      const [first] = samples;
      const seconds = (now - (first?.at ?? now)) / 1_000;
      const rate = seconds > 0 ? (items - (first?.items ?? items)) / seconds : 0;
      const left = rate > 0 && expected > items ? `${duration((expected - items) / rate)} left` : '…';
      bar?.update(Math.min(items, Math.max(expected, 1)), { what: WHAT[pass], rate: Math.round(rate), left });
      if (!isTerminal && now - printedAt >= LINE_EVERY_MS) {
        printedAt = now;
        const share = expected > 0 ? `, ${Math.min(99, Math.floor((items / expected) * 100))} %` : '';
        process.stderr.write(`${WHAT[pass]}: ${items} items${share}, ${Math.round(rate)} items/s, ${left}\n`);
      }
    },
    stop,
  };
}

/** A time in words: `45 s`, `12 min`, `3.5 h`, `7 days`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5_400) return `${Math.ceil(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3_600).toFixed(1)} h` : `${Math.ceil(seconds / 86_400)} days`;
}
