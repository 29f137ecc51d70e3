import { fileURLToPath } from 'node:url';
import { ConfigurationError, shownValue } from '../errors.ts';

/** Where dead letters lie. */
export type LettersPlace =
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string }
  | { readonly kind: 'folder'; readonly path: string };

const BUCKET = /^[a-z\d][a-z\d.-]{1,61}[a-z\d]$/;

/**
 * @param variable what the message calls the text
 * @throws ConfigurationError
 */
export function parseLettersPlace(text: string, variable = 'DEAD_LETTERS'): LettersPlace {
  const wrong = (why: string) =>
    new ConfigurationError(
      `${variable} is ${shownValue(text)}${why}: give s3://BUCKET, s3://BUCKET/PREFIX, or a folder, as a path or a file: URL`,
    );
  const [, bucket, prefix] = text.match(/^s3:\/\/([^/]*)\/?(.*)$/) ?? [];
  if (bucket !== undefined && prefix !== undefined) {
    if (!BUCKET.test(bucket)) throw wrong(', whose bucket name is not valid');
    const folders = prefix.replace(/\/+$/, '');
    return { kind: 's3', bucket, prefix: folders && `${folders}/` };
  }
  if (text.startsWith('file:')) {
    try {
      return { kind: 'folder', path: fileURLToPath(text) };
    } catch {
      throw wrong(', which is not a file: URL of this machine');
    }
  }
  // One letter before the colon is a drive of Windows.
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) throw wrong('');
  return { kind: 'folder', path: text };
}
