import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { BatchFacts } from './batch-facts.ts';

/** Powertools ends a line at 100 values of one metric. */
const MOST_VALUES = 50;

/**
 * Writes one line a batch in CloudWatch's embedded metric format: namespace `Millrace`, dimensions `service` (`POWERTOOLS_SERVICE_NAME`) and, on
 * Lambda, `function_name`. Counts are there when they are 0, too, so that an alarm has something to look at.
 */
export function emfMetrics(namespace = 'Millrace'): (facts: BatchFacts) => void {
  const metrics = new Metrics({ namespace });
  return ({ functionName, headroom, lagsMs, cacheMs, ...counts }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    for (const name of COUNTS) metrics.addMetric(name, MetricUnit.Count, counts[keyOf(name)]);
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

function keyOf<Name extends (typeof COUNTS)[number]>(name: Name): Uncapitalize<Name> {
  return (name[0]?.toLowerCase() + name.slice(1)) as Uncapitalize<Name>;
}

/** So many of its values, from the least to the greatest at even distances, that percentiles stay what they are. */
function sampleOf(values: readonly number[]): readonly number[] {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length <= MOST_VALUES) return sorted;
  return Array.from({ length: MOST_VALUES }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (MOST_VALUES - 1))] as number);
}
