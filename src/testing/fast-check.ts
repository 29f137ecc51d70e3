import { createRequire } from 'node:module';

export type FastCheck = typeof import('fast-check');

/** Loaded when it is needed, at once: what does not generate anything works without it. Throws when it is not installed. */
export function fastCheck(): FastCheck {
  try {
    return createRequire(import.meta.url)('fast-check');
  } catch (error) {
    throw new Error('this needs a package that is not installed: npm install --save-dev fast-check', { cause: error });
  }
}
