import { invalid, tooLarge } from './failure.ts';

/** What an on-demand cache allows. https://docs.momentohq.com/cache/manage/limits */
export interface Limits {
  readonly itemBytes: number;
  readonly elementBytes: number;
  readonly ttlMs: number;
  /** Of a request as the server receives it. */
  readonly messageBytes: number;
  readonly caches: number;
}

export const ON_DEMAND: Limits = {
  itemBytes: 4_883 * 1024,
  elementBytes: 128 * 1024,
  ttlMs: 24 * 60 * 60 * 1_000,
  messageBytes: 16 * 1024 * 1024,
  caches: Number.POSITIVE_INFINITY,
};

export function checkTtl(limits: Limits, ttlMs: number): void {
  if (!(ttlMs > 0)) throw invalid('TTL must be a positive number of milliseconds');
  if (ttlMs > limits.ttlMs) throw invalid(`TTL is limited to ${limits.ttlMs} milliseconds`);
}

/** Of a scalar: one that is too large is already so on the way in. */
export function checkValue(limits: Limits, value: Uint8Array): void {
  if (value.length > limits.itemBytes) throw tooLarge('request', limits.itemBytes);
}

/** Of a collection that grows. */
export function checkItem(limits: Limits, bytes: number): void {
  if (bytes > limits.itemBytes) throw tooLarge('item', limits.itemBytes);
}

export function checkElement(limits: Limits, element: Uint8Array): void {
  if (element.length > limits.elementBytes) throw tooLarge('element', limits.elementBytes);
}
