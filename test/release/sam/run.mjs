// Checks what is deployed, as AWS would see it.  node test/release/sam/run.mjs [--events DIR]
//
// 1. cfn-lint for every template, Region and set of parameters
// 2. sam validate and sam build for every template
// 3. sam deploy of every environment of samconfig.toml, up to the change set, against moto
// 4. sam local invoke for every saved event, whose response must equal the recorded one, and for every log level
// 5. the same for the application of the README
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { buildApplication } from './application.mjs';
import { deployAll } from './deploy.mjs';
import { lintAll } from './lint.mjs';
import { isKept, LOG_LEVELS } from './log-filter.mjs';
import { environment, exists, interruption, isCi, MissingTool, onPath, PROJECT, run, StepFailed, step } from './tools.mjs';

const MAKE_IMAGE = fileURLToPath(new URL('./lambda-image/mkimage.sh', import.meta.url));
const FUNCTION = 'SyncFunction';
const ARCHITECTURE = 'x86_64';
const ARCHITECTURE_OVERRIDE = ['--parameter-overrides', `Architecture=${ARCHITECTURE}`];
const API_EVENTS = 'api';
/** sam local does not ask the authorizer of the API. */
const API_PARAMETERS = ['TableName=shop', 'JwtIssuer=https://issuer.example', 'JwtAudience=shop'];
/** Environments of samconfig.toml, the template of each, and the file that the build of each function must contain. */
const STACKS = {
  default: { template: 'template.yaml', functions: { SyncFunction: 'stream.mjs', RedriveFunction: 'redrive.mjs' } },
  network: { template: 'deploy/network.yaml', functions: {} },
  valkey: { template: 'deploy/valkey.yaml', functions: {} },
  shop: {
    template: 'deploy/shop.yaml',
    functions: { MigrateCartFunction: 'migrate-cart.mjs', ImportOrdersFunction: 'import-orders.mjs', ReadFunction: 'read.mjs' },
  },
  backfill: { template: 'deploy/backfill.yaml', functions: { BackfillFunction: 'backfill.mjs' } },
  verifier: { template: 'deploy/verifier.yaml', functions: { VerifyFunction: 'verify.mjs' } },
};
/** The functions that load the client of a cache. */
const WITH_CHUNKS = [FUNCTION, 'ReadFunction', 'BackfillFunction', 'VerifyFunction'];
const CHUNKS = ['memory', 'valkey', 'iam', 'momento'];
const OUTAGE_EVENT = 'insert.json';
const UNREACHABLE_CACHE = ['CacheBackend=valkey', 'ValkeyUrl=redis://127.0.0.1:1'];

const PROBE_TIMEOUT_MS = 10_000;
const DAEMON_START_TIMEOUT_MS = 30_000;
const DAEMON_STOP_TIMEOUT_MS = 20_000;
const DAEMON_POLL_MS = 250;
const PULL_TIMEOUT_MS = 300_000;
const MAKE_IMAGE_TIMEOUT_MS = 300_000;
const BUILD_TIMEOUT_MS = 300_000;
const INVOKE_TIMEOUT_MS = 120_000;
const ANSWER_WIDTH_CHARS = 60;

// A sandbox may lack overlay mounts, or the right to change packet filters. Each attempt needs less than the previous one.
const DAEMON_ATTEMPTS = [[], ['--storage-driver=vfs'], ['--storage-driver=vfs', '--iptables=false', '--ip6tables=false']];

async function findSam() {
  const inProject = join(PROJECT, '.venv/bin/sam');
  const sam = process.env.SAM || (await onPath('sam'));
  if (sam) return sam;
  if (await exists(inProject)) return inProject;
  throw new MissingTool(
    'The SAM CLI',
    'pipx install aws-sam-cli brings it, or python3 -m venv .venv && .venv/bin/pip install aws-sam-cli.',
  );
}

const daemonAnswers = async () => (await run('docker', ['version'], { timeoutMs: PROBE_TIMEOUT_MS })).ok;

