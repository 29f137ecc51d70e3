import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { valkeyCache } from '../../src/caches/valkey.ts';
import type { StreamEvent, StreamRecord } from '../../src/dynamodb/record.ts';
import type { StreamAnswer } from '../../src/handlers/stream-handler.ts';
import { folderStore } from '../../src/letters/folder.ts';
import { letterName, parseLetter } from '../../src/letters/letter.ts';
import { s3Store } from '../../src/letters/s3.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { HOW_TO_GET_MOTO, type MotoServer, motoAvailable, startMoto } from '../servers/moto.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../servers/valkey.ts';

/** For each line of JSON on stdin, writes the handler's answer as a line of JSON. */
const RUNTIME = `
import { createInterface } from 'node:readline';
const { handler } = await import('./stream.mjs');
for await (const line of createInterface({ input: process.stdin })) {
  const end = Date.now() + 30_000;
  const context = { functionName: 'sync', getRemainingTimeInMillis: () => end - Date.now() };
  const answer = await handler(JSON.parse(line), context).catch(({ message }) => ({ message }));
  console.log('answer ' + JSON.stringify(answer));
}`;

const absent = missing(valkeyAvailable(), HOW_TO_GET_VALKEY) || missing(motoAvailable(), HOW_TO_GET_MOTO);

