import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lambdaLetter, lambdaName } from '../letters/letters.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';

/** Of this version of Node: whether it runs TypeScript by removing the types. */
const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript);

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const MADE = `import { documentView, entity, listView } from 'millrace';
const recipe = entity({ name: 'recipe', owns: ({ sk }) => sk === 'recipe', schema: { parse: (item) => item } });
const card = (name, revision = 1) =>
  documentView({ name, revision, entity: recipe, project: ({ pk, title }) => [{ key: pk, value: { title } }] });
const titles = listView({ name: 'titles', revision: 1, keep: 9, entity: recipe, project: ({ title }) => [{ list: 'all', score: 1, value: title }] });
`;

const image = { pk: { S: 'recipe#1' }, sk: { S: 'recipe' }, title: { S: 'Focaccia' } };
const eventSourceARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/Recipes/stream/2026-03-01T10:00:00.000';
const record = {
  eventName: 'INSERT',
  eventSource: 'aws:dynamodb',
  eventSourceARN,
  dynamodb: { Keys: { pk: image.pk, sk: image.sk }, NewImage: image, SequenceNumber: '100000000000000000009' },
};

let cli: BuiltCli;
/** An application with the package installed. */
let app: string;
let installed: string;

beforeAll(() => {
  cli = buildCli();
  app = join(cli.home, 'app');
  installed = join(app, 'node_modules/millrace');
  mkdirSync(installed, { recursive: true });
  const packages = join(cli.home, 'node_modules');
  for (const name of readdirSync(packages)) {
    if (!name.startsWith('.') && name !== 'millrace') symlinkSync(join(packages, name), join(app, 'node_modules', name));
  }
  cpSync(join(cli.home, 'dist'), join(installed, 'dist'), { recursive: true });
  writeFileSync(join(installed, 'package.json'), readFileSync(join(cli.home, 'package.json')));
  writeFileSync(join(app, 'package.json'), '{ "type": "module" }');
  save('event.json', JSON.stringify({ Records: [record] }));
}, 120_000);
afterAll(() => cli?.remove());

function save(name: string, text: string): string {
  mkdirSync(join(app, name, '..'), { recursive: true });
  writeFileSync(join(app, name), text);
  return name;
}

/** Runs the command in the application: the installed one, or that of a clone. */
function millrace(args: readonly string[], path = join(installed, 'dist/cli/millrace.js')): Promise<Ended> {
  const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
  return new Promise((resolve) => {
    const env = { ...inherited, NODE_NO_WARNINGS: '1', AWS_EC2_METADATA_DISABLED: 'true' };
    execFile(process.execPath, [path, ...args], { cwd: app, env }, (error, stdout, stderr) => {
      resolve({ status: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr });
    });
  });
}

const replay = (views: string) => millrace(['replay', 'event.json', '--json', '--views', views]);