/** Starts a Docker daemon unless one runs. Returns a function that ends the daemon that was started. */
async function useDocker(folder) {
  const remedy =
    'apt-get install docker.io iptables busybox-static (or Docker Desktop) brings it; it must be running, or this be run as root.';
  if (!(await onPath('docker'))) throw new MissingTool('Docker', remedy);
  if (await daemonAnswers()) return async () => {};
  if (process.getuid?.() !== 0 || !(await onPath('dockerd'))) throw new MissingTool('A Docker daemon', remedy);

  // A socket and folders of its own keep the daemon apart from any other.
  environment.DOCKER_HOST = `unix://${join(folder, 'docker.sock')}`;
  let log = '';
  for (const [attempt, options] of DAEMON_ATTEMPTS.entries()) {
    const daemon = startDaemon(join(folder, `docker-${attempt}`), options);
    if (await becomesReady(daemon)) {
      console.log(`ok     dockerd ${options.join(' ')}`.trimEnd());
      return () => endDaemon(daemon);
    }
    await endDaemon(daemon);
    log = daemon.log;
  }
  throw new StepFailed(`dockerd does not start:\n${log.slice(-2_000)}`);
}

function startDaemon(folder, options) {
  const places = ['--host', environment.DOCKER_HOST, '--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
  // Detached, because an interrupt from the keyboard must reach sam first: sam needs the daemon to remove its container.
  const child = spawn('dockerd', [...places, '--pidfile', join(folder, 'pid'), ...options], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const daemon = { child, log: '', ended: false };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (daemon.log += text));
  child.on('error', () => (daemon.ended = true)).on('exit', () => (daemon.ended = true));
  return daemon;
}

async function becomesReady(daemon) {
  const deadline = performance.now() + DAEMON_START_TIMEOUT_MS;
  try {
    while (!daemon.ended && performance.now() < deadline) {
      if (await daemonAnswers()) return true;
      await sleep(DAEMON_POLL_MS);
    }
    return false;
  } catch (interrupted) {
    await endDaemon(daemon);
    throw interrupted;
  }
}

async function endDaemon(daemon) {
  if (daemon.ended) return;
  const killer = setTimeout(() => daemon.child.kill('SIGKILL'), DAEMON_STOP_TIMEOUT_MS);
  const exit = once(daemon.child, 'exit');
  daemon.child.kill('SIGTERM');
  await exit;
  clearTimeout(killer);
}

/** Provides the image in which sam runs functions: the real one if it exists or can be pulled, else a stand-in made on this machine. */
async function useImage() {
  const template = await readFile(join(PROJECT, 'template.yaml'), 'utf8');
  const major = /Runtime: nodejs(\d+)\.x/.exec(template)[1];
  const repository = 'public.ecr.aws/lambda/nodejs';
  const image = `${repository}:${major}-${ARCHITECTURE}`;
  const docker = (args, timeoutMs) => run('docker', args, { timeoutMs });

  if ((await docker(['image', 'inspect', image], PROBE_TIMEOUT_MS)).ok) return;
  if ((await docker(['pull', '--quiet', '--platform', 'linux/amd64', image], PULL_TIMEOUT_MS)).ok) {
    console.log(`ok     ${image} pulled`);
    return;
  }
  if (process.platform !== 'linux' || process.arch !== 'x64' || !(await exists('/bin/busybox'))) {
    throw new MissingTool(
      `The image ${image}`,
      `docker pull ${image} brings it; without a network, apt-get install busybox-static on x86_64.`,
    );
  }
  await step(`${image} cannot be pulled: a stand-in`, MAKE_IMAGE, [major], MAKE_IMAGE_TIMEOUT_MS);
  // Otherwise sam would use its own layer over the previous image.
  await docker(['image', 'rm', '--force', `${repository}:${major}-rapid-${ARCHITECTURE}`], PROBE_TIMEOUT_MS);
}

/** Each client of a cache must be a file of its own, so that a cold start loads only the client of its backend. */
async function checkBundle(buildFolder, functions) {
  for (const [name, file] of Object.entries(functions)) {
    const files = await readdir(join(buildFolder, name));
    if (!files.includes(file)) throw new StepFailed(`The build of ${name} has no ${file}: ${files.join(', ')}`);
    if (!WITH_CHUNKS.includes(name)) continue;
    for (const chunk of CHUNKS) {
      if (!files.some((it) => new RegExp(`^${chunk}-[A-Z0-9]+\\.mjs$`).test(it)))
        throw new StepFailed(`The build of ${name} has no chunk ${chunk}: ${files.join(', ')}`);
    }
  }
}

const readJson = async (file) => JSON.parse(await readFile(file, 'utf8'));

/** The trials: each saved event with its recorded response, and one event with an unreachable cache. */
async function trialsIn(folder) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  const trials = await Promise.all(names.map((name) => savedTrial(folder, name)));
  if (trials.length === 0) throw new StepFailed(`${folder} holds no events`);
  if (names.includes(OUTAGE_EVENT)) trials.push(await outageTrial(folder), ...(await logTrials(folder)));
  if (await exists(join(folder, API_EVENTS))) trials.push(...(await apiTrialsIn(join(folder, API_EVENTS))));
  return trials;
}

