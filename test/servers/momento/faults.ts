import { status } from '@grpc/grpc-js';

/** One call as the server receives it. A test chooses its fault. */
export interface MomentoCall {
  /** The name in the proto file, such as `SetIfHash`. */
  readonly rpc: string;
  /** Undefined for `ListCaches`. */
  readonly cache: string | undefined;
  /** The first key, as text. */
  readonly key: string | undefined;
  readonly keys: readonly string[];
  /** 1 for the first call of this rpc on this key since the start or the last `resetCounters`, counted over all clients. */
  readonly attempt: number;
  /** A message of `@gomomento/generated-types`. */
  readonly request: unknown;
}

/** A fault of one call. Without `error` and `hang`, the call is answered as usual after `delayMs`. */
export interface Fault {
  /** `before`: the fault comes before the call is applied. `after`: the call is applied, and its reply is late or lost. Default: `before`. */
  readonly when?: 'before' | 'after';
  readonly delayMs?: number;
  readonly error?: { readonly code: status; readonly details?: string };
  /** The call gets no answer. */
  readonly hang?: boolean;
}

/** Chooses the fault of a call. The call waits for a promise. */
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