describe.skipIf(absent)('the bundled handler', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bundled-'));
  const story = (name: string): StreamEvent => JSON.parse(readFileSync(join(import.meta.dirname, '../../events', `${name}.json`), 'utf8'));
  let moto: MotoServer;
  let s3: S3Client;
  let child: ChildProcessWithoutNullStreams | undefined;

  beforeAll(async () => {
    const { bundle } = (await import('../../bench/bundle.mjs' as string)) as { bundle(folder: string): unknown };
    bundle(folder);
    writeFileSync(join(folder, 'runtime.mjs'), RUNTIME);
    moto = await startMoto();
    s3 = new S3Client(moto.settings);
    await s3.send(new CreateBucketCommand({ Bucket: 'letters' }));
  });
  afterEach(() => {
    child?.kill();
  });
  afterAll(async () => {
    s3?.destroy();
    await moto?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts the bundle as Lambda does. It takes one event at a time. */
  function start(env: Readonly<Record<string, string>>) {
    const { accessKeyId, secretAccessKey } = moto.settings.credentials;
    const running = spawn(process.execPath, [join(folder, 'runtime.mjs')], {
      env: {
        PATH: process.env.PATH,
        CACHE_BACKEND: 'valkey',
        DEAD_LETTERS: 's3://letters/of-the-bundle',
        METRICS: 'true',
        POWERTOOLS_SERVICE_NAME: 'millrace',
        AWS_REGION: moto.settings.region,
        AWS_ENDPOINT_URL_S3: moto.settings.endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        ...env,
      },
    });
    child = running;
    const lines: string[] = [];
    let errors = '';
    running.stderr.on('data', (data) => {
      errors += data;
    });
    const output = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    return {
      lines,
      errors: () => errors,
      async handle(event: StreamEvent): Promise<StreamAnswer> {
        running.stdin.write(`${JSON.stringify(event)}\n`);
        for (;;) {
          const { value, done } = await output.next();
          if (done) throw new Error(`the bundle ended:\n${errors}`);
          if (value.startsWith('answer ')) return JSON.parse(value.slice('answer '.length));
          lines.push(value);
        }
      },
    };
  }

  it.each([
    ['a server', false],
    ['a cluster', true],
  ])('applies, sets aside and measures with %s, also after a restart or failover', async (_, cluster) => {
    const server = cluster ? await startCluster({ replicas: 1 }) : await startValkey();
    const cache = valkeyCache({ url: server.url, cluster, namespace: 'bundled' });
    try {
      const { handle, lines } = start({
        CACHE_URL: server.url,
        CACHE_CLUSTER: String(cluster),
        CACHE_NAMESPACE: 'bundled',
        // Lives begin at once.
        AWS_SAM_LOCAL: 'true',
      });
      const poison = story('poison-in-the-middle');
      expect(await handle(story('insert'))).toEqual({ batchItemFailures: [] });
      const { life } = (await withLives(cache).lives()).get('detail@1') as { life: string };
      expect(await handle(poison)).toEqual({ batchItemFailures: [] });
      const letters = s3Store({ bucket: 'letters', prefix: 'of-the-bundle/', client: s3 });
      const names: string[] = [];
      for await (const name of letters.names()) names.push(name);
      const dead = poison.Records.filter((record) => JSON.stringify(record).includes('plenty'));
      expect(names).toEqual(dead.map(letterName));
      expect(parseLetter((await letters.get(names[0] as string)) as string).event.Records).toEqual(dead);
      await letters.delete(names[0] as string);

      const emf = lines.map((line) => JSON.parse(line)).filter((line) => '_aws' in line);
      expect(emf).toMatchObject([
        { service: 'millrace', function_name: 'sync', Records: 1 },
        { service: 'millrace', function_name: 'sync', Records: 5, SetAside: 1 },
      ]);

      const orders = story('batch-of-orders');
      let answer: Promise<StreamAnswer>;
      if ('failover' in server) {
        // Every master becomes a replica and the other way round: the client must tell each of its connections.
        for (const { port } of server.nodes.slice(0, 3)) await server.failover(port);
        answer = handle(orders);
      } else {
        await server.crash();
        answer = handle(orders);
        await new Promise((resolve) => setTimeout(resolve, 300));
        await server.restart();
      }
      expect(await answer).toEqual({ batchItemFailures: [] });
      const ids = orders.Records.map(({ dynamodb }) => String((dynamodb?.Keys?.pk as { S?: string } | undefined)?.S).replace('order#', ''));
      // The restart loses the register of lives, too. For 60 s the worker writes into the life that it knows.
      for (const id of ids) expect((await cache.get(`detail@1.${life}:${id}`)).type).toMatch(/hit|gone/);
    } finally {
      await cache.close();
      await server.close();
    }
  });

  it('reads its limits from the environment', async () => {
    const place = join(folder, 'letters');
    const { handle, lines, errors } = start({
      CACHE_BACKEND: 'memory',
      DEAD_LETTERS: place,
      METRICS: 'false',
      POISON_RUN_LIMIT: '1',
      RETENTION_WARNING_SECONDS: '60',
    });
    const written = Math.floor(Date.now() / 1_000) - 600;
    const [first, second] = story('keys-only').Records.map((record) => ({
      ...record,
      dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: written },
    })) as [StreamRecord, StreamRecord];
    expect(await handle({ Records: [first] })).toEqual({ batchItemFailures: [] });
    expect(await handle({ Records: [second] })).toEqual({ batchItemFailures: [{ itemIdentifier: second.dynamodb?.SequenceNumber }] });
    expect(await folderStore(place).get(letterName(first))).toContain('MalformedRecordError');
    expect(lines.filter((line) => line.includes('_aws'))).toEqual([]);
    expect(`${lines.join()}${errors()}`).toContain('records wait for long');
  });

  it('sends a sample to SQS if it has a queue, and only then', async () => {
    const { region, endpoint, credentials } = moto.settings;
    const sqs = new SQSClient({ region, endpoint, credentials });
    try {
      const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'checks' }));
      const env = { CACHE_BACKEND: 'memory', AWS_ENDPOINT_URL_SQS: endpoint };
      const { handle, lines } = start({ ...env, VERIFY_QUEUE_URL: QueueUrl, VERIFY_SAMPLE_RATE: '1' });
      expect(await handle(story('insert'))).toEqual({ batchItemFailures: [] });
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
      expect(Messages.map(({ Body = '' }) => JSON.parse(Body))).toMatchObject([{ probe: 'stream', age: 0, looks: expect.anything() }]);
      expect(lines.map((line) => JSON.parse(line)).find((line) => '_aws' in line)).toMatchObject({ Sampled: 1 });
      child?.kill();
      const silent = start(env);
      expect(await silent.handle(story('insert'))).toEqual({ batchItemFailures: [] });
      expect(silent.lines.map((line) => JSON.parse(line)).find((line) => '_aws' in line)).not.toHaveProperty('Sampled');
    } finally {
      sqs.destroy();
    }
  });

  it('loads the S3 client only when it writes a dead letter', async () => {
    const server = await startValkey();
    try {
      const chunks = readdirSync(folder).filter((name) => name.endsWith('.mjs'));
      const sdk =
        chunks.find((name) => readFileSync(join(folder, name), 'utf8').includes('PutObjectCommand') && !name.startsWith('s3-')) ?? '';
      expect(sdk).not.toBe('');
      const away = `${join(folder, sdk)}.away`;
      const { rename } = await import('node:fs/promises');
      await rename(join(folder, sdk), away);
      const { handle } = start({ CACHE_URL: server.url });
      expect(await handle(story('insert'))).toEqual({ batchItemFailures: [] });
      await rename(away, join(folder, sdk));
      expect(await handle(story('poison-in-the-middle'))).toEqual({ batchItemFailures: [] });
    } finally {
      await server.close();
    }
  });
});