describe('--views', () => {
  it.each([
    ['an object named views', 'object.js', `${MADE}export const views = { one: card('one'), titles };`, ['one@1', 'titles@1']],
    ['an array named views', 'array.js', `${MADE}export const views = [card('one'), titles];`, ['one@1', 'titles@1']],
    [
      'views beside other exports',
      'beside.js',
      `${MADE}export const other = card('other'); export const views = { one: card('one') };`,
      ['one@1'],
    ],
    [
      'views that are exported by their names, too',
      'twice.js',
      `${MADE}export const one = card('one'); export const views = { one };`,
      ['one@1'],
    ],
    [
      'named exports',
      'named.js',
      `${MADE}export const one = card('one'), two = card('two'), label = 'x'; export { recipe, titles };`,
      ['one@1', 'two@1', 'titles@1'],
    ],
    ['a default export', 'default.js', `${MADE}export default card('one');`, ['one@1']],
    ['an object as default export', 'default-object.js', `${MADE}export default { views: { one: card('one', 2) } };`, ['one@2']],
    ['two revisions of one view', 'revisions.js', `${MADE}export const views = [card('one'), card('one', 2)];`, ['one@1', 'one@2']],
    [
      'a module of CommonJS',
      'common.cjs',
      `const { documentView, entity } = require('millrace');
      const recipe = entity({ name: 'recipe', owns: () => true, schema: { parse: (item) => item } });
      module.exports = Object.assign({}, { one: documentView({ name: 'one', revision: 1, entity: recipe, project: ({ pk }) => [{ key: pk, value: 1 }] }) });`,
      ['one@1'],
    ],
    ['a module in a folder', 'deep/views/index.js', `${MADE}export const views = { one: card('one') };`, ['one@1']],
  ])('takes %s', async (_, name, text, names) => {
    const { status, stdout, stderr } = await replay(save(name, text));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { documents, lists } = JSON.parse(stdout).views;
    expect([...Object.keys(documents), ...Object.keys(lists)].map((key) => key.split(':')[0])).toEqual(names);
  });

  it.each([
    ['a file that is not there', 'absent.js', undefined, /there is no such file: check the path/],
    ['a folder', 'deep', undefined, /it is a folder: give the module in it, such as index\.js/],
    [
      'a module without views',
      'none.js',
      'export const handler = () => {}, name = "x";',
      /it exports handler, name, and no views: export what documentView/,
    ],
    ['an empty module', 'empty.js', '', /it exports nothing, and no views/],
    [
      'an empty object of views',
      'empty-views.js',
      `${MADE}export const views = {}; export const one = card('one');`,
      /it exports one, views, and no views/,
    ],
    [
      'a view that documentView did not make',
      'raw.js',
      `${MADE}const { kind, ...raw } = card('one'); export const views = { raw };`,
      /its export views\.raw is no valid view: make it by documentView or listView/,
    ],
    [
      'a view without an entity',
      'bare.js',
      'export const bare = { kind: "document", name: "bare", revision: 1, project: () => [] };',
      /its export bare is no valid view/,
    ],
    [
      'two views with the same keys',
      'same.js',
      `${MADE}export const one = card('card'), two = card('card');`,
      /its exports one and two have the same keys, card@1:…: give one of them another name or revision/,
    ],
    [
      'a view that documentView refuses',
      'refused.js',
      `${MADE}export const one = card('a b');`,
      /it cannot be loaded \(view name "a b": use letters/,
    ],
    ['null that is thrown', 'null.js', 'throw null;', /it cannot be loaded \(null\): correct it/],
    ['a syntax error', 'syntax.js', 'export const = 1;', /it cannot be loaded \(Unexpected token/],
    [
      'a package that is not installed',
      'package.js',
      "import 'no-such-package';",
      /it needs a package that is not installed: npm install no-such-package/,
    ],
    ['a file that is not there beside it', 'import.js', "import './order.js';", /it cannot be loaded \(Cannot find module .*order\.js/],
    [
      'an enum in TypeScript',
      'enum.ts',
      'enum A { B }\nexport default A;',
      stripsTypes
        ? /strips types only, and cannot load it .*compile it: npx esbuild enum\.ts --bundle/
        : /it is TypeScript, and Node v.* does not strip/,
    ],
    ['JSX', 'element.tsx', 'export default 1;', /it is TypeScript, and Node v.* does not strip the types of such a file/],
    [
      'an import of TypeScript by the name of its JavaScript',
      'late.ts',
      "import './order.js';",
      stripsTypes ? /import files by their own names \(\.\/order\.ts\)/ : /it is TypeScript/,
    ],
  ])('refuses %s, and says the way out', async (_, name, text, reason) => {
    if (text !== undefined) save(name, text);
    const { status, stdout, stderr } = await replay(name);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^millrace: --views ${name}: `));
    expect(stderr).toMatch(reason);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it.each(['await new Promise(() => {});', 'process.exit(3);'])('names a module that ends the process: %s', async (text) => {
    const { status, stdout, stderr } = await replay(save('end.js', text));
    expect(status).toBeGreaterThan(0);
    expect(stdout).toBe('');
    expect(stderr).toContain('millrace: --views end.js: it ended this process while it was loaded: correct its top-level await or exit\n');
  });

  it('takes TypeScript where Node strips types, and else says how to compile it', async () => {
    const { status, stderr } = await replay(save('typed.ts', `${MADE}export const views: Record<string, unknown> = { one: card('one') };`));
    expect(status).toBe(stripsTypes ? 0 : 1);
    if (!stripsTypes)
      expect(stderr).toMatch(
        /Use Node 22\.18 or later \(not for \.tsx\), or compile it: npx esbuild typed\.ts --bundle --packages=external/,
      );
  });

  it('takes what the command that it gives for TypeScript compiles', async () => {
    save('source.ts', `${MADE}export const views: Record<string, unknown> = { one: card('one') };`);
    const { stderr } = await millrace(['replay', 'event.json', '--views', save('source.tsx', 'export default 1')]);
    const command = /npx (esbuild \S+ .*) *, and give --views (\S+)/.exec(stderr.replaceAll('source.tsx', 'source.ts'));
    const [program = '', ...args] = String(command?.[1]).split(' ');
    await new Promise((done) => execFile(join(app, 'node_modules', program, 'bin', program), args, { cwd: app }, done));
    expect((await replay(String(command?.[2]))).status).toBe(0);
  });
});

describe('an installed package', () => {
  const note = /installed package uses the views of its sample, a pizza shop\. Give yours by --views \.\/views\.js/;

  it('says in replay that its views are those of the sample', async () => {
    for (const more of [[], ['--json']]) {
      const { status, stderr } = await millrace(['replay', 'event.json', ...more]);
      expect(status).toBe(0);
      expect(stderr).toMatch(note);
    }
  });

  it('redrives with the views of the application only', async () => {
    const file = join('letters', lambdaName(1));
    save(file, lambdaLetter([record]));
    const args = ['redrive', 'letters', '--trust-letters', '--dry-run', '--json'];
    const refused = await millrace(args);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/whose views are those of its sample: give yours by --views/);
    const { status, stdout, stderr } = await millrace([
      ...args,
      '--views',
      save('mine.js', `${MADE}export const views = { one: card('one') };`),
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ removed: 1, kept: 0 });
  });

  it('says nothing in a clone', async () => {
    expect((await millrace(['replay', 'event.json'], cli.path)).stderr).toBe('');
  });
});
