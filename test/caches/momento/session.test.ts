import { Configurations, MomentoLocalProvider, NoopMomentoLoggerFactory } from '@gomomento/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Session } from '../../../src/caches/momento/session.ts';

const TIMEOUT_MS = 1_000;

describe('a session', () => {
  let session: Session;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const configuration = Configurations.Lambda.latest(new NoopMomentoLoggerFactory());
    const credentialProvider = new MomentoLocalProvider({ hostname: '127.0.0.1', port: 1 });
    session = new Session({ configuration, credentialProvider, defaultTtlSeconds: 60 }, undefined, TIMEOUT_MS);
  });
  afterEach(() => {
    vi.useRealTimers();
    session.client.close();
  });
  /** A call that waits for this time without an answer. Returns whether the connection counts as dead. */
  const waits = (ms: number) => {
    const sentAt = performance.now();
    vi.advanceTimersByTime(ms);
    return session.unanswered(sentAt);
  };

  it('is dead after one timeout without an answer, if it has answered before', () => {
    session.answered();
    expect(waits(TIMEOUT_MS)).toBe(true);
  });

  it('is dead after two timeouts, if it has never answered', () => {
    expect([waits(TIMEOUT_MS), waits(TIMEOUT_MS)]).toEqual([false, true]);
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