/** Events of the API whose response needs no table. */
async function apiTrialsIn(folder) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  const records = await Promise.all(names.map((name) => readJson(join(folder, 'expected', name))));
  return names.flatMap((name, i) => {
    const { function: invoked, response } = records[i];
    if (response === undefined) return [];
    const trial = { file: join(folder, name), expected: response, parameters: API_PARAMETERS };
    return [{ name: `${API_EVENTS}/${name}`, stack: 'shop', function: invoked, ...trial }];
  });
}

async function savedTrial(folder, name) {
  const record = await readJson(join(folder, 'expected', name)).catch((error) => ({ fault: `no recorded answer: ${error.message}` }));
  if (record.response === undefined) return { name, fault: record.fault ?? `expected/${name} has no "response"` };
  return { name, file: join(folder, name), expected: record.response, parameters: [] };
}

// The only trial that loads the Valkey client inside the built function.
async function outageTrial(folder) {
  const file = join(folder, OUTAGE_EVENT);
  const [first] = (await readJson(file)).Records;
  const expected = { batchItemFailures: [{ itemIdentifier: first.dynamodb.SequenceNumber }] };
  return { name: `${OUTAGE_EVENT}, Valkey unreachable`, file, expected, parameters: UNREACHABLE_CACHE };
}

/** The metrics of a batch must pass Lambda's log filter at every level, and a batch that succeeds writes one line. */
async function logTrials(folder) {
  const file = join(folder, OUTAGE_EVENT);
  return LOG_LEVELS.map((level) => ({
    name: `${OUTAGE_EVENT}, LogLevel ${level}`,
    file,
    expected: { batchItemFailures: [] },
    parameters: [`LogLevel=${level}`],
    isLogLost: (result) => logLines(result).length === 0,
    faultOf(result) {
      const lines = logLines(result);
      const kept = lines.filter((line) => isKept(line, level) && line.includes('"CloudWatchMetrics"'));
      return lines.length === 1 && kept.length === 1 ? undefined : `of the lines of the batch, the filter keeps ${kept.length}: ${lines}`;
    },
  }));
}

function logLines({ stdout, stderr }) {
  return `${stdout}\n${stderr}`.split('\n').filter((line) => line.startsWith('{') && line.includes('"level"'));
}

async function invoke(sam, build, trial) {
  if (trial.fault) return { ...trial, answer: '', ms: 0 };
  const overrides = [...ARCHITECTURE_OVERRIDE, ...trial.parameters];
  const args = [
    'local',
    'invoke',
    trial.function ?? FUNCTION,
    '--template',
    trial.built ?? join(build, trial.stack ?? 'default', 'template.yaml'),
    '--event',
    trial.file,
    '--skip-pull-image',
    ...overrides,
  ];
  let result = await run(sam, args, { timeoutMs: INVOKE_TIMEOUT_MS });
  // On a busy machine, sam may lose the log of a container that ends at once. A line that is there and wrong is no such loss.
  for (let again = 0; again < 2 && trial.isLogLost?.(result); again += 1) result = await run(sam, args, { timeoutMs: INVOKE_TIMEOUT_MS });
  const answer = answerIn(result.stdout);
  const fault = faultOf(result, answer, trial.expected) ?? trial.faultOf?.(result);
  return { ...trial, answer: JSON.stringify(answer) ?? '', ms: result.ms, fault: fault && `${fault}\n${result.stderr}` };
}

