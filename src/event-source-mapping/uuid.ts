/** A UUID of version 4. */
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

/** Up to 13 digits. */
function hex(random: () => number, digits: number): string {
  return Math.floor(random() * 16 ** digits)
    .toString(16)
    .padStart(digits, '0');
}
