import { Metrics } from '@aws-lambda-powertools/metrics';
import type { LogLevel, MetricsLogOptions } from './log-level.ts';

type ExtraFields = Readonly<Record<string, string | number>>;

/**
 * Metrics of Powertools that no log level of the function silences. Lambda's filter reads the level of a line only beside a valid timestamp, and
 * assigns INFO to every other line. Each line therefore has a timestamp and the lowest level that Lambda keeps, but at least INFO.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export class UnfilteredMetrics extends Metrics {
  readonly #level: LogLevel;
  #fields: ExtraFields = {};

  constructor({ logLevel = 'INFO', namespace }: MetricsLogOptions & { readonly namespace?: string } = {}) {
    super({ namespace });
    this.#level = logLevel === 'TRACE' || logLevel === 'DEBUG' ? 'INFO' : logLevel;
  }

  /** Writes the line of the metrics, with further fields that are no metrics. */
  publish(fields: ExtraFields): void {
    this.#fields = fields;
    this.publishStoredMetrics();
  }

  override serializeMetrics() {
    return { level: this.#level, timestamp: new Date().toISOString(), ...this.#fields, ...super.serializeMetrics() };
  }
}
