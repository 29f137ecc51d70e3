/** A UUID of version 4. `random` returns numbers from 0 to below 1. */
export function uuidOf(random: () => number): string {
  return (
    hex(random, 8) +
    '-' +
    hex(random, 4) +
    '-4' +
    hex(random, 3) +
    '-' +
    '89ab'[Math.floor(random() * 4)] +
    hex(random, 3) +
    '-' +
    hex(random, 12)
  );
}

/** A random hexadecimal number. `digits` is at most 13, because a double has 53 bits. */
function hex(random: () => number, digits: number): string {
  return Math.floor(random() * 16 ** digits)
    .toString(16)
    .padStart(digits, '0');
}
