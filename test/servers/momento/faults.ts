import { status } from '@grpc/grpc-js';

/** One call as the server receives it: what a test decides by. */
export interface MomentoCall {
  /** As the proto names it, such as `SetIfHash`. */
  readonly rpc: string;
  /** Undefined in the control plane's listing of caches. */
  readonly cache: string | undefined;
  /** The first of its keys, as text. */
  readonly key: string | undefined;
  readonly keys: readonly string[];
  /** 1 for the first call of this rpc on this key since the start or the last `resetCounters`, whoever makes it. */
  readonly attempt: number;
  /** The message itself, of `@gomomento/generated-types`. */
  readonly request: unknown;
}

/** What to do to a call. Without `error` and `hang` it is answered as usual, only later. */
export interface Fault {
  /** Whether it strikes `before` the call is applied (the default) or `after`: a reply that is late or lost. */
  readonly when?: 'before' | 'after';
  readonly delayMs?: number;
  readonly error?: { readonly code: status; readonly details?: string };
  /** Never answer. */
  readonly hang?: boolean;
}

/** A promise holds the call until it resolves. */
export type OnCall = (call: MomentoCall) => Fault | undefined | Promise<Fault | undefined>;

type When = NonNullable<Fault['when']>;

export const throttled = (): Fault => ({ error: { code: status.RESOURCE_EXHAUSTED, details: 'Operations per second limit exceeded' } });
export const unavailable = (when: When = 'before'): Fault => ({
  when,
  error: { code: status.UNAVAILABLE, details: 'Service unavailable' },
});
export const lostReply = (): Fault => unavailable('after');
export const hanging = (when: When = 'before'): Fault => ({ when, hang: true });
export const late = (delayMs: number, when: When = 'before'): Fault => ({ when, delayMs });
