import { appViews, openCache, openLetters } from '../app.ts';
import { parseConfig } from '../config/worker.ts';
import { streamHandler } from '../handlers/stream-handler.ts';

const config = parseConfig();

export const handler = streamHandler({
  views: appViews,
  cache: await openCache(config),
  letters: await openLetters(config),
  metrics: config.metrics ? (await import('../handlers/metrics.ts')).emfMetrics() : undefined,
  // A call of the cache that is begun must be able to end, so that its outcome is reported.
  marginMs: config.deadlineMs + 500,
  poisonRunLimit: config.poisonRunLimit,
  retention: { warnMs: config.retentionWarningMs },
});
