import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';

type ExtraFields = Readonly<Record<string, string | number>>;

/**
 * Metrics of Powertools that no log level of the function silences. Lambda's filter reads the level of a line only beside a valid timestamp, and
 * assigns INFO to every other line. Each line therefore has a timestamp and the lowest level that Lambda keeps, but at least INFO.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export class UnfilteredMetrics extends Metrics {
  readonly #level = lowestLevel();
  #fields: ExtraFields = {};

  /** Writes the line of the metrics, with further fields that are no metrics. */
  publish(fields: ExtraFields): void {
    this.#fields = fields;
    this.publishStoredMetrics();
  }

  override serializeMetrics() {
    return { level: this.#level, timestamp: new Date().toISOString(), ...this.#fields, ...super.serializeMetrics() };
  }
}

/** Powertools' logger knows the function's log level (`AWS_LAMBDA_LOG_LEVEL`). It calls Lambda's FATAL by another name. */
function lowestLevel(): string {
  const level = new Logger().getLevelName();
  switch (level) {
    case 'TRACE':
    case 'DEBUG':
      return 'INFO';
    case 'CRITICAL':
    case 'SILENT':
      return 'FATAL';
    default:
      return level;
  }
}
