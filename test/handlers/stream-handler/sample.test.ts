import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { memoryCache } from '../../../src/caches/memory.ts';
import type { BatchFacts } from '../../../src/handlers/batch-facts.ts';
import { type Sample, sampler } from '../../../src/handlers/sampler.ts';
import type { CheckMessage } from '../../../src/handlers/sqs-queue.ts';
import { type Check, parseCheck } from '../../../src/verify/messages.ts';
import { documentView, entity } from '../../../src/view.ts';
import { randomOf } from '../../backfill/orders.ts';
import {
  bare,
  CANARY,
  downFor,
  failureOf,
  handlerOf,
  insert,
  modify,
  orderViews,
  sad,
  unprojectable,
  useFixedTime,
  views,
} from './scene.ts';

useFixedTime();

function sampling(options: { readonly oneIn?: number; readonly refuses?: boolean } = {}) {
  const messages: CheckMessage[] = [];
  const queue = {
    async send(some: readonly CheckMessage[]) {
      messages.push(...some);
      return some.map(() => !options.refuses);
    },
  };
  const sample = sampler({ views, queue, oneIn: options.oneIn ?? 1, random: randomOf(7) });
  return { sample, messages, checks: (): Check[] => messages.map(({ text }) => parseCheck(text)) };
}

const factsOf = async (sample: Sample, ...records: Parameters<ReturnType<typeof handlerOf>['handle']>) => {
  const facts: BatchFacts[] = [];
  const { handle, lines } = handlerOf({ sample, metrics: (some) => facts.push(some) });
  const answer = handle(...records);
  return { answer: await failureOf(answer), facts: facts[0] as BatchFacts, lines };
};

describe('the sample of a batch', () => {
  it('has the addresses that an applied change writes, also those that it leaves, and its version, and no values', async () => {
    const { sample, messages, checks } = sampling();
    const { facts } = await factsOf(sample, modify('a', '7', { creator: { S: 'pip' }, status: sad, note: sad }));
    expect(facts).toMatchObject({ sampled: 1, sampleFailed: 0 });
    const [check] = checks();
    expect(check).toMatchObject({ probe: 'stream', age: 0, version: expect.stringMatching(/\/0+7$/) });
    const lists = check?.looks.flatMap(({ subject }) => (subject.kind === 'member' ? subject.list : []));
    expect(lists).toEqual(expect.arrayContaining(['orders@1:creator:olive', 'orders@1:creator:pip', 'orders@1:all']));
    expect(new Set(check?.looks.map(({ subject }) => subject.view))).toEqual(new Set(orderViews));
    for (const { subject } of check?.looks ?? []) expect(subject.item).toEqual({ pk: { S: 'order#a' }, sk: { S: 'order' } });
    expect(messages[0]?.text).not.toContain(CANARY);
    // The queue is set to the delay of the first check.
    expect(messages[0]?.delaySeconds).toBeUndefined();
  });

  it('leaves out what was not applied: failed records, records set aside whole, and records of no view', async () => {
    const { sample, checks } = sampling();
    const { handle } = handlerOf({ sample, cache: downFor('b') });
    await handle(insert('a', '1'), insert('b', '2'), bare('c', '3'), {
      ...insert('d', '4'),
      dynamodb: { ...insert('d', '4').dynamodb, NewImage: { pk: { S: 'x' }, sk: { S: 'y' } }, Keys: { pk: { S: 'x' }, sk: { S: 'y' } } },
    });
    expect(checks().map(({ version }) => version?.slice(-1))).toEqual(['1']);
  });

  it('has what the cache rejected, because the cache may still have the value before', async () => {
    const { sample, checks } = sampling();
    const { handle } = handlerOf({ sample, cache: memoryCache({ maxValueBytes: 50 }) });
    await handle(insert('a', '1'));
    expect(checks().flatMap(({ looks }) => looks.map(({ subject }) => subject.kind))).toContain('document');
  });

  it('has nothing of an item on which each view throws', async () => {
    const { sample, checks } = sampling();
    await handlerOf({ sample }).handle(unprojectable('a', '1'));
    expect(checks()).toEqual([]);
  });

  it('has one in `oneIn` changes', async () => {
    const { sample, checks } = sampling({ oneIn: 10 });
    await handlerOf({ sample }).handle(...Array.from({ length: 1_000 }, (_, i) => insert(`o${i}`, String(i + 1))));
    expect(checks().length).toBeGreaterThan(60);
    expect(checks().length).toBeLessThan(140);
    const off = sampling({ oneIn: 0 });
    await handlerOf({ sample: off.sample }).handle(insert('a', '1'));
    expect(off.messages).toEqual([]);
  });

  it('has as many addresses as fit into a message, also later, when more is known of them', async () => {
    const { messages, checks } = sampling();
    const many = documentView<{ readonly pk: string }, number>({
      name: 'many',
      revision: 1,
      entity: entity({ name: 'any', owns: () => true, schema: { parse: (item) => item as { readonly pk: string } } }),
      project: () => Array.from({ length: 20 }, (_, i) => ({ key: `${i}${'k'.repeat(60_000)}`, value: i })),
    });
    const queue = { send: async (some: readonly CheckMessage[]) => some.map((one) => messages.push(one) > 0) };
    const sample = sampler({ views: [many] as never, queue, oneIn: 1, random: randomOf(7) });
    expect(await sample([insert('a', '1')], new AbortController().signal)).toEqual({ sampled: 1, failed: 0 });
    expect(checks().map(({ looks }) => looks.length)).toEqual([3]);
    expect(Buffer.byteLength(messages[0]?.text ?? '')).toBeLessThan(200_000);
  });

  it('is counted as failed if the queue refuses it, and the batch goes on', async () => {
    const { answer, facts } = await factsOf(sampling({ refuses: true }).sample, insert('a', '1'), insert('b', '2'));
    expect(answer).toBeUndefined();
    expect(facts).toMatchObject({ sampled: 0, sampleFailed: 2, failed: 0 });
  });

  it.each<[string, Sample]>([
    ['throws', () => Promise.reject(new Error('no such queue'))],
    [
      'throws at once',
      () => {
        throw new Error('no such queue');
      },
    ],
    ['never ends', () => new Promise(() => {})],
    ['ends only when its signal is aborted', async (_, signal) => sleep(60_000, { sampled: 1, failed: 0 }, { signal })],
  ])('does not hold up a batch if it %s', async (_, sample) => {
    const began = performance.now();
    const { answer, facts, lines } = await factsOf(sample, insert('a', '1'));
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(answer).toBeUndefined();
    expect(facts).toMatchObject({ sampled: 0, sampleFailed: 1, applied: expect.any(Number) });
    expect(lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'a sample is missing', failed: 1 }));
  });

  it('has no time in the last moments of the function', async () => {
    const facts: BatchFacts[] = [];
    const { handler } = handlerOf({ sample: () => new Promise(() => {}), metrics: (some) => facts.push(some), marginMs: 1_000 });
    const began = performance.now();
    await handler({ Records: [insert('a', '1')] }, { getRemainingTimeInMillis: () => 1_010 });
    expect(performance.now() - began).toBeLessThan(400);
    expect(facts[0]).toMatchObject({ sampleFailed: 1 });
  });
});
