import type { InvocationContext } from './stream-handler.ts';

/** Is aborted in the last `marginMs` of the invocation's time; never where nothing tells that time. */
export function timeNearlyOver(context: InvocationContext | undefined, marginMs: number): AbortSignal {
  const remainingMs = context?.getRemainingTimeInMillis?.();
  if (remainingMs === undefined) return new AbortController().signal;
  return AbortSignal.timeout(Math.max(0, Math.floor(remainingMs - marginMs)));
}
