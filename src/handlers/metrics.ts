import { MetricUnit } from '@aws-lambda-powertools/metrics';
import { type ProbeCounts, violationsIn } from '../verify/counts.ts';
import { FAULTS, type Fault } from '../verify/observation.ts';
import type { BackfillFacts } from './backfill-handler.ts';
import type { BatchFacts } from './batch-facts.ts';
import type { RedriveFacts } from './redrive-handler.ts';
import { UnfilteredMetrics } from './unfiltered-metrics.ts';
import type { VerifyFacts } from './verify-handler.ts';

/** Of one metric in one line. Powertools ends a line at 100, and CloudWatch Logs charges by the byte. */
const MOST_VALUES = 5;

/**
 * Writes one line a batch in CloudWatch's embedded metric format: namespace `Millrace`, dimensions `service` (`POWERTOOLS_SERVICE_NAME`) and, on
 * Lambda, `function_name`. The line is also the log line of a batch that succeeded, so it has `message: 'batch'` and the duration. A count of 0 is
 * left out, except that of the records.
 */
export function batchMetrics(): (facts: BatchFacts) => void {
  const metrics = new UnfilteredMetrics({ namespace: 'Millrace' });
  return ({ functionName, headroom, lagsMs, cacheMs, milliseconds, ...counts }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    for (const name of COUNTS) {
      const count = counts[factOf(name)];
      if (count > 0 || name === 'Records') metrics.addMetric(name, MetricUnit.Count, count);
    }
    for (const ms of sampleOf(lagsMs)) metrics.addMetric('Lag', MetricUnit.Milliseconds, ms);
    for (const ms of sampleOf(cacheMs)) metrics.addMetric('CacheLatency', MetricUnit.Milliseconds, Math.round(ms * 100) / 100);
    if (headroom) {
      metrics.addMetric('OldestRecordAge', MetricUnit.Seconds, Math.round(headroom.oldestAgeMs / 1_000));
      metrics.addMetric('RetentionHeadroom', MetricUnit.Seconds, Math.round(headroom.headroomMs / 1_000));
      if (headroom.state === 'lost') metrics.addMetric('LossLikely', MetricUnit.Count, 1);
    }
    metrics.publish({ message: 'batch', milliseconds });
  };
}

const COUNTS = [
  'Records',
  'Applied',
  'Stale',
  'Rejected',
  'Skipped',
  'Poison',
  'SetAside',
  'Withheld',
  'Retries',
  'Failed',
  'Sampled',
  'SampleFailed',
] as const;

function factOf<Name extends (typeof COUNTS)[number]>(name: Name): Uncapitalize<Name> {
  return (name[0]?.toLowerCase() + name.slice(1)) as Uncapitalize<Name>;
}

/** The least, the quartiles and the greatest of the values, so that median and extremes stay what they are. */
function sampleOf(values: readonly number[]): readonly number[] {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length <= MOST_VALUES) return sorted;
  return Array.from({ length: MOST_VALUES }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (MOST_VALUES - 1))] as number);
}

/**
 * Writes one line a run of the redrive, with the namespace and the dimensions of `batchMetrics`, and with `message: 'redrive'`. A count of 0 is
 * written too, because the alarm on kept letters keeps its state until the next value.
 */
export function redriveMetrics(): (facts: RedriveFacts) => void {
  const metrics = new UnfilteredMetrics({ namespace: 'Millrace' });
  return ({ redriven, kept, milliseconds, functionName }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    metrics.addMetric('Redriven', MetricUnit.Count, redriven);
    metrics.addMetric('Kept', MetricUnit.Count, kept);
    metrics.publish({ message: 'redrive', milliseconds });
  };
}

/**
 * Writes one line a run of a backfill's segment, with the namespace and the dimensions of `batchMetrics`, and with `message: 'backfill'`. A count of 0 is
 * left out, except that of the items.
 */
export function backfillMetrics(): (facts: BackfillFacts) => void {
  const metrics = new UnfilteredMetrics({ namespace: 'Millrace' });
  return ({ survey, pass, segment, isDone, items, readUnits, filled, sealed, threw, milliseconds, functionName }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    metrics.addMetric('BackfillItems', MetricUnit.Count, items);
    if (readUnits > 0) metrics.addMetric('BackfillReadUnits', MetricUnit.Count, readUnits);
    if (filled > 0) metrics.addMetric('BackfillFilled', MetricUnit.Count, filled);
    if (sealed > 0) metrics.addMetric('BackfillSealed', MetricUnit.Count, sealed);
    if (threw > 0) metrics.addMetric('BackfillThrew', MetricUnit.Count, threw);
    metrics.publish({ message: 'backfill', survey, pass, segment, isDone: String(isDone), milliseconds });
  };
}

/**
 * Writes one line an invocation of the verifier that checked something, with the namespace and the dimensions of `batchMetrics`, and one line a view, with the
 * dimension `view` beside these. A count of 0 is left out, except that of the observations.
 */
export function verifyMetrics(): (facts: VerifyFacts) => void {
  const metrics = new UnfilteredMetrics({ namespace: 'Millrace' });
  return ({ action, readUnits, milliseconds, functionName, views }) => {
    const add = (counts: readonly ProbeCounts[]): void => {
      if (functionName) metrics.addDimension('function_name', functionName);
      const sum = (count: (of: ProbeCounts) => number): number => counts.reduce((total, of) => total + count(of), 0);
      const [violations, late, misses] = [sum(violationsIn), sum((of) => of.late), sum((of) => of.misses)];
      const [observations, undecided] = [sum((of) => of.observations), sum((of) => of.undecided)];
      metrics.addMetric('VerifyObservations', MetricUnit.Count, observations);
      if (violations > 0) metrics.addMetric('VerifyViolations', MetricUnit.Count, violations);
      if (late > 0) metrics.addMetric('VerifyLate', MetricUnit.Count, late);
      if (misses > 0) metrics.addMetric('VerifyMisses', MetricUnit.Count, misses);
      if (undecided > 0) metrics.addMetric('VerifyUndecided', MetricUnit.Count, undecided);
    };
    add(views.map(({ counts }) => counts));
    if (readUnits > 0) metrics.addMetric('VerifyReadUnits', MetricUnit.Count, readUnits);
    metrics.publish({ message: 'verify', action, milliseconds });
    for (const { view, counts } of views) {
      if (counts.observations + counts.misses + counts.undecided === 0) continue;
      metrics.addDimension('view', view);
      add([counts]);
      for (const fault of FAULTS)
        if (counts.violations[fault] > 0) metrics.addMetric(FAULT_METRICS[fault], MetricUnit.Count, counts.violations[fault]);
      metrics.publish({ message: 'verify view', action });
    }
  };
}

const FAULT_METRICS: Readonly<Record<Fault, string>> = {
  'old-value': 'VerifyOldValues',
  ghost: 'VerifyGhosts',
  'hidden-item': 'VerifyHiddenItems',
  'missing-member': 'VerifyMissingMembers',
  'extra-member': 'VerifyExtraMembers',
  'wrong-order': 'VerifyWrongOrders',
};
