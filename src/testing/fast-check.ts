import { createRequire } from 'node:module';

export type FastCheck = typeof import('fast-check');

/** Loads fast-check when it is first needed, because only the generating tests need it. @throws Error if it is not installed. */
export function fastCheck(): FastCheck {
  try {
    return createRequire(import.meta.url)('fast-check');
  } catch (error) {
    throw new Error('this needs a package that is not installed: npm install --save-dev fast-check', { cause: error });
  }
}
