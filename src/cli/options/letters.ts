import { resolve } from 'node:path';
import type { Config } from '../../config/worker.ts';
import { type LettersPlace, parseLettersPlace } from '../../letters/place.ts';

/** The place of the letters in the form of DEAD_LETTERS: s3://BUCKET/PREFIX or a folder. */
export function lettersName(letters: Config['letters']): string {
  return letters?.kind === 's3' ? `s3://${letters.bucket}/${letters.prefix}`.replace(/\/$/, '') : (letters?.path ?? '');
}

/** Where a letter lies: the path of its file, or `s3://BUCKET/KEY`. */
export function letterPath(place: LettersPlace, name: string): string {
  return place.kind === 's3' ? `s3://${place.bucket}/${place.prefix}${name}` : resolve(place.path, name);
}

/** @throws Error with the name of the option --dead-letters. */
export function placeOf(deadLetters: string): LettersPlace {
  try {
    return parseLettersPlace(deadLetters);
  } catch (error) {
    throw new Error((error as Error).message.replace('DEAD_LETTERS', '--dead-letters'));
  }
}
