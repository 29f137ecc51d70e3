/** A level of Lambda's log filter. */
export type LogLevel = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';

export interface MetricsLogOptions {
  /** The lowest level that Lambda keeps: `AWS_LAMBDA_LOG_LEVEL`. Default: INFO. */
  readonly logLevel?: LogLevel;
}
