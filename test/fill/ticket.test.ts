import { describe, expect, it } from 'vitest';
import { ageOf, ticketOf } from '../../src/fill/ticket.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');

describe('a ticket', () => {
  it('tells the age of the write of its address, and nothing of other addresses', () => {
    const ticket = ticketOf('detail@1:42', NOW);
    expect(ticket).toMatch(/^[\w.-]{17}$/);
    expect(ageOf(ticket, 'detail@1:42', NOW + 1_234)).toBe(1_234);
    expect(ageOf(ticket, 'detail@2:42', NOW)).toBeUndefined();
    expect(ageOf(undefined, 'detail@1:42', NOW)).toBeUndefined();
    expect(ageOf([], 'detail@1:42', NOW)).toBeUndefined();
  });

  it('tells the newest of several writes', () => {
    const tickets = [ticketOf('a', NOW), ticketOf('b', NOW + 50), ticketOf('a', NOW + 20), ticketOf('a', NOW + 10)];
    expect(ageOf(tickets, 'a', NOW + 100)).toBe(80);
  });

  it('counts as new where the clock is behind', () => {
    expect(ageOf(ticketOf('a', NOW), 'a', NOW - 5_000)).toBe(-5_000);
  });

  it.each(['', '.', 'a.b', `${ticketOf('a', NOW)} `, ticketOf('a', NOW).toUpperCase().slice(0, 9), `${ticketOf('a', NOW)},x`])(
    'refuses %j',
    (text) => {
      expect(() => ageOf([ticketOf('a', NOW), text], 'a', NOW)).toThrow(
        /^ticket ".*" was not given by wrote\(\): pass a ticket unchanged$/,
      );
    },
  );
});
