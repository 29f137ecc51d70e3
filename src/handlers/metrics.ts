import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { BatchFacts } from './batch-facts.ts';
import type { RedriveFacts } from './redrive-handler.ts';

/** Powertools ends a line at 100 values of one metric. */
const MOST_VALUES = 50;

/**
 * Writes one line a batch in CloudWatch's embedded metric format: namespace `Millrace`, dimensions `service` (`POWERTOOLS_SERVICE_NAME`) and, on
 * Lambda, `function_name`. A count of 0 is written too, so that an alarm has a value to look at.
 */
export function batchMetrics(): (facts: BatchFacts) => void {
  const metrics = new Metrics({ namespace: 'Millrace' });
  return ({ functionName, headroom, lagsMs, cacheMs, ...counts }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    for (const name of COUNTS) metrics.addMetric(name, MetricUnit.Count, counts[factOf(name)]);
    for (const ms of sampleOf(lagsMs)) metrics.addMetric('Lag', MetricUnit.Milliseconds, ms);
    for (const ms of sampleOf(cacheMs)) metrics.addMetric('CacheLatency', MetricUnit.Milliseconds, Math.round(ms * 1_000) / 1_000);
    if (headroom) {
      metrics.addMetric('OldestRecordAge', MetricUnit.Seconds, headroom.oldestAgeMs / 1_000);
      metrics.addMetric('RetentionHeadroom', MetricUnit.Seconds, headroom.headroomMs / 1_000);
      metrics.addMetric('LossLikely', MetricUnit.Count, headroom.state === 'lost' ? 1 : 0);
    }
    metrics.publishStoredMetrics();
  };
}

const COUNTS = ['Records', 'Applied', 'Stale', 'Rejected', 'Poison', 'SetAside', 'Withheld', 'Retries', 'Failed'] as const;

function factOf<Name extends (typeof COUNTS)[number]>(name: Name): Uncapitalize<Name> {
  return (name[0]?.toLowerCase() + name.slice(1)) as Uncapitalize<Name>;
}

/** At most 50 of the values, from the least to the greatest at even distances, so that percentiles stay what they are. */
function sampleOf(values: readonly number[]): readonly number[] {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length <= MOST_VALUES) return sorted;
  return Array.from({ length: MOST_VALUES }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (MOST_VALUES - 1))] as number);
}

/** Writes one line a run of the redrive, with the namespace and the dimensions of `batchMetrics`. */
export function redriveMetrics(): (facts: RedriveFacts) => void {
  const metrics = new Metrics({ namespace: 'Millrace' });
  return ({ redriven, kept, functionName }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    metrics.addMetric('Redriven', MetricUnit.Count, redriven);
    metrics.addMetric('Kept', MetricUnit.Count, kept);
    metrics.publishStoredMetrics();
  };
}
