import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  environmentOf,
  FUNCTION,
  isAllowed,
  ofType,
  PROJECT,
  type Properties,
  readTemplate,
  sourceOf,
  stackOf,
  TEMPLATES,
} from './template.ts';

const templates = Object.entries(TEMPLATES).map(([environment, file]) => ({ environment, file, template: readTemplate(file) }));
const templateOf = (environment: keyof typeof TEMPLATES) => readTemplate(TEMPLATES[environment]);

describe.each(templates)('$file', ({ template }) => {
  const text = JSON.stringify([template.Rules, template.Conditions, template.Resources, template.Outputs]);
  const { ParameterGroups } = template.Metadata['AWS::CloudFormation::Interface'] as {
    ParameterGroups: readonly { readonly Parameters: readonly string[] }[];
  };

  it.each(Object.entries(template.Parameters))('describes and uses %s, whose default it allows', (name, parameter) => {
    expect(parameter.Description).toMatch(/^[A-Z0-9a-z].{20,}\.$/s);
    expect(text.includes(`{"Ref":"${name}"}`) || text.includes(`\${${name}}`)).toBe(true);
    if (parameter.Default !== undefined) expect(isAllowed(parameter, String(parameter.Default))).toBe(true);
  });

  it('shows each parameter in one group', () => {
    expect(ParameterGroups.flatMap(({ Parameters }) => Parameters).sort()).toEqual(Object.keys(template.Parameters).sort());
  });

  it('describes each output', () => {
    for (const { Description } of Object.values(template.Outputs ?? {})) expect(Description).toMatch(/^[A-Z].{5,}[^.]$/);
  });

  it('gives no output the name of a list parameter, which makes sam fail', () => {
    const lists = Object.entries(template.Parameters).filter(([, { Type }]) => Type === 'CommaDelimitedList');
    for (const [name] of lists) expect(Object.keys(template.Outputs ?? {})).not.toContain(name);
  });
});

describe('all templates', () => {
  const functions = templates.flatMap(({ template }) => ofType(template.Resources, FUNCTION));

  it('gives functions the variables that the code reads, and no others', () => {
    const config = sourceOf('src/config');
    const constants = new Set([...config.matchAll(/\bconst ([A-Z][A-Z_]+)\b/g)].map(([, name]) => name));
    const read = [...config.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bMETRICS\b/g)].map(([name]) => name);
    const access = readFileSync(join(PROJECT, 'src/caches/momento/access.ts'), 'utf8');
    const given = new Set(functions.flatMap(([, properties]) => Object.keys(environmentOf(properties))));
    const elsewhere = {
      AWS_REGION: 'Lambda sets it',
      AWS_LAMBDA_LOG_LEVEL: 'Lambda sets it',
      MOMENTO_API_KEY: 'MOMENTO_SECRET_ID keeps the key out of variables',
      MOMENTO_ENDPOINT: 'the secret contains it',
      MOMENTO_LOCAL: 'for tests on one machine',
    };
    // Powertools reads its own variables.
    const own = [...given].filter((name) => !name.startsWith('POWERTOOLS_'));
    expect(own.filter((name) => !read.includes(name) && !access.includes(name))).toEqual([]);
    expect(read.filter((name) => !constants.has(name) && !given.has(name) && !(name in elsewhere))).toEqual([]);
  });
});

