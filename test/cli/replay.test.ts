import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { views } from '../../src/views/index.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, valkeyAvailable } from '../servers/valkey.ts';

const ROOT = join(import.meta.dirname, '../..');
const EVENTS = join(ROOT, 'events');
const story = (name: string) => join(EVENTS, `${name}.json`);

/** A folder with the built project, so that the project's own `dist` does not change. */
let home: string;

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
    execFile(command, args, { cwd: ROOT, env: { ...inherited, ...env }, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      resolve({ status: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr });
    });
  });
}

const millrace = (args: readonly string[], env?: NodeJS.ProcessEnv) =>
  run(process.execPath, [join(home, 'dist/cli/millrace.js'), ...args], env);

function save(name: string, content: unknown): string {
  const file = join(home, 'saved', name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(home, name));
  const built = await run(process.execPath, [
    join(ROOT, 'node_modules/typescript/bin/tsc'),
    '-p',
    'tsconfig.build.json',
    '--outDir',
    join(home, 'dist'),
  ]);
  expect(built).toMatchObject({ status: 0, stdout: '' });
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

const withoutImages = {
  eventName: 'MODIFY',
  eventSourceARN: 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123',
};
const poison = { Records: [{ ...withoutImages, dynamodb: { Keys: { pk: { S: 'order#1' } }, SequenceNumber: '7' } }] };

describe('millrace', () => {
  it('documents its commands and its version', async () => {
    const help = await millrace(['--help']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toMatch(/Usage: millrace .*\n[\s\S]*replay/);
    expect((await millrace(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('documents the options and the exit status of replay, in lines of 100 characters at most', async () => {
    const { status, stdout } = await millrace(['replay', '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Exit status: 0 if/);
    for (const option of ['--backend', '--url', '--namespace', '--json', '--all', '--verbose']) expect(stdout).toContain(option);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([[['reply']], [['replay']], [['replay', '--colour', 'x.json']], [['replay', '--backend', 'redsi', story('insert')]]])(
    'refuses the arguments %j',
    async (args) => {
      const { status, stdout, stderr } = await millrace(args);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^error: .*\n[\s\S]*Run millrace (replay )?--help for usage\.\n$/);
      expect(stderr).not.toMatch(/\n\s+at /);
    },
  );
});

describe('millrace replay events', () => {
  it('prints tables of 100 columns at most, and that no record is unexpected', async () => {
    const { status, stdout, stderr } = await millrace(['replay', 'events']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(80 + 10 * Object.keys(views).length);
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(100);
    // A pipe gets no colours.
    expect(stdout).not.toContain('\x1b');
    expect(lines[0]).toMatch(/^\d+ files, \d+ records, replayed into the memory cache$/);
    expect(stdout).toMatch(/older-after-newer .*\d applied\n.*999…9940 \(21\) +\d stale/);
    expect(stdout).toMatch(/poison-in-the-middle[\s\S]*set aside, as expected: detail, admin, orders/);
    expect(stdout).toMatch(/ttl-delete +REMOVE .*1 applied \(expired\)/);
    expect(stdout).toMatch(/unknown-item .*in no view/);
    expect(stdout).toMatch(/detail@1: \d+ documents[\s\S]*no-pineapple-please +hit +id: no-pineapple-please/);
    expect(stdout).toMatch(/second-slice +miss\n/);
    expect(stdout).toMatch(/cart@1: \d+ lists[\s\S]*cart#window-shopper-51 +empty/);
    expect(stdout).toContain('All well: the records set aside are expected');
  });

  it('prints every row with --all', async () => {
    const { stdout } = await millrace(['replay', 'events', '--all']);
    expect(stdout).not.toContain('more like this');
    for (const id of ['hawaii-07', 'bianca-20']) expect(stdout).toContain(`order#${id} order`);
    expect(stdout).toMatch(/not-hungry-after-all +gone/);
  });

  it('replays its files as one history into one cache', async () => {
    const { stdout } = await millrace(['replay', story('status-change'), story('insert'), '--json']);
    const { files, views } = JSON.parse(stdout);
    expect(files.map(({ file }: { file: string }) => file)).toEqual([story('status-change'), story('insert')]);
    expect(views.lists['orders@1:all'].members.map(({ value }: { value: { id: string } }) => value.id)).toEqual([
      'no-pineapple-please',
      'funghi-for-two',
    ]);
  });
});

describe('--json', () => {
  it('prints one JSON document and nothing else', async () => {
    const { status, stdout, stderr } = await millrace(['replay', story('creator-change'), '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      backend: 'memory',
      unexpected: 0,
      files: [
        {
          file: story('creator-change'),
          response: { batchItemFailures: [] },
          records: [
            { event: 'INSERT', applied: 4 },
            { event: 'MODIFY', applied: 5 },
          ],
        },
      ],
      views: {
        documents: { 'admin@1:birthday-surprise': { type: 'hit', value: { creator: 'marge-rita' } } },
        lists: {
          'orders@1:creator:peppe-roni': { members: [] },
          'orders@1:creator:marge-rita': { members: [{ value: { id: 'birthday-surprise' } }] },
        },
      },
    });
  });

  it('prints nothing on stdout if a file is missing', async () => {
    expect(await millrace(['replay', 'nowhere.json', '--json'])).toMatchObject({ status: 1, stdout: '' });
  });
});

describe('the exit status', () => {
  it('exits with 1 for unexpected poison, and names the file', async () => {
    const file = save('alone/poison.json', poison);
    const { status, stdout } = await millrace(['replay', file, story('insert')]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/└ set aside: MODIFY without OldImage/);
    expect(stdout).toContain(`Not as expected: 1 record in ${file}`);
    expect(JSON.parse((await millrace(['replay', file, '--json'])).stdout)).toMatchObject({
      unexpected: 1,
      files: [{ unexpected: [true] }],
    });
  });

  it('names the fault of a record whose fields have wrong JSON types', async () => {
    const [sound] = JSON.parse(readFileSync(story('insert'), 'utf8')).Records;
    const numbered = (SequenceNumber: unknown) => ({ ...sound, dynamodb: { ...sound.dynamodb, SequenceNumber } });
    const file = save('alone/types.json', {
      Records: [
        numbered(111),
        numbered([]),
        numbered({ N: '1' }),
        numbered(true),
        { ...sound, eventName: 7 },
        { ...sound, eventName: {} },
        [sound],
      ],
    });
    const { status, stdout, stderr } = await millrace(['replay', file]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(stdout).toContain('SequenceNumber is a number, which loses digits');
    const { files } = JSON.parse((await millrace(['replay', file, '--json'])).stdout);
    expect(
      files[0].records.map(({ event, sequenceNumber, setAside }: never) => [
        event,
        sequenceNumber,
        (setAside as { reason: string }[])[0]?.reason,
      ]),
    ).toEqual([
      ['INSERT', '111', expect.stringContaining('its SequenceNumber is a number, which loses digits: give it as a string')],
      ['INSERT', null, expect.stringContaining('its SequenceNumber is a list: give it as a string')],
      ['INSERT', null, expect.stringContaining('its SequenceNumber is an object: give it as a string')],
      ['INSERT', 'true', expect.stringContaining('its SequenceNumber is a boolean: give it as a string')],
      ['7', sound.dynamodb.SequenceNumber, expect.stringContaining('eventName "7" is none of INSERT, MODIFY, REMOVE')],
      [null, sound.dynamodb.SequenceNumber, expect.stringContaining('eventName an object is none of INSERT, MODIFY, REMOVE')],
      [null, null, 'record 6 (not an object): a record is an object'],
    ]);
  });

  it('prints a cause once for several views, with the path of the field', async () => {
    const event = JSON.parse(readFileSync(story('insert'), 'utf8'));
    event.Records[0].dynamodb.NewImage.items = { L: [{ M: { size: { N: '1' } } }] };
    const file = save('alone/nested.json', event);
    const { stdout } = await millrace(['replay', file]);
    expect(stdout.match(/cannot project/g)).toHaveLength(1);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(/set aside: detail, admin, orders cannot project the new image .*\(items\[0\]\.size, /);
    const { files } = JSON.parse((await millrace(['replay', file, '--json'])).stdout);
    expect(files[0].records[0].setAside[0]).toMatchObject({ view: 'detail', fields: expect.arrayContaining(['items[0].size']) });
  });

  it('exits with 0 if the expectation beside the file has the same cause, else with 1', async () => {
    const file = save('beside/poison.json', poison);
    const expect_ = (setAside: unknown) => save('beside/expected/poison.json', { records: [{ setAside }] });
    expect_([{ stage: 'decode', reason: 'in other words' }]);
    expect((await millrace(['replay', file])).status).toBe(0);
    expect_([{ stage: 'view', view: 'detail', reason: 'in other words' }]);
    expect((await millrace(['replay', file])).status).toBe(1);
    expect_([]);
    expect((await millrace(['replay', file])).status).toBe(1);
  });

  // No server listens on this port.
  it.each([
    ['--url', ['--url', 'valkey://127.0.0.1:1'], {}],
    ['CACHE_URL', [], { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://127.0.0.1:1' }],
    ['the MOMENTO_ variables', [], { CACHE_BACKEND: 'momento', MOMENTO_CACHE_NAME: 'shop', MOMENTO_LOCAL: '127.0.0.1:1' }],
  ])(
    'exits with 1 and replays nothing if the cache does not answer, and names the cause and %s',
    async (name, args, env) => {
      const { status, stdout, stderr } = await millrace(['replay', story('insert'), '--json', ...args], env);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(
        /^millrace: nothing was done, because the cache cannot be read: .*(127\.0\.0\.1:1|cache "shop").*\. Start it, or correct /,
      );
      expect(stderr).toContain(`correct ${name}\n`);
      expect(stderr).not.toMatch(/\n\s+at /);
    },
    60_000,
  );
});

describe('readSavedEvents', () => {
  it('names every faulty file with its fault and the way out; no file is replayed', async () => {
    const files = {
      missing: join(home, 'saved/missing.json'),
      broken: save('bad/broken.json', '{"Records": ['),
      scheduled: save('bad/scheduled.json', { 'detail-type': 'Scheduled Event' }),
      nothing: save('bad/nothing.json', 'null'),
      blank: save('bad/blank.json', '\n'),
      empty: join(home, 'saved/empty'),
    };
    mkdirSync(files.empty, { recursive: true });
    const { status, stdout, stderr } = await millrace(['replay', story('insert'), ...Object.values(files)]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    const [title, ...faults] = stderr.trimEnd().split('\n');
    expect(title).toMatch(/^millrace: nothing was replayed/);
    expect(faults.map((fault) => fault.trim())).toEqual([
      `${files.missing}: there is no such file or folder: check the path`,
      expect.stringMatching(/broken\.json:1: it is not JSON \(.*\): correct it/),
      expect.stringMatching(/scheduled\.json:1: it is an event of Amazon EventBridge \("Scheduled Event"\): save the event/),
      expect.stringMatching(/nothing\.json:1: it is null, and is not an event of a DynamoDB stream: save/),
      expect.stringMatching(/blank\.json:1: it is empty: save it again/),
      expect.stringMatching(/saved\/empty: the folder has no \.json files/),
    ]);
  });

  it('replays a log with an event of Powertools, and counts the lines that it skips', async () => {
    const event = JSON.parse(readFileSync(story('insert'), 'utf8'));
    const lines = [
      { level: 'INFO', message: 'Lambda invocation event', event },
      { level: 'INFO', message: 'batch', records: 1 },
    ];
    const file = save('logged/log.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'));
    const { status, stdout, stderr } = await millrace(['replay', join(home, 'saved/logged')]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: `${file}: skipped 1 log line without an event\n` });
    expect(stdout).toMatch(/log +INSERT .*4 applied/);
  });

  it('points a dead letter to redrive', async () => {
    const file = save('letters/letter.json', { DDBStreamBatchInfo: {}, payload: JSON.stringify(poison) });
    const { status, stderr } = await millrace(['replay', file]);
    expect(status).toBe(1);
    expect(stderr).toContain(`${file}:1: it is a dead letter: millrace redrive takes dead letters up`);
  });

  it('names an expectation that is not JSON', async () => {
    const file = save('worse/poison.json', poison);
    save('worse/expected/poison.json', '{');
    const { status, stderr } = await millrace(['replay', file]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/poison\.json: its expectation .*expected.poison\.json is not JSON/);
  });

  it('accepts a byte order mark, and an event without records', async () => {
    const marked = save('fine/marked.json', '\uFEFF{"Records": []}');
    const { status, stdout } = await millrace(['replay', marked]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/marked +the event has no records/);
  });
});

describe('the cache', () => {
  it('lists the faults of the cache that the environment chooses', async () => {
    const { status, stdout, stderr } = await millrace(['replay', story('insert')], { CACHE_BACKEND: 'redsi', CACHE_CLUSTER: 'yes' });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe(
      'millrace: the environment is wrong:\n  CACHE_BACKEND is "redsi": use memory or valkey or momento\n  CACHE_CLUSTER is "yes": use true or false\n',
    );
  });

  it('prefers the cache of the options to that of the environment', async () => {
    const { status } = await millrace(['replay', story('insert'), '--backend', 'memory'], { CACHE_BACKEND: 'valkey' });
    expect(status).toBe(0);
  });

  it.each([
    [['--backend', 'valkey'], /--backend valkey needs --url valkey:\/\/HOST:PORT/],
    [['--backend', 'memory', '--url', 'valkey://h'], /--url needs --backend valkey/],
    [['--namespace', 'mine'], /--namespace needs --url/],
    [['--url', 'http://u:s3cret@h'], /the options are wrong:\n {2}--url has another scheme/],
    [['--url', 'foo'], /the options are wrong:\n {2}--url is not a URL: give valkey/],
    [['--url', 'valkey://h', '--namespace', 'a b'], /the options are wrong:\n {2}--namespace is "a b": use letters/],
  ])('explains the fault of the cache options %j', async (args, message) => {
    const { status, stdout, stderr } = await millrace(['replay', story('insert'), ...args]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('s3cret');
  });
});

describe('a backend whose package is not installed', () => {
  it.each([
    ['iovalkey', { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://127.0.0.1:1' }],
    ['@gomomento/sdk', { CACHE_BACKEND: 'momento', MOMENTO_CACHE_NAME: 'shop', MOMENTO_API_KEY: 'key', MOMENTO_ENDPOINT: 'localhost' }],
  ])('names the package of the chosen backend if it is missing: %s', async (name, env) => {
    const app = mkdtempSync(join(tmpdir(), 'millrace-app-'));
    try {
      cpSync(join(home, 'dist'), join(app, 'dist'), { recursive: true });
      cpSync(join(ROOT, 'package.json'), join(app, 'package.json'));
      mkdirSync(join(app, 'node_modules'));
      const scope = name.split('/')[0] as string;
      for (const other of readdirSync(join(ROOT, 'node_modules'))) {
        if (other !== scope && !other.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', other), join(app, 'node_modules', other));
      }
      const { status, stderr } = await run(process.execPath, [join(app, 'dist/cli/millrace.js'), 'replay', story('insert')], env);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: `millrace: this needs a package that is not installed: npm install ${name}\n`,
      });
    } finally {
      rmSync(app, { recursive: true, force: true });
    }
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('on Valkey', () => {
  it('leaves the same entries as in memory; a second replay finds newer entries there', async () => {
    const server = await startValkey();
    try {
      const replay = async (...args: string[]) => JSON.parse((await millrace(['replay', 'events', '--json', ...args])).stdout);
      const memory = await replay();
      const first = await replay('--url', server.url, '--namespace', 'cli-test');
      expect(first).toEqual({ ...memory, backend: 'valkey' });
      const second = await replay('--url', server.url, '--namespace', 'cli-test');
      expect(second.views).toEqual(first.views);
      const burst = second.files.find(({ file }: { file: string }) => file.includes('burst')).records;
      // Only the last change of the burst is not older than the entry of the first replay.
      expect(burst.map(({ applied, stale }: { applied: number; stale: number }) => [applied > 0, stale > 0])).toEqual([
        ...Array(4).fill([false, true]),
        [true, false],
      ]);
    } finally {
      await server.close();
    }
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('on a Valkey with a password', () => {
  it('refuses to begin without the password, and names the cause', async () => {
    const server = await startValkey({ config: { requirepass: 'secret' } });
    try {
      const { status, stdout, stderr } = await millrace(['replay', story('insert'), '--url', `valkey://127.0.0.1:${server.port}`]);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^millrace: nothing was done, because the cache cannot be read: .*(NOAUTH|password).*correct --url\n$/i);
    } finally {
      await server.close();
    }
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('on a Valkey that is full', () => {
  it('prints why records fail, which is always unexpected, and exits with 1', async () => {
    const server = await startValkey({ config: { maxmemory: '1', 'maxmemory-policy': 'noeviction' } });
    try {
      const { status, stdout } = await millrace(['replay', story('insert'), story('keys-only'), '--url', server.url]);
      expect(stdout).toMatch(/insert .* failed\n.*└ failed, to be retried: .*OOM/);
      expect(stdout).toContain(`Not as expected: 1 record in ${story('insert')}`);
      expect(status).toBe(1);
    } finally {
      await server.close();
    }
  });
});

describe('the log of the handler', () => {
  it('prints log lines with --verbose only, on stderr, as JSON', async () => {
    const quiet = await millrace(['replay', story('poison-in-the-middle')]);
    const verbose = await millrace(['replay', story('poison-in-the-middle'), '--verbose']);
    expect(quiet.stderr).toBe('');
    expect(verbose.stdout).toBe(quiet.stdout);
    const lines = verbose.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const ofOrders = Object.values(views).filter(({ entity }) => entity === views.detail.entity);
    expect(lines).toMatchObject([
      {
        level: 'ERROR',
        message: 'record set aside',
        causes: ofOrders.map(({ name, revision }) => ({ stage: 'view', view: `${name}@${revision}`, error: { name: 'ViewError' } })),
      },
      { level: 'INFO', message: 'batch', records: 5, poison: ofOrders.length },
    ]);
  });
});

describe('a clone whose sources are newer than dist', () => {
  it('says so on stderr, each time', async () => {
    const source = join(home, 'src/views/kitchen.ts');
    mkdirSync(join(source, '..'), { recursive: true });
    writeFileSync(source, '');
    try {
      const [past, future] = [new Date(2020, 1), new Date(Date.now() + 60_000)];
      utimesSync(source, past, past);
      expect((await millrace(['replay', story('insert')])).stderr).toBe('');
      utimesSync(source, future, future);
      for (const more of [[], ['--json']]) {
        const { status, stderr } = await millrace(['replay', story('insert'), ...more]);
        expect(status).toBe(0);
        expect(stderr).toBe('millrace: src/views/kitchen.ts is newer than dist, so this runs earlier code. Run npm run build first.\n');
      }
      expect((await millrace(['--version'])).stderr).toBe('');
    } finally {
      rmSync(join(home, 'src'), { recursive: true });
    }
  });
});

describe('text from a file', () => {
  it('prints text from a file without control characters', async () => {
    const event = structuredClone(poison);
    const [record] = event.Records;
    const trick = '\x1b[31mred\x07\nalert';
    const image = { pk: { S: `order#${trick}` }, sk: { S: 'order' }, status: { S: trick } };
    const file = save('tricks/trick.json', {
      Records: [
        { ...record, eventName: 'INSERT', dynamodb: { ...record?.dynamodb, Keys: { pk: image.pk, sk: image.sk }, NewImage: image } },
      ],
    });
    const { stdout } = await millrace(['replay', file]);
    expect(stdout).toContain('red');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for control characters
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  });
});

describe('a reader that closes the pipe early', () => {
  it('prints no error if its reader closes the pipe early', async () => {
    const cli = `"${process.execPath}" "${join(home, 'dist/cli/millrace.js')}"`;
    const { stdout, stderr } = await run('sh', ['-c', `${cli} replay events --json | head -n 1`]);
    expect({ stdout, stderr }).toEqual({ stdout: '{\n', stderr: '' });
  });
});
