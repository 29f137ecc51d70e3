import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CACHE, startMomento } from './momento.mjs';
import { range } from './orders.mjs';
import { exact, figure, figures } from './report.mjs';
import { spread } from './statistics.mjs';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const KIB = 1_024;
/** 230 of them before the calls of the Valkey backend had windows in server time, errors with a way out, and rules for a full server. */
const LIMIT_KIB = 260;
const VALKEY = { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkeys://127.0.0.1:6379' };

/**
 * @param {number} momentoPort of the test server: the handler calls Momento when it starts
 * @returns {readonly { readonly name: string, readonly env: Readonly<Record<string, string>> & { readonly CACHE_BACKEND: string } }[]}
 */
const backendsWith = (momentoPort) => [
  { name: 'memory', env: { CACHE_BACKEND: 'memory' } },
  { name: 'valkey', env: VALKEY },
  { name: 'valkey, login by IAM', env: { ...VALKEY, CACHE_IAM_USER: 'bench', CACHE_IAM_CACHE_NAME: 'bench', AWS_REGION: 'eu-west-1' } },
  { name: 'momento', env: { CACHE_BACKEND: 'momento', MOMENTO_CACHE_NAME: CACHE, MOMENTO_LOCAL: `127.0.0.1:${momentoPort}` } },
];

/** A module loader that writes the URL of each loaded module to stderr. */
const LISTENER = `
import { writeSync } from 'node:fs';
export async function load(url, context, next) {
  writeSync(2, 'loaded ' + url + '\\n');
  return next(url, context);
}`;
const IMPORT = `
if (process.env.LISTEN) (await import('node:module')).register('./listener.mjs', import.meta.url);
const started = performance.now();
const { handler } = await import('./stream.mjs');
console.log(performance.now() - started);
if (typeof handler !== 'function') throw new Error('there is no handler');
process.exit();`;

/**
 * The flags that `sam build` gives esbuild: the template's BuildProperties.
 *
 * @returns {string[]}
 */
function buildFlags() {
  const template = readFileSync(join(PROJECT, 'template.yaml'), 'utf8');
  const [, block = ''] = template.match(/^ +BuildProperties:.*\n((?: {8}.*\n)+)/m) ?? [];
  const flags = ['--bundle', '--platform=node'];
  let name = '';
  /** @param {string} item */
  const add = (item) => {
    const value = item.replace(/^'(.*)'$/, '$1');
    flags.push(name === 'EntryPoints' ? value : `${flagOf(name)}:${value}`);
  };
  for (const line of block.replace(/ # .*$/gm, '').split('\n')) {
    const [, item] = line.match(/^ +- (.+?) *$/) ?? [];
    if (item !== undefined) {
      add(item);
      continue;
    }
    const [, next, text = ''] = line.match(/^ +(\w+):(?: (.+?))? *$/) ?? [];
    if (next === undefined) continue;
    name = next;
    const [, list] = text.match(/^\[(.*)\]$/) ?? [];
    if (list !== undefined) list.split(', ').forEach(add);
    else if (text !== '' && name !== 'UseNpmCi')
      flags.push(text === 'true' ? flagOf(name) : `${flagOf(name)}=${text.replace(/^'(.*)'$/, '$1')}`);
  }
  if (!flags.includes('--minify')) throw new Error('the BuildProperties of template.yaml cannot be read');
  return flags;
}

/** @param {string} name */
function flagOf(name) {
  return `--${name.replace(/\B[A-Z]/g, '-$&').toLowerCase()}`;
}

/**
 * Bundles the stream handler into a folder, as it is deployed.
 *
 * @param {string} folder @returns {Record<string, { readonly bytes: number, readonly inputs: object }>}
 *
 * @public
 */
export function bundle(folder) {
  const metafile = join(folder, 'metafile.json');
  const flags = [...buildFlags(), `--outdir=${folder}`, `--metafile=${metafile}`, '--log-level=error'];
  const { status, stderr } = spawnSync(join(PROJECT, 'node_modules/.bin/esbuild'), flags, { cwd: PROJECT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`esbuild ${flags.join(' ')} failed:\n${stderr}`);
  /** @type {import('esbuild').Metafile} */
  const { outputs } = JSON.parse(readFileSync(metafile, 'utf8'));
  return Object.fromEntries(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
}

/** @param {string} folder @param {Readonly<Record<string, string>>} variables @param {boolean} listens */
async function importHandler(folder, variables, listens = false) {
  const env = {
    PATH: process.env.PATH,
    ...variables,
    POWERTOOLS_SERVICE_NAME: 'bench',
    // As deployed: metrics and dead letters are on.
    METRICS: 'true',
    DEAD_LETTERS: 's3://bench',
    ...(listens && { LISTEN: '1' }),
  };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, 'import.mjs')], { env });
  const loaded = [...stderr.matchAll(/^loaded file:.*\/([^/\n]+)$/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'import.mjs');
  return { ms: Number(stdout), loaded: new Set(loaded) };
}

/** Size and cold import time of the stream handler's bundle. @param {import('./report.mjs').Context} context */
export async function bundleSize({ quick, progress }) {
  const rounds = quick ? 5 : 21;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bundle-'));
  const server = await startMomento();
  try {
    progress('bundle: esbuild');
    const backends = backendsWith(server.port);
    const outputs = bundle(folder);
    writeFileSync(join(folder, 'listener.mjs'), LISTENER);
    writeFileSync(join(folder, 'import.mjs'), IMPORT);
    /** @type {Record<string, number[]>} */
    const times = Object.fromEntries(backends.map(({ name }) => [name, []]));
    for (const round of range(rounds)) {
      progress(`bundle: cold import ${round + 1} of ${rounds}`);
      for (const { name, env } of backends) times[name]?.push((await importHandler(folder, env)).ms);
    }
    const listened = await Promise.all(backends.map(({ env }) => importHandler(folder, env, true)));
    const figuresOf = backends.map(({ name: backend, env }, i) => {
      const { loaded } = listened[i] ?? { loaded: new Set() };
      const chunks = [...loaded].map((name) => {
        const output = outputs[name];
        if (!output) throw new Error(`${name} was loaded, and is not part of the bundle`);
        return { name, bytes: output.bytes, backends: Object.keys(output.inputs).flatMap(backendOf) };
      });
      return {
        backend,
        bytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0),
        chunks,
        // Modules of other backends in the chunks that this one loads.
        strangers: chunks.flatMap(({ backends }) => backends).filter((name) => name !== env.CACHE_BACKEND).length,
        importMs: spread(times[backend] ?? []),
      };
    });
    return {
      sections: [
        {
          title: 'The stream handler, bundled as it is deployed',
          head: ['backend', 'KiB minified', 'chunks loaded', 'modules of others', 'cold import, ms'],
          note: 'The import includes one call of Momento; the test server answers it in this process.',
          rows: figuresOf.map(({ backend, bytes, chunks, strangers, importMs }) => [
            backend,
            figure(bytes / KIB),
            figure(chunks.length),
            figure(strangers),
            figures(importMs),
          ]),
        },
      ],
      checks: [
        ...figuresOf
          .filter(({ backend }) => backend === 'valkey')
          .map(({ bytes }) => ({
            what: 'stream handler with valkey, minified',
            measured: exact(bytes / KIB),
            relation: /** @type {const} */ ('at most'),
            required: LIMIT_KIB,
            unit: ' KiB',
          })),
        ...figuresOf.map(({ backend, strangers }) => ({
          what: `modules of other backends loaded with ${backend}`,
          measured: exact(strangers),
          relation: /** @type {const} */ ('exactly'),
          required: 0,
        })),
      ],
      figures: figuresOf,
    };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The backend that a module belongs to, as a list of one; empty for common modules. @param {string} path */
function backendOf(path) {
  // The configuration reads the variables of every backend with these two.
  if (/caches\/(valkey\/url|momento\/access)\.ts$/.test(path)) return [];
  if (/caches\/valkey|\/iovalkey\//.test(path)) return ['valkey'];
  if (/caches\/memory/.test(path)) return ['memory'];
  if (/caches\/momento|\/@gomomento\/|\/@grpc\//.test(path)) return ['momento'];
  return [];
}
