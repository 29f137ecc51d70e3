import type { Config } from '../../config/worker.ts';
import { type LettersPlace, parseLettersPlace } from '../../letters/place.ts';

/** The place of the letters as people write it. */
export function lettersName(letters: Config['letters']): string {
  return letters?.kind === 's3' ? `s3://${letters.bucket}/${letters.prefix}`.replace(/\/$/, '') : (letters?.path ?? '');
}

/** From the option --dead-letters. */
export function placeOf(deadLetters: string): LettersPlace {
  try {
    return parseLettersPlace(deadLetters);
  } catch (error) {
    throw new Error((error as Error).message.replace('DEAD_LETTERS', '--dead-letters'));
  }
}
