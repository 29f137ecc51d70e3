import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Update } from '../../src/playground/wire.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { HOW_TO_GET_JAVA, javaAvailable } from '../servers/dynamodb-local.ts';
import { own, until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, valkeyAvailable } from '../servers/valkey.ts';

let cli: BuiltCli;
beforeAll(() => {
  cli = buildCli({ withPage: true });
}, 120_000);
afterAll(() => cli?.remove());

/** Views of an application, in the form of a module. */
const VIEWS = `
import * as z from 'zod';
const customer = { name: 'customer', owns: ({ sk }) => sk === 'customer', schema: z.object({ pk: z.string(), name: z.string() }) };
const order = { name: 'order', owns: ({ sk }) => typeof sk === 'string' && sk.startsWith('order#'), schema: z.object({ pk: z.string(), sk: z.string(), total: z.number() }) };
export const profile = { kind: 'document', name: 'profile', revision: 1, entity: customer,
  project: ({ pk, name }) => [{ key: pk.slice('customer#'.length), value: { name } }],
  from: (id) => ({ pk: 'customer#' + id, sk: 'customer' }) };
export const orders = { kind: 'list', name: 'orders', revision: 1, keep: 20, entity: order,
  project: ({ pk, sk, total }) => [{ list: pk.slice('customer#'.length), score: Date.parse(sk.slice('order#'.length)), value: { total } }],
  from: (id) => ({ partition: { name: 'pk', value: 'customer#' + id }, sort: { name: 'sk', beginsWith: 'order#' } }) };
`;

/** A playground in a process of its own, used as its page uses it. */
async function play(args: readonly string[]) {
  let printed = '';
  const child = spawn(process.execPath, ['--no-warnings', cli.path, ...args], { cwd: cli.home, stdio: ['ignore', 'pipe', 'pipe'] });
  const address = (): string | undefined => /The playground is at (\S+)/.exec(printed)?.[1];
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (text) => {
      printed += text;
    });
  }
  const process_ = await own(child, { name: 'millrace playground', ready: () => address() !== undefined });
  const url = address() ?? '';
  const stop = new AbortController();
  const seen: { -readonly [Part in keyof Update]: Update[Part] } = {};
  const events = await fetch(new URL('/events', url), { signal: stop.signal });
  const reading = (async () => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const part of events.body ?? []) {
      const [...messages] = (rest + decoder.decode(part as Uint8Array, { stream: true })).split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) Object.assign(seen, JSON.parse(message.slice('data: '.length)));
    }
  })().catch(() => {});
  return {
    seen,
    printed: () => printed,
    async ask(command: object): Promise<Answer> {
      const { origin } = new URL(url);
      const headers = { 'content-type': 'application/json', origin };
      return (await (await fetch(new URL('/do', url), { method: 'POST', headers, body: JSON.stringify(command) })).json()) as Answer;
    },
    async end(): Promise<void> {
      stop.abort();
      await reading;
      await process_.end('SIGTERM');
    },
  };
}

const TROUBLES = ['twice', 'disorder', 'replay', 'kill', 'evict', 'flush', 'fill', 'hold', 'overfill'];

/** Makes each trouble, and looks at the counter after it. */
async function troubled({ ask, seen }: Awaited<ReturnType<typeof play>>, troubles: readonly string[]): Promise<void> {
  for (const id of troubles) {
    expect(await ask({ do: 'trouble', id })).not.toHaveProperty('error');
    await until('the playground shows it', () => seen.told?.find((told) => told.id === id)?.after !== undefined);
    expect(seen.told?.find((told) => told.id === id)).not.toHaveProperty('failed');
  }
  await until('the playground shows it', () => seen.counters?.late === 0 && seen.counters.compared > 0);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(seen.counters).toMatchObject({ wrong: 0, everWrong: 0 });
}

