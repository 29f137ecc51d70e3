/**
 * True where a tool is not installed, and says how to get it; for `describe.skipIf(missing(...))`.
 * In CI nothing may skip, so there a missing tool is an error.
 */
export function missing(available: boolean, howToGet: string): boolean {
  if (available) return false;
  if (process.env.CI && process.env.CI !== 'false') throw new Error(`CI may not skip tests: ${howToGet}`);
  console.warn(`Skipping tests: ${howToGet}`);
  return true;
}
