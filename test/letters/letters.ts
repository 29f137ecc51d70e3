import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { letterText } from '../../src/letters/letter.ts';
import type { LetterStore } from '../../src/letters/store.ts';

/** Letters in memory. */
export interface MemoryStore extends LetterStore {
  readonly texts: Map<string, string>;
}

export function memoryStore(letters: Readonly<Record<string, string>> = {}): MemoryStore {
  const texts = new Map(Object.entries(letters));
  return {
    texts,
    async put(name, text) {
      texts.set(name, text);
    },
    async *names(prefix = '') {
      yield* [...texts.keys()].filter((name) => name.startsWith(prefix)).sort();
    },
    async get(name) {
      return texts.get(name);
    },
    async delete(name) {
      texts.delete(name);
    },
    async close() {},
  };
}

/** The name of a letter that Lambda writes itself. */
export function lambdaName(n: number, at: Date = new Date(Date.UTC(2026, 10, 22, 3, 0, n))): string {
  const [day = '', time = ''] = at.toISOString().slice(0, 19).split('T');
  const id = String(n).padStart(12, '0');
  const mapping = 'a2ea7f2c-3f4b-4d6d-8c5e-0d3f0a5b7c11/shardId-00000001573689847184-864758bb';
  return `aws/lambda/${mapping}/${day.replaceAll('-', '/')}/${day}T${time.replaceAll(':', '.')}-0a1b2c3d-4e5f-4a6b-8c7d-${id}`;
}

/** The text of a letter that Lambda writes itself: a whole batch, and no causes. */
export function lambdaLetter(records: readonly StreamRecord[], condition = 'RetryAttemptsExhausted'): string {
  return letterText({
    records,
    condition,
    at: new Date('2026-11-22T03:05:00.717Z'),
    requestId: '316aa6d0-8154-4b1a-9af7-85d5f4a6bc81',
    functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync',
    approximateInvokeCount: 61,
    shardId: 'shardId-00000001573689847184-864758bb',
  });
}
