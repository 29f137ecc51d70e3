import { openCache, views } from '../app.ts';
import { parseConfig } from '../config.ts';
import { streamHandler } from './stream-handler.ts';

const config = parseConfig();

export const handler = streamHandler({
  views,
  cache: await openCache(config),
  // A call of the cache that is begun must be able to end, so that its outcome is reported.
  marginMs: config.deadlineMs + 500,
});
