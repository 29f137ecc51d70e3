/** The upper end of the one-sided interval holds in 95 of 100 samples. */
const CONFIDENCE = 0.95;

/** What one part of a sample gave: a segment of a table. */
export interface Cluster {
  readonly observations: number;
  readonly violations: number;
}

/**
 * The highest share of violations that the observations allow, with 95 % confidence: 3/n for none in n (the rule of three), else the one-sided limit of
 * Clopper and Pearson.
 *
 * @param clusters the parts of a sample of segments. Their observations then count for fewer than they are, as far as violations come in clusters (the
 * design effect of the ratio estimator). Without a violation, nothing tells whether violations would come in clusters; the parts then count as
 * independent.
 */
export function upperBound(violations: number, observations: number, clusters: readonly Cluster[] = []): number {
  if (observations === 0) return 1;
  if (violations === 0) return Math.min(1, 3 / observations);
  const effect = designEffect(clusters);
  return clopperPearson(violations / effect, observations / effect);
}

/** By which factor the variance of a share is greater than that of independent observations; at least 1. */
function designEffect(clusters: readonly Cluster[]): number {
  const some = clusters.filter(({ observations }) => observations > 0);
  const n = some.reduce((sum, { observations }) => sum + observations, 0);
  const share = some.reduce((sum, { violations }) => sum + violations, 0) / n;
  const m = some.length;
  if (m < 2 || share === 0 || share >= 1) return 1;
  const squares = some.reduce((sum, { observations, violations }) => sum + (violations - share * observations) ** 2, 0);
  const ofClusters = ((m / (m - 1)) * squares) / n ** 2;
  return Math.max(1, ofClusters / ((share * (1 - share)) / n));
}

/** The p at which `x` or fewer of `n` have the probability 1 - CONFIDENCE. */
function clopperPearson(x: number, n: number): number {
  if (x >= n) return 1;
  let [low, high] = [x / n, 1];
  for (let i = 0; i < 200 && high - low > 1e-15; i += 1) {
    const middle = (low + high) / 2;
    // P(X <= x) = I(1-p; n-x, x+1) = 1 - I(p; x+1, n-x)
    if (incompleteBeta(middle, x + 1, n - x) < CONFIDENCE) low = middle;
    else high = middle;
  }
  return high;
}

/** The regularised incomplete beta function I(x; a, b), by its continued fraction (W. Press et al., "Numerical Recipes", 6.4). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? (front * fraction(x, a, b)) / a : 1 - (front * fraction(1 - x, b, a)) / b;
}

function fraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const bounded = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / bounded(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 10_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / bounded(1 + even * d);
    c = bounded(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / bounded(1 + odd * d);
    c = bounded(1 + odd / c);
    const factor = d * c;
    result *= factor;
    if (Math.abs(factor - 1) < 1e-15) break;
  }
  return result;
}

/** The logarithm of the gamma function, by Lanczos' approximation. */
function logGamma(x: number): number {
  const coefficients = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905, -0.13857109526572012,
    9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  const sum = coefficients.reduce((total, coefficient, i) => total + coefficient / (x + i), 0.9999999999998099);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}
