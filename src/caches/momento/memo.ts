/** Keeps the most recently used values, up to a total weight in bytes. */
export interface Memo<Value> {
  put(key: string, value: Value, weight: number): void;
  /** Returns the value and removes it. Put it back after use. */
  take(key: string): Value | undefined;
}

export function memoOf<Value>(maxBytes: number): Memo<Value> {
  /** Least recently used first. */
  const entries = new Map<string, { readonly value: Value; readonly weight: number }>();
  let total = 0;
  const take = (key: string): Value | undefined => {
    const entry = entries.get(key);
    if (!entry) return undefined;
    entries.delete(key);
    total -= entry.weight;
    return entry.value;
  };
  return {
    take,
    put(key, value, weight) {
      take(key);
      entries.set(key, { value, weight });
      total += weight;
      for (const oldest of entries.keys()) {
        if (total <= maxBytes) return;
        take(oldest);
      }
    },
  };
}
