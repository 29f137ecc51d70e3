export const LOG_LEVELS: readonly ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
export function levelOf(line: string): (typeof LOG_LEVELS)[number];
export function isKept(line: string, lowest: (typeof LOG_LEVELS)[number]): boolean;
