/**
 * Skips tests whose tool is missing, and prints how to get it: `describe.skipIf(missing(...))`. In CI a missing tool is an error.
 *
 * @param chosen The user chose a tool without this ability, so CI skips these tests too. Default: false.
 */
export function missing(available: boolean, howToGet: string, { chosen = false } = {}): boolean {
  if (available) return false;
  if (!chosen && process.env.CI && process.env.CI !== 'false') throw new Error(`CI may not skip tests: ${howToGet}`);
  console.warn(`Skipping tests: ${howToGet}`);
  return true;
}
