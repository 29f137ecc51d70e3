/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} low the first quartile
 * @property {number} high the third quartile
 * @property {number} rounds
 */

/** @param {readonly number[]} values @param {number} share 0 to 1 */
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
 * Bounds of the true median, 95 % sure, from the sample's order alone: noise of a busy machine has no bell shape.
 *
 * @param {readonly number[]} values
 * @returns {readonly [low: number, high: number]}
 */
export function medianBounds(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.floor((sorted.length - 1.96 * Math.sqrt(sorted.length)) / 2);
  if (rank < 1) return [-Infinity, Infinity];
  return [sorted[rank - 1] ?? -Infinity, sorted[sorted.length - rank] ?? Infinity];
}

/**
 * Whether more rounds could change which side of the requirement the median is on.
 *
 * @param {readonly number[]} values @param {number} required
 */
export function isDecided(values, required) {
  const [low, high] = medianBounds(values);
  return low >= required || high < required;
}
