/** One of these, chosen by any number. */
export function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % from.length];
}
