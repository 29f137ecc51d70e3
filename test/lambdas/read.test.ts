import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

describe('the function that reads', () => {
  beforeEach(() => {
    vi.resetModules();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const start = async (env: Readonly<Record<string, string>>) => {
    for (const [name, value] of Object.entries({ AWS_REGION: 'eu-west-1', POWERTOOLS_METRICS_NAMESPACE: 'Millrace', ...env }))
      vi.stubEnv(name, value);
    return (await import('../../src/lambdas/read.ts')).handler;
  };
  const ask = async (env: Readonly<Record<string, string>>, scope: string) => {
    const handler = await start(env);
    const request = { routeKey: 'GET /admin/orders', requestContext: { authorizer: { jwt: { claims: { scope } } } } };
    return handler(request, { getRemainingTimeInMillis: () => 20_000 });
  };

  it('starts with the memory cache, and needs no more than the name of the table', async () => {
    const response = await ask({ TABLE_NAME: 'shop' }, 'orders/admin');
    expect(response).toMatchObject({ statusCode: 200, body: '{"orders":[],"complete":false}' });
  });

  it('needs the scope that the environment names', async () => {
    const env = { TABLE_NAME: 'shop', ADMIN_SCOPE: 'staff' };
    expect((await ask(env, 'orders/admin')).statusCode).toBe(403);
    expect((await ask(env, 'staff')).statusCode).toBe(200);
  });

  it('does not start without a table', async () => {
    await expect(start({})).rejects.toThrow('TABLE_NAME is absent');
  });
});
