import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/redrive/circuit-breaker.ts';

describe('CircuitBreaker', () => {
  /** Whether the breaker is open after each call. */
  const record = (breaker: CircuitBreaker, ...calls: readonly boolean[]) =>
    calls.map((answered) => {
      breaker.record(answered);
      return breaker.isOpen;
    });

  it('is closed at first', () => {
    expect(new CircuitBreaker(1).isOpen).toBe(false);
  });

  it('opens after as many consecutive calls without an answer as its limit', () => {
    expect(record(new CircuitBreaker(3), false, false, false)).toEqual([false, false, true]);
    expect(record(new CircuitBreaker(1), true, false)).toEqual([false, true]);
  });

  it('counts from 0 again after an answer', () => {
    expect(record(new CircuitBreaker(2), false, true, false, true, false, false)).toEqual([false, false, false, false, false, true]);
  });

  it('stays open, whatever comes after', () => {
    expect(record(new CircuitBreaker(1), false, true, true, false)).toEqual([true, true, true, true]);
  });

  it('opens after 16 calls by default', () => {
    expect(record(new CircuitBreaker(), ...Array(17).fill(false))).toEqual([...Array(15).fill(false), true, true]);
  });
});
