import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { FILLED_IN, PARAMETER_SETS } from './sam/parameter-sets.mjs';
import { fill, overridesOf, suggestionsIn, uncomment } from './sam/samconfig.mjs';
import {
  environmentOf,
  FUNCTION,
  isAllowed,
  ofType,
  type Parameter,
  PROJECT,
  type Properties,
  readTemplate,
  resolvedTemplate,
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
      AWS_SAM_LOCAL: 'sam local sets it',
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

describe('a set of parameters', () => {
  const sets = Object.values(TEMPLATES).flatMap((file) =>
    Object.entries(PARAMETER_SETS[file] ?? {}).map(([name, answers]) => ({ file, name, answers })),
  );

  it.each(sets)('leaves no parameter, condition or choice open in $file, with $name', ({ file, answers }) => {
    const template = readTemplate(file);
    const text = JSON.stringify(resolvedTemplate(template, answers));
    expect(text).toContain('"Resources"');
    for (const name of Object.keys(template.Parameters)) expect([name, text.includes(`{"Ref":"${name}"}`)]).toEqual([name, false]);
    expect(text).not.toMatch(/"Fn::(If|Equals)"|"Condition":"/);
  });
});

describe('samconfig.toml', () => {
  const text = readFileSync(join(PROJECT, 'samconfig.toml'), 'utf8');
  type Section = Readonly<Record<string, { readonly parameters: Properties } | undefined>>;
  const configOf = (toml: string) => parseToml(toml) as unknown as Readonly<Record<string, Section>>;
  const parametersOf = (environment: string, command: string, toml = text) => configOf(toml)[environment]?.[command]?.parameters ?? {};
  const given = (environment: string, toml = text) =>
    overridesOf((parametersOf(environment, 'deploy', toml).parameter_overrides ?? []) as readonly string[]);
  const suggestions = suggestionsIn(text);
  const environmentOfSection = (section: string) => section.split('.')[0] as keyof typeof TEMPLATES | 'prod';
  const templateFor = (environment: string) => templateOf(environment === 'prod' ? 'default' : (environment as keyof typeof TEMPLATES));

  it('has nothing beside a value that is commented out, so that a line without its "#" is valid', () => {
    const commented = text.split('\n').filter((line) => /^ *# ?"/.test(line));
    expect(commented.length).toBeGreaterThan(20);
    expect(suggestions).toHaveLength(commented.length);
  });

  it.each(suggestions)('is valid TOML without the "#" of line $number, $name of $section', ({ number, section, name }) => {
    const environment = environmentOfSection(section);
    const toml = uncomment(text, [number]);
    expect(given(environment, toml)).toHaveProperty(name);
    expect(templateFor(environment).Parameters).toHaveProperty(name);
  });

  it('is valid TOML without any "#" before a value', () => {
    const toml = uncomment(
      text,
      suggestions.map(({ number }) => number),
    );
    for (const environment of Object.keys(FILLED_IN)) {
      const names = suggestions.filter(({ section }) => environmentOfSection(section) === environment).map(({ name }) => name);
      expect(Object.keys(given(environment, toml))).toEqual(expect.arrayContaining(names));
      for (const name of Object.keys(given(environment, toml))) expect(templateFor(environment).Parameters).toHaveProperty(name);
    }
  });

  it('has environments that the checks know, and no other', () => {
    expect(Object.keys(configOf(text)).filter((name) => name !== 'version')).toEqual(expect.arrayContaining(Object.keys(FILLED_IN)));
    expect(Object.keys(configOf(text))).toHaveLength(Object.keys(FILLED_IN).length + 1);
  });

  it.each(
    Object.entries(FILLED_IN).flatMap(([environment, sets]) =>
      Object.entries(sets).map(([name, values]) => ({ environment, name, values })),
    ),
  )('deploys $environment with $name filled in', ({ environment, values }) => {
    const template = templateFor(environment);
    const answers = given(environment, fill(text, environment, values));
    expect(answers).toMatchObject(values);
    for (const [name, value] of Object.entries(answers)) {
      expect([name, isAllowed(template.Parameters[name] as Parameter, value)]).toEqual([name, true]);
    }
    expect(stackOf(template, answers).complaints).toEqual([]);
  });

  it.each(templates)('has the environment $environment for $file, and suggests what has no default', ({ environment, file, template }) => {
    expect(parametersOf(environment, 'validate').template_file ?? 'template.yaml').toBe(file);
    const names = suggestions.filter(({ section }) => environmentOfSection(section) === environment).map(({ name }) => name);
    for (const [name, { Default }] of Object.entries(template.Parameters))
      if (Default === undefined) expect([...Object.keys(given(environment)), ...names]).toContain(name);
  });

  it('deploys the builds of the shop, the backfill and the verifier, and the other stacks of deploy/ as they are', () => {
    const fileOf = (environment: string, command: string) => parametersOf(environment, command).template_file;
    for (const environment of ['shop', 'backfill', 'verifier'] as const) {
      expect(fileOf(environment, 'build')).toBe(TEMPLATES[environment]);
      expect(fileOf(environment, 'deploy')).toBe(`${parametersOf(environment, 'build').build_dir}/template.yaml`);
    }
    for (const environment of ['network', 'valkey'] as const) expect(fileOf(environment, 'deploy')).toBe(TEMPLATES[environment]);
    for (const environment of ['default', 'prod']) expect(fileOf(environment, 'deploy')).toBeUndefined();
  });

  it('deploys the default environment without a question', () => {
    const worker = templateOf('default');
    for (const { Default } of Object.values(worker.Parameters)) expect(Default).toBeDefined();
    expect(stackOf(worker).complaints).toEqual([]);
    expect(parametersOf('default', 'deploy').confirm_changeset).toBe(false);
  });

  it('lacks in the environment prod only what the other stacks output and what its owner knows', () => {
    const worker = templateOf('default');
    expect(Object.keys(given('prod')).length).toBeGreaterThan(5);
    expect(stackOf(worker, given('prod')).complaints).toEqual(['CacheBackend valkey needs ValkeyUrl']);
    expect(stackOf(worker, given('prod', fill(text, 'prod', fromValkey()))).complaints).toEqual([]);
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
