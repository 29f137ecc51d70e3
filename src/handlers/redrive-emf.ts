import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { RedriveFacts } from './redrive-handler.ts';

/** Writes one line a run in CloudWatch's embedded metric format, beside the figures of batches: see `emfMetrics`. */
export function redriveMetrics(namespace = 'Millrace'): (facts: RedriveFacts) => void {
  const metrics = new Metrics({ namespace });
  return ({ redriven, kept, functionName }) => {
    if (functionName) metrics.addDimension('function_name', functionName);
    metrics.addMetric('Redriven', MetricUnit.Count, redriven);
    metrics.addMetric('Kept', MetricUnit.Count, kept);
    metrics.publishStoredMetrics();
  };
}
