import { appViews, openCache, openLetters } from '../app.ts';
import { parseConfig } from '../config/worker.ts';
import { streamHandler } from '../handlers/stream-handler.ts';

const config = parseConfig();

/** Loads its code only if a sample is wanted. */
async function sampleOf({ sample }: typeof config) {
  if (!sample) return undefined;
  const [{ sampler }, { sqsQueue }] = await Promise.all([import('../handlers/sampler.ts'), import('../handlers/sqs-queue.ts')]);
  return sampler({ views: appViews, queue: sqsQueue({ url: sample.queueUrl }), oneIn: sample.oneIn });
}

export const handler = streamHandler({
  views: appViews,
  cache: await openCache(config, { views: appViews, waitMs: config.lifeWaitMs }),
  letters: await openLetters(config),
  metrics: config.metrics ? (await import('../handlers/metrics.ts')).batchMetrics() : undefined,
  sample: await sampleOf(config),
  // Leaves time for the last call of the cache, so that its outcome is reported.
  marginMs: config.deadlineMs + 500,
  poisonRunLimit: config.poisonRunLimit,
  retention: { warnMs: config.retentionWarningMs },
});
