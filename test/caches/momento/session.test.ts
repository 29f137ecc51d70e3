import { Configurations, MomentoLocalProvider, NoopMomentoLoggerFactory } from '@gomomento/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Session } from '../../../src/caches/momento/session.ts';

const TIMEOUT_MS = 1_000;

describe('a session', () => {
  const opened: Session[] = [];
  const open = (before?: Session): Session => {
    const configuration = Configurations.Lambda.latest(new NoopMomentoLoggerFactory());
    const credentialProvider = new MomentoLocalProvider({ hostname: '127.0.0.1', port: 1 });
    const session = new Session({ configuration, credentialProvider, defaultTtlSeconds: 60 }, undefined, TIMEOUT_MS, before);
    opened.push(session);
    return session;
  };
  let session: Session;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    session = open();
  });
  afterEach(() => {
    vi.useRealTimers();
    for (const { client } of opened.splice(0)) client.close();
  });
  /** A call that waits for this time without an answer. Returns whether the connection counts as dead. */
  const waits = (ms: number, on = session) => {
    const sentAt = performance.now();
    vi.advanceTimersByTime(ms);
    return on.unanswered(sentAt);
  };

  it('is dead after one timeout without an answer, if it has answered before', () => {
    session.answered();
    expect(waits(TIMEOUT_MS)).toBe(true);
  });

  it('is dead after two timeouts, if it has never answered', () => {
    expect([waits(TIMEOUT_MS), waits(TIMEOUT_MS)]).toEqual([false, true]);
  });

  it('has twice the time for its first answer if the one before it never answered, up to eight timeouts', () => {
    const sessions = [session];
    for (let n = 0; n < 4; n += 1) sessions.push(open(sessions.at(-1)));
    const timeouts = sessions.map((each) => {
      let count = 1;
      while (!waits(TIMEOUT_MS, each)) count += 1;
      return count;
    });
    // Timers may fire early, so 80 % of the time are enough.
    expect(timeouts).toEqual([2, 4, 7, 7, 7]);
    session.answered();
    const next = open(session);
    expect([waits(TIMEOUT_MS, next), waits(TIMEOUT_MS, next)]).toEqual([false, true]);
  });

  it('lives while another call is answered', () => {
    session.answered();
    const sentAt = performance.now();
    vi.advanceTimersByTime(TIMEOUT_MS / 2);
    session.answered();
    vi.advanceTimersByTime(TIMEOUT_MS / 2);
    expect(session.unanswered(sentAt)).toBe(false);
    // Nothing came since.
    vi.advanceTimersByTime(TIMEOUT_MS / 2);
    expect(session.unanswered(sentAt)).toBe(true);
  });

  it('lives after calls that were cut short, until together they waited for a timeout', () => {
    session.answered();
    expect([waits(300), waits(300), waits(300)]).toEqual([false, false, true]);
    session.answered();
    expect(waits(300)).toBe(false);
  });

  it('does not count the time in which no call waited', () => {
    session.answered();
    vi.advanceTimersByTime(60_000);
    expect(waits(300)).toBe(false);
  });

  it('counts a timer that fires early as a timeout', () => {
    session.answered();
    expect(waits(TIMEOUT_MS - 30)).toBe(true);
  });
});
