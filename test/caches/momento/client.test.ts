import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectMomento, type MomentoConnection } from '../../../src/caches/momento/client.ts';
import { deadlineIn } from '../../../src/caches/momento/deadline.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { type MomentoServer, startMomentoServer, unavailable } from '../../servers/momento/server.ts';

describe('a connection to Momento', () => {
  let server: MomentoServer;
  let connection: MomentoConnection;
  beforeEach(async () => {
    server = await startMomentoServer({ caches: ['millrace'] });
    const access = { kind: 'local', host: server.host, port: server.port } as const;
    connection = await connectMomento({ access, cacheName: 'millrace' }, 'probe');
    server.resetCounters();
  });
  afterEach(async () => {
    connection.close();
    await server.stop();
  });
  const get = (deadlineMs: number) =>
    connection.call(deadlineIn(deadlineMs), (client, abortSignal) => client.get('millrace', 'k', { abortSignal }));

  it('sends nothing after the deadline', async () => {
    const error = await get(0).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect((error as Error).message).toBe('Momento cache "millrace": no answer in time');
    expect(server.calls()).toBe(0);
  });

  it('names the last failure that is no timeout', async () => {
    server.onCall(() => unavailable());
    await expect(get(300)).rejects.toThrow(/^Momento cache "millrace": the service cannot be reached: check the endpoint/);
    expect(server.calls()).toBeGreaterThan(1);
  });
});
