// sam deploy of every environment of samconfig.toml, up to the change set, against moto.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'smol-toml';
import { FILLED_IN } from './parameter-sets.mjs';
import { fill, overridesOf } from './samconfig.mjs';
import { besideSam, interruption, MissingTool, PROJECT, pythonOf, StepFailed, step } from './tools.mjs';

const TRANSLATE = join(PROJECT, 'test/release/sam/translate.py');
const STEP_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 200;
const REGION = 'us-east-1';
const BUCKET = 'sam-packages';
/** What the transform must make of each environment. */
const MADE = {
  default: ['AWS::Lambda::Function', 'AWS::Lambda::EventSourceMapping', 'AWS::S3::Bucket', 'AWS::CloudWatch::Dashboard'],
  prod: ['AWS::Lambda::Function', 'AWS::Lambda::EventSourceMapping', 'AWS::Events::Rule'],
  network: ['AWS::EC2::VPCEndpoint'],
  valkey: ['AWS::ElastiCache::ServerlessCache', 'AWS::CloudWatch::Alarm'],
  shop: ['AWS::Lambda::Function', 'AWS::ApiGatewayV2::Api'],
  backfill: ['AWS::Lambda::Function', 'AWS::StepFunctions::StateMachine', 'AWS::Events::Rule'],
  verifier: ['AWS::Lambda::Function', 'AWS::Lambda::EventSourceMapping', 'AWS::SQS::Queue', 'AWS::Events::Rule'],
};

/**
 * @param build the folder that has a build for each template with functions, `default`, `shop`, `backfill` and `verifier`
 * @throws MissingTool without moto. @throws StepFailed when a deployment fails, or makes something else than it should.
 */
export async function deployAll(sam, folder, build) {
  const server = process.env.MOTO_SERVER || (await besideSam(sam, 'moto_server'));
  const python = await pythonOf(sam);
  if (!server || !python) throw new MissingTool('moto', "pip install 'moto[server]' brings it, beside a SAM CLI of pip.");
  const moto = await startMoto(server);
  try {
    await moto.call('CreateStack', managedStack());
    const templates = {};
    for (const name of ['default', 'shop', 'backfill', 'verifier'])
      templates[name] = await translated(name, { sam, python, folder, build, env: moto.env });
    templates.prod = templates.default;

    const text = await readFile(join(PROJECT, 'samconfig.toml'), 'utf8');
    for (const [environment, sets] of Object.entries(FILLED_IN)) {
      for (const [name, values] of Object.entries(sets)) {
        const config = fill(text, environment, values);
        const file = join(folder, `samconfig-${environment}.toml`);
        await writeFile(file, config);
        const args = ['deploy', '--config-file', file, '--config-env', environment, '--no-execute-changeset', '--no-confirm-changeset'];
        if (templates[environment]) args.push('--template-file', templates[environment]);
        const title = `sam deploy --config-env ${environment}, with ${name}`;
        const { stdout } = await step(title, sam, args, STEP_TIMEOUT_MS, { env: moto.env });
        await checkChanges(moto, environment, config, stdout);
      }
    }
  } finally {
    await moto.close();
  }
}

/** The stack of the bucket that `resolve_s3` uses. moto cannot make it as sam does. */
function managedStack() {
  const template = {
    Resources: { Bucket: { Type: 'AWS::S3::Bucket', Properties: { BucketName: BUCKET } } },
    Outputs: { SourceBucket: { Value: { Ref: 'Bucket' } } },
  };
  return {
    StackName: 'aws-sam-cli-managed-default',
    TemplateBody: JSON.stringify(template),
    'Tags.member.1.Key': 'ManagedStackSource',
    'Tags.member.1.Value': 'AwsSamCli',
  };
}

/** Uploads the built functions, and runs the SAM transform, which moto does not. */
async function translated(name, { sam, python, folder, build, env }) {
  const [packaged, result] = [join(folder, `packaged-${name}.yaml`), join(folder, `translated-${name}.json`)];
  const template = join(build, name, 'template.yaml');
  const args = ['package', '--template-file', template, '--s3-bucket', BUCKET, '--output-template-file', packaged];
  await step(`sam package --template-file ${name}`, sam, args, STEP_TIMEOUT_MS, { env });
  await step(`the SAM transform of ${name}`, python, [TRANSLATE, packaged, result], STEP_TIMEOUT_MS);
  return result;
}

/** The change set must have the parameters of the environment, and the resources that the environment is for. */
async function checkChanges(moto, environment, config, stdout) {
  const [changeSet] = /arn:aws:cloudformation:\S+:changeSet\/\S+/.exec(stdout) ?? [];
  if (!changeSet) throw new StepFailed(`sam deploy made no change set:\n${stdout}`);
  const xml = await moto.call('DescribeChangeSet', { ChangeSetName: changeSet });
  const of = (tag, part = xml) => [...part.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map(([, value]) => unescaped(value));
  const [names, values] = [of('ParameterKey'), of('ParameterValue')];
  const given = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  const wanted = overridesOf(parse(config)[environment].deploy.parameters.parameter_overrides ?? []);
  const wrong = Object.entries(wanted).filter(([name, value]) => given[name] !== value);
  if (wrong.length > 0) throw new StepFailed(`the change set has other parameters than samconfig.toml: ${wrong.map(([name]) => name)}`);
  const types = of('ResourceType');
  const absent = MADE[environment].filter((type) => !types.includes(type));
  if (absent.length > 0) throw new StepFailed(`the change set makes no ${absent.join(', ')}, only ${[...new Set(types)].join(', ')}`);
}

const unescaped = (text) => text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

async function startMoto(server) {
  const port = await freePort();
  const child = spawn(server, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  let ended = false;
  child.on('error', () => (ended = true)).on('exit', () => (ended = true));
  // moto reads a template from a URL only if the host is localhost.
  const endpoint = `http://localhost:${port}`;
  const env = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_DEFAULT_REGION: REGION };
  const close = async () => {
    if (ended) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(endpoint))) {
    if (ended || performance.now() > deadline || interruption.signal.aborted) {
      await close();
      throw new StepFailed('moto does not start');
    }
    await sleep(POLL_MS);
  }
  console.log('ok     moto_server');
  return { env, close, call: (action, parameters) => callCloudFormation(endpoint, action, parameters) };
}

const answers = (endpoint) =>
  fetch(`${endpoint}/moto-api/`).then(
    ({ ok }) => ok,
    () => false,
  );

async function callCloudFormation(endpoint, action, parameters) {
  // moto does not check the signature, but takes the service from it.
  const credential = `Credential=test/20260101/${REGION}/cloudformation/aws4_request`;
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=none` },
    body: new URLSearchParams({ Action: action, ...parameters }),
  });
  const text = await response.text();
  if (!response.ok) throw new StepFailed(`${action} failed: ${text}`);
  return text;
}

async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}
