/**
 * Does the work for each, so many at once. One that throws does not stop the others; nothing runs any more when this returns or throws.
 *
 * @throws what the first work threw, after all have ended.
 */
export async function each<T>(items: readonly T[], atOnce: number, work: (item: T, index: number) => Promise<void>): Promise<void> {
  const rest = items.entries();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    // All workers take from one iterator.
    for (const [index, item] of rest) {
      await work(item, index).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
