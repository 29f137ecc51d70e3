// Lambda's filter of application logs, for functions with the JSON log format.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html

/** From the most detail to the least. */
export const LOG_LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** The level that Lambda assigns to a line of stdout or stderr. Without a valid level or timestamp it is INFO. */
export function levelOf(line) {
  let fields;
  try {
    fields = JSON.parse(line);
  } catch {
    return 'INFO';
  }
  const level = String(fields?.level).toUpperCase();
  return LOG_LEVELS.includes(level) && RFC_3339.test(String(fields.timestamp)) ? level : 'INFO';
}

/** Whether a function whose ApplicationLogLevel is `lowest` keeps the line. */
export function isKept(line, lowest) {
  return LOG_LEVELS.indexOf(levelOf(line)) >= LOG_LEVELS.indexOf(lowest);
}