describe('samconfig.toml', () => {
  const text = readFileSync(join(PROJECT, 'samconfig.toml'), 'utf8');
  const section = (environment: string, command: string): string => {
    const [, after = ''] = text.split(`\n[${environment}.${command}.parameters]\n`);
    return after.split(/\n\[/)[0] ?? '';
  };
  /** Values of parameters: `given` as they are, `suggested` as lines to fill in. */
  const overridesOf = (environment: string) => {
    const given: Record<string, string> = {};
    const suggested: string[] = [];
    for (const [, comment, name = '', value = ''] of section(environment, 'deploy').matchAll(/^ *(#)? *"(\w+)=([^"]*)"/gm)) {
      if (comment) suggested.push(name);
      else given[name] = value;
    }
    return { given, suggested };
  };

  it.each(templates)('has the environment $environment for $file, and suggests what has no default', ({ environment, file, template }) => {
    const named = /^template_file = "(.+)"$/m.exec(section(environment, 'validate'))?.[1];
    expect(named ?? 'template.yaml').toBe(file);
    const { given, suggested } = overridesOf(environment);
    for (const name of [...Object.keys(given), ...suggested]) expect(template.Parameters).toHaveProperty(name);
    for (const [name, { Default }] of Object.entries(template.Parameters))
      if (Default === undefined) expect([...Object.keys(given), ...suggested]).toContain(name);
  });

  it('deploys the build of the shop, and the other stacks of deploy/ as they are', () => {
    const fileOf = (environment: string, command: string) => /^template_file = "(.+)"$/m.exec(section(environment, command))?.[1];
    expect(fileOf('shop', 'build')).toBe(TEMPLATES.shop);
    const [, folder] = /^build_dir = "(.+)"$/m.exec(section('shop', 'build')) ?? [];
    expect(fileOf('shop', 'deploy')).toBe(`${folder}/template.yaml`);
    for (const environment of ['network', 'valkey'] as const) expect(fileOf(environment, 'deploy')).toBe(TEMPLATES[environment]);
    for (const environment of ['default', 'prod']) expect(fileOf(environment, 'deploy')).toBeUndefined();
  });

  it('deploys the default environment without a question', () => {
    const worker = templateOf('default');
    for (const { Default } of Object.values(worker.Parameters)) expect(Default).toBeDefined();
    expect(stackOf(worker).complaints).toEqual([]);
    expect(section('default', 'deploy')).toContain('confirm_changeset = false');
  });

  it('lacks in the environment prod only what the other stacks output and what its owner knows', () => {
    const worker = templateOf('default');
    const { given, suggested } = overridesOf('prod');
    expect(Object.keys(given).length).toBeGreaterThan(5);
    for (const [name, value] of Object.entries(given)) {
      const parameter = worker.Parameters[name];
      expect([name, parameter && isAllowed(parameter, value)]).toEqual([name, true]);
    }
    for (const name of suggested) expect(worker.Parameters).toHaveProperty(name);
    expect(suggested).toEqual(expect.arrayContaining(Object.keys(fromValkey())));
    expect(stackOf(worker, given).complaints).toEqual(['CacheBackend valkey needs ValkeyUrl']);
    expect(stackOf(worker, { ...given, ...fromValkey() }).complaints).toEqual([]);
  });
});

const network = { VpcId: 'vpc-0123456789abcdef0', SubnetIds: 'subnet-1,subnet-2' };

/** What the stack of deploy/valkey.yaml gives to the worker, but for a value that prod has already. */
function fromValkey(): Record<string, string> {
  const { ValkeyCluster, ValkeyEndpoint, ...outputs } = stackOf(templateOf('valkey'), network).outputs as Record<string, string>;
  return { ...outputs, SubnetIds: network.SubnetIds };
}

describe('a set of stacks', () => {
  const worker = templateOf('default');

  it('connects Valkey to the worker by outputs that are parameters', () => {
    const { ValkeyEndpoint, ...outputs } = stackOf(templateOf('valkey'), network).outputs as Record<string, string>;
    for (const [name, value] of Object.entries(outputs)) {
      const parameter = worker.Parameters[name];
      if (name !== 'SecurityGroupIds') expect([name, parameter && isAllowed(parameter, value)]).toEqual([name, true]);
    }
    const { complaints, resources } = stackOf(worker, { CacheBackend: 'valkey', ...outputs, SubnetIds: network.SubnetIds });
    expect(complaints).toEqual([]);
    for (const name of ['SyncFunction', 'RedriveFunction']) {
      const properties = resources[name]?.Properties as Properties;
      expect(environmentOf(properties)).toMatchObject({
        CACHE_URL: 'valkeys://valkey-cache.endpoint.address:6379',
        CACHE_CLUSTER: 'true',
        CACHE_IAM_USER: 'valkey-user',
        CACHE_IAM_CACHE_NAME: 'valkey-cache',
        CACHE_IAM_SERVERLESS: 'true',
      });
      expect(properties.VpcConfig).toEqual({ SubnetIds: ['subnet-1', 'subnet-2'], SecurityGroupIds: ['function-security-group.group-id'] });
    }
  });

  it('connects the worker to the shop by table and alarm topic', () => {
    const { TableName, AlarmEmailTopicArn } = stackOf(worker, { AlarmEmail: 'on-call@shop.example' }).outputs as Record<string, string>;
    const shop = templateOf('shop');
    const answers = { TableName: String(TableName), AlarmTopicArns: String(AlarmEmailTopicArn) };
    for (const [name, value] of Object.entries(answers)) {
      const parameter = shop.Parameters[name];
      expect([name, parameter && isAllowed(parameter, value)]).toEqual([name, true]);
    }
  });

  it('declares each resource in one template', () => {
    const names = templates.flatMap(({ template }) => Object.keys(template.Resources));
    expect(new Set(names).size).toBe(names.length);
  });
});
