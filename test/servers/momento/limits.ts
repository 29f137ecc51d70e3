import { invalid, tooLarge } from './failure.ts';

/** The limits of an on-demand cache. https://docs.momentohq.com/cache/manage/limits */
export interface Limits {
  readonly itemBytes: number;
  readonly elementBytes: number;
  readonly ttlMs: number;
  /** Bytes of a whole request. */
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

/** Checks a scalar. The service refuses the request that carries a large one. */
export function checkValue(limits: Limits, value: Uint8Array): void {
  if (value.length > limits.itemBytes) throw tooLarge('request', limits.itemBytes);
}

/** Checks the new size of a collection. */
export function checkItem(limits: Limits, bytes: number): void {
  if (bytes > limits.itemBytes) throw tooLarge('item', limits.itemBytes);
}

export function checkElement(limits: Limits, element: Uint8Array): void {
  if (element.length > limits.elementBytes) throw tooLarge('element', limits.elementBytes);
}