/** The response of the handler: the last line that sam prints. Undefined if that line is not JSON. */
function answerIn(stdout) {
  try {
    return JSON.parse(stdout.trim().split('\n').at(-1));
  } catch {
    return undefined;
  }
}

function faultOf({ ok, status }, answer, expected) {
  if (!ok) return status === null ? `sam did not end within ${INVOKE_TIMEOUT_MS} ms` : `sam ended with status ${status}`;
  if (answer === undefined) return 'there is no answer';
  // sam exits with 0 when the handler throws or times out; only the response shows the error.
  if (answer?.errorType !== undefined) return `the handler threw ${answer.errorType}`;
  return isDeepStrictEqual(answer, expected) ? undefined : `expected ${JSON.stringify(expected)}`;
}

function printTable(results) {
  const shorten = (text) => (text.length > ANSWER_WIDTH_CHARS ? `${text.slice(0, ANSWER_WIDTH_CHARS - 1)}…` : text);
  const rows = results.map((result) => [result.name, shorten(result.answer), String(result.ms), result.fault ? 'FAILED' : 'ok']);
  const table = [['event', 'answer', 'ms', 'result'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  console.log();
  for (const [name, answer, ms, verdict] of table) {
    console.log([name.padEnd(widths[0]), answer.padEnd(widths[1]), ms.padStart(widths[2]), verdict].join('  '));
  }
}

async function test(folder, events) {
  const sam = await findSam();
  await unlessMissing(() => lintAll(sam, folder));
  const endDocker = await useDocker(folder);
  try {
    await useImage();
    const build = join(folder, 'build');
    for (const [stack, { template, functions }] of Object.entries(STACKS)) {
      const buildDir = join(build, stack);
      await step(`sam validate --lint --config-env ${stack}`, sam, ['validate', '--lint', '--config-env', stack], BUILD_TIMEOUT_MS);
      // Not cached, because the cache ignores a change of package-lock.json alone. The folder keeps the user's own build as it is.
      const buildArgs = ['build', '--template', template, '--no-cached', '--build-dir', buildDir];
      await step(`sam build --template ${template}`, sam, [...buildArgs, ...ARCHITECTURE_OVERRIDE], BUILD_TIMEOUT_MS);
      await checkBundle(buildDir, functions);
    }
    await unlessMissing(() => deployAll(sam, folder, build));

    const ofReadme = await buildApplication(step, sam, folder, PROJECT);

    const results = [];
    for (const trial of [...(await trialsIn(events)), ...ofReadme]) {
      const result = await invoke(sam, build, trial);
      results.push(result);
      if (result.fault) console.log(`\nFAILED ${result.name}: ${result.fault.trim()}\n       answer: ${result.answer || 'none'}`);
    }
    printTable(results);
    const failed = results.filter((result) => result.fault).length;
    return { passed: results.length - failed, failed };
  } finally {
    await endDocker();
  }
}

/** Skips checks whose tool is missing, but not in CI. */
async function unlessMissing(checks) {
  try {
    await checks();
  } catch (error) {
    if (!(error instanceof MissingTool) || isCi) throw error;
    console.log(`skipped: ${error.message}`);
  }
}

/** Prints why the run stopped. Returns the count of a run that stopped. */
function countOf(error) {
  if (error instanceof MissingTool && !isCi) {
    console.log(`skipped: ${error.message}`);
    return { passed: 0, failed: 0 };
  }
  if (interruption.signal.aborted) console.log('interrupted');
  else console.log(error instanceof MissingTool || error instanceof StepFailed ? error.message : error);
  return { passed: 0, failed: 1 };
}

const { values } = parseArgs({ options: { events: { type: 'string', default: join(PROJECT, 'events') } } });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interruption.abort());

const folder = await mkdtemp(join(tmpdir(), 'millrace-sam-'));
let count;
try {
  count = await test(folder, resolve(values.events));
} catch (error) {
  count = countOf(error);
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`\n${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed === 0 ? 0 : 1;