describe('millrace playground', () => {
  it('documents its options, in lines of 100 characters at most', async () => {
    const { status, stdout } = await cli.run(['playground', '--help']);
    expect(status).toBe(0);
    for (const option of ['--demo', '--port', '--url', '--views', '--no-browser']) expect(stdout).toContain(option);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('says which port is taken', async () => {
    const playground = await play(['playground', '--no-browser']);
    try {
      const port = /127\.0\.0\.1:(\d+)/.exec(playground.printed())?.[1] ?? '';
      const { status, stderr } = await cli.run(['playground', '--no-browser', '--port', port]);
      expect(status).toBe(1);
      expect(stderr).toContain(`the playground cannot listen on port ${port} (EADDRINUSE): give another --port`);
    } finally {
      await playground.end();
    }
  });

  it('plays the story at once with --demo', async () => {
    const playground = await play(['playground', '--no-browser', '--demo']);
    try {
      await until('the playground shows it', () => playground.seen.caption?.step === 1);
      expect(playground.seen.caption).toMatchObject({ title: 'A table, and a cache beside it' });
    } finally {
      await playground.end();
    }
  });

  it('makes items for views of your own, with forms of their schemas, and without the other worker', async () => {
    mkdirSync(join(cli.home, 'own'), { recursive: true });
    writeFileSync(join(cli.home, 'own/views.mjs'), VIEWS);
    const playground = await play(['playground', '--no-browser', '--views', 'own/views.mjs']);
    try {
      const { ask, seen } = playground;
      await until('the playground shows it', () => seen.scene !== undefined && (seen.table?.count ?? 0) > 0);
      expect(seen.scene).toMatchObject({
        isSample: false,
        // The names of a module's exports are in the order of the alphabet.
        views: ['orders@1', 'profile@1'],
        forms: [
          { entity: 'order', fields: [{ name: 'pk' }, { name: 'sk' }, { name: 'total', type: 'number' }] },
          { entity: 'customer', fields: [{ name: 'pk' }, { name: 'sk' }, { name: 'name', type: 'text', required: true }] },
        ],
      });
      expect(seen.workshop).toMatchObject({ possible: false, on: false });
      await troubled(playground, TROUBLES);
      await ask({ do: 'fill-lists' });
      await until(
        'all views have entries',
        () => seen.views?.every(({ entries }) => entries.some(({ verdict }) => verdict === 'equal')) === true,
      );
      expect(await ask({ do: 'trouble', id: 'poison' })).not.toHaveProperty('error');
      await until('the playground shows it', () => (seen.letters?.length ?? 0) === 1);
    } finally {
      await playground.end();
    }
  });

  it('refuses the namespace of a worker, because it removes all keys', async () => {
    const { status, stdout, stderr } = await cli.run([
      'playground',
      '--no-browser',
      '--url',
      'valkey://127.0.0.1:1',
      '--namespace',
      'millrace',
    ]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      /--namespace is "millrace", and the playground removes all keys.*: give one that begins with millrace-playground\n$/,
    );
  });

  it.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('keeps a Valkey equal to the table, in a namespace of its own', async () => {
    const server = await startValkey();
    try {
      for (let run = 0; run < 2; run += 1) {
        const playground = await play(['playground', '--no-browser', '--url', server.url]);
        try {
          await until('the playground shows it', () => playground.seen.scene?.cache === 'valkey');
          await playground.ask({ do: 'workshop', on: true });
          await troubled(playground, TROUBLES);
          expect(playground.seen.counters?.workshopWrong).toBeGreaterThan(0);
        } finally {
          await playground.end();
        }
      }
    } finally {
      await server.close();
    }
  });
});

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('millrace dev --open', () => {
  it('shows and troubles the table that it follows', async () => {
    const playground = await play(['dev', '--open', '--state', 'state-open']);
    try {
      const { ask, seen } = playground;
      await until('the playground shows it', () => seen.scene !== undefined);
      for (let i = 0; i < 3; i += 1) expect(await ask({ do: 'create' })).toMatchObject({ text: expect.stringContaining('written') });
      await until(
        'the playground shows it',
        () => seen.views?.find(({ name }) => name === 'detail@1')?.entries.filter(({ verdict }) => verdict === 'equal').length === 3,
      );
      expect(seen.table).toMatchObject({ name: 'pizza-shop', count: 3 });
      expect(playground.printed()).toMatch(/INSERT.*4 applied/s);
      await ask({ do: 'workshop', on: true });
      await troubled(playground, ['twice', 'disorder', 'kill', 'replay', 'evict', 'fill', 'hold']);
      expect(seen.counters?.workshopWrong).toBeGreaterThan(0);
    } finally {
      await playground.end();
    }
  });
});
