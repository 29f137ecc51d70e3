/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} low the first quartile
 * @property {number} high the third quartile
 * @property {number} rounds
 */

/** Interpolates between the two nearest values. @param {readonly number[]} values @param {number} share 0 to 1 */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN];
  return below + (above - below) * (place - Math.floor(place));
}

/** @param {readonly number[]} values */
export function median(values) {
  return quantile(values, 0.5);
}

/** @param {readonly number[]} values @returns {Spread} */
export function spread(values) {
  return { median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75), rounds: values.length };
}

/**
 * Bounds the true median with 95 % confidence. Uses only the order of the values, because the noise of a busy machine is not normal.
 *
 * @param {readonly number[]} values
 * @returns {readonly [low: number, high: number]}
 */
function medianBounds(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.floor((sorted.length - 1.96 * Math.sqrt(sorted.length)) / 2);
  if (rank < 1) return [-Infinity, Infinity];
  return [sorted[rank - 1] ?? -Infinity, sorted[sorted.length - rank] ?? Infinity];
}

/**
 * True when the bounds of the median are on one side of the requirement, so more rounds are of no use.
 *
 * @param {readonly number[]} values @param {number} required
 */
export function isDecided(values, required) {
  const [low, high] = medianBounds(values);
  return low >= required || high < required;
}
