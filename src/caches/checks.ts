import { shownValue } from '../errors.ts';
import { APPLIED, forgetInstead, type Mutation, type Outcome } from '../mutation.ts';

/** @throws TypeError when the namespace has characters that keys must not begin with. */
export function checkNamespace(namespace: string): void {
  if (!/^[\w-]+$/.test(namespace)) throw new TypeError(`cache namespace ${shownValue(namespace)}: use letters, digits, "-" and "_"`);
}

/** @throws TypeError that names the first option whose value is not a whole number or is less than its minimum. */
export function checkWholeNumbers(options: readonly (readonly [name: string, value: number, minimum: number])[]): void {
  for (const [name, value, minimum] of options) {
    if (!Number.isSafeInteger(value) || value < minimum)
      throw new TypeError(`cache option ${name} is ${value}: give a whole number of ${minimum} or more`);
  }
}

/** Why a value of more than `maxBytes` is rejected; undefined if it is not larger. */
export function overLimit(json: string, maxBytes: number): string | undefined {
  // A UTF-16 code unit takes at most 3 bytes in UTF-8, so short values need not be measured.
  if (json.length * 3 <= maxBytes) return undefined;
  const bytes = Buffer.byteLength(json);
  return bytes > maxBytes ? `value of ${bytes} bytes is over the limit of ${maxBytes}` : undefined;
}

/** A mutation that fits the cache, and its outcome if it is applied. */
export interface Admitted {
  readonly mutation: Mutation;
  readonly ifApplied: Outcome;
}

/**
 * Replaces a put that the cache rejects by a forget.
 *
 * @param rejection why the cache rejects the put; undefined if it accepts it
 */
export function admit(mutation: Mutation, rejection: (put: Mutation & { readonly type: 'put' }) => string | undefined): Admitted {
  const reason = mutation.type === 'put' ? rejection(mutation) : undefined;
  if (mutation.type !== 'put' || reason === undefined) return { mutation, ifApplied: APPLIED };
  return { mutation: forgetInstead(mutation), ifApplied: { type: 'rejected', reason } };
}
