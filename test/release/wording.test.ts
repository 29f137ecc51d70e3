import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** Phrases that hide who does what. Say subject, verb and object instead; document an option as meaning, unit and `Default: 8.` */
const PHRASES = [
  'so many',
  'unless told otherwise',
  'at the most',
  'is no matter',
  'is a matter of',
  ', say',
  'whoever',
  'anew',
  'is told',
  'are told',
];

/** Files and folders that people read. Of the folder `events` only the Markdown is prose. */
const PLACES = ['src', 'README.md', 'docs', 'events', 'deploy', 'template.yaml'];

/** A phrase may continue in the next line of a comment, after `*`, `//`, `#` or `--`. */
const GAP = String.raw`\s+(?:(?:\*|//|#|--)\s+)?`;

const PATTERN = new RegExp(PHRASES.map((phrase) => `${/^\w/.test(phrase) ? '\\b' : ''}${phrase.replace(/ /g, GAP)}\\b`).join('|'), 'gi');

/** One line per phrase found: file, line and phrase. */
function phrasesIn(file: string, text: string): readonly string[] {
  return [...text.matchAll(PATTERN)].map(({ 0: found, index }) => {
    const line = text.slice(0, index).split('\n').length;
    return `${file}:${line}: ${found.replace(new RegExp(GAP, 'g'), ' ')}`;
  });
}

function filesIn(place: string): readonly string[] {
  if (!statSync(join(ROOT, place)).isDirectory()) return [place];
  return readdirSync(join(ROOT, place), { recursive: true, encoding: 'utf8' })
    .map((name) => `${place}/${name.replaceAll('\\', '/')}`)
    .filter((file) => statSync(join(ROOT, file)).isFile() && (place !== 'events' || file.endsWith('.md')))
    .sort();
}

describe('the wording', () => {
  it.each(PLACES.filter((place) => existsSync(join(ROOT, place))))('avoids phrases that must be read twice in %s', (place) => {
    expect(filesIn(place).flatMap((file) => phrasesIn(file, readFileSync(join(ROOT, file), 'utf8')))).toEqual([]);
  });

  it('names file, line and phrase of each hit, over line breaks and comment marks too', () => {
    const text = 'const a = 1;\n/**\n * Waits so\n * many ms, 8 unless told otherwise.\n */\n// A name,\n// say. It Is told.\n';
    expect(phrasesIn('a.ts', text)).toEqual(['a.ts:3: so many', 'a.ts:4: unless told otherwise', 'a.ts:6: , say', 'a.ts:7: Is told']);
  });

  it('accepts words that only contain a phrase', () => {
    expect(phrasesIn('a.md', 'also many, saying, in a newer manner, as the caller says, mosaic')).toEqual([]);
  });
});
