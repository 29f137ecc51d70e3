/** Waits until all of the works have ended, also if one fails: nothing may run on behind the caller's back. @throws what the first failed one threw */
export async function ended(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason;
}
