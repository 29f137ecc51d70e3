import { describe, expect, it } from 'vitest';
import { upperBound } from '../../src/verify/interval.ts';

describe('upperBound', () => {
  it('follows the rule of three without violations, and allows everything without observations', () => {
    expect(upperBound(0, 100_000)).toBe(3e-5);
    expect(upperBound(0, 2)).toBe(1);
    expect(upperBound(0, 0)).toBe(1);
  });

  // The limits are the quantiles 0.95 of Beta(x + 1, n - x).
  it.each([
    [1, 10, 0.39416],
    [5, 100, 0.10225],
    [10, 10, 1],
    [3, 1_000_000, 7.75365e-6],
  ])('is the limit of Clopper and Pearson for %i of %i', (violations, observations, limit) => {
    expect(upperBound(violations, observations) / limit).toBeCloseTo(1, 4);
  });

  it('covers the true share in 95 of 100 samples at least', () => {
    const share = 0.02;
    const n = 200;
    let p = (1 - share) ** n;
    let covered = 0;
    for (let x = 0; x <= 30; x += 1) {
      if (upperBound(x, n) >= share) covered += p;
      p *= ((n - x) / (x + 1)) * (share / (1 - share));
    }
    expect(covered).toBeGreaterThanOrEqual(0.95);
  });

  it('is wider where the violations come in clusters', () => {
    const even = Array.from({ length: 100 }, () => ({ observations: 100, violations: 1 }));
    const clustered = Array.from({ length: 100 }, (_, i) => ({ observations: 100, violations: i === 0 ? 100 : 0 }));
    expect(upperBound(100, 10_000, even)).toBe(upperBound(100, 10_000));
    // One cluster of 100 has a violation; its members are worth one observation.
    expect(upperBound(100, 10_000, clustered) / upperBound(1, 100)).toBeCloseTo(1, 1);
  });
});
