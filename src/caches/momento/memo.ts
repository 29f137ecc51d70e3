/** Remembers what was used last, up to a weight in bytes. */
export interface Memo<Value> {
  hold(key: string, value: Value, weight: number): void;
  /** Returns it and forgets it: whoever changes it holds it anew. */
  take(key: string): Value | undefined;
}

export function memoOf<Value>(maxBytes: number): Memo<Value> {
  /** Used longest ago first. */
  const held = new Map<string, { readonly value: Value; readonly weight: number }>();
  let total = 0;
  const take = (key: string): Value | undefined => {
    const found = held.get(key);
    if (!found) return undefined;
    held.delete(key);
    total -= found.weight;
    return found.value;
  };
  return {
    take,
    hold(key, value, weight) {
      take(key);
      held.set(key, { value, weight });
      total += weight;
      for (const oldest of held.keys()) {
        if (total <= maxBytes) return;
        take(oldest);
      }
    },
  };
}
