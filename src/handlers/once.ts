/** Makes the call when its answer is first wanted, and once for all who want it. If it fails, the next one who wants the answer repeats it. */
export function once<T>(call: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return async () => {
    running ??= call().catch((error) => {
      running = undefined;
      throw error;
    });
    return await running;
  };
}
