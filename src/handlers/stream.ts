import { openCache, views } from '../app.ts';
import { parseConfig } from '../config.ts';
import { streamHandler } from './stream-handler.ts';

export const handler = streamHandler({ views, cache: await openCache(parseConfig()) });
