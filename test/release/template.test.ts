import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'iovalkey';
import { describe, expect, it } from 'vitest';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { parseRedriveConfig } from '../../src/config/redrive.ts';
import { parseShopConfig } from '../../src/config/shop.ts';
import { parseConfig } from '../../src/config/worker.ts';
import { APPLIED, type Mutation } from '../../src/mutation.ts';
import { versionOf } from '../../src/version.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../servers/valkey.ts';
import { type Answers, type Parameter, PROJECT, type Properties, type Resource, readTemplate, stackOf } from './template.ts';

const template = readTemplate();

const subnets = { SubnetIds: 'subnet-1,subnet-2' };
const madeValkey = { CacheBackend: 'valkey', MakeValkey: 'true', VpcId: 'vpc-0123456789abcdef0', ...subnets };
const ownStream = { StreamArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-22T03:01:52.091' };
const momento = {
  CacheBackend: 'momento',
  MomentoCacheName: 'shop',
  MomentoSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:momento-AbCdEf',
};
const tableKey = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const alarmed = { AlarmEmail: 'on-call@shop.example', AlarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:on-call' };
const STACKS: Readonly<Record<string, Answers>> = {
  'no answers': {},
  'a Valkey that it makes': { ...madeValkey, RouteTableIds: 'rtb-1', ...alarmed },
  'a Valkey that it makes, with readers': {
    ...madeValkey,
    ValkeyReaderUserIds: 'shop,admin',
    ValkeyReaderSecurityGroupId: 'sg-0123',
    RedriveSchedule: '',
  },
  'a Valkey elsewhere': { CacheBackend: 'valkey', ValkeyUrl: 'rediss://user:word@cache.shop.example:6380', ValkeyCluster: 'true' },
  'an ElastiCache that is there': {
    ...ownStream,
    ...subnets,
    CacheBackend: 'valkey',
    SecurityGroupIds: 'sg-0123',
    ValkeyUrl: 'valkeys://shop.cache.example:6379',
    ValkeyIamUserId: 'worker',
    ValkeyIamCacheName: 'shop',
    ValkeyIamServerless: 'false',
  },
  Momento: { ...momento, ...ownStream },
  'a table under a key of its owner': {
    ...momento,
    ...ownStream,
    TableKeyArn: tableKey,
    JwtIssuer: 'https://issuer.example',
    JwtAudience: 'shop',
  },
  'an API': { JwtIssuer: 'https://issuer.example', JwtAudience: 'shop', AllowedOrigins: 'https://shop.example', ...alarmed },
};
const stacks = Object.entries(STACKS).map(([name, answers]) => ({ name, answers, stack: stackOf(template, answers) }));
const stackWith = (name: string) => stackOf(template, STACKS[name]);

function ofType<T = Properties>(resources: Readonly<Record<string, Resource>>, type: string): readonly (readonly [string, T])[] {
  return Object.entries(resources).flatMap(([name, it]) => (it.Type === type ? [[name, it.Properties as T] as const] : []));
}

/** @throws Error when it is not made. */
function only(resources: Readonly<Record<string, Resource>>, name: string): Resource {
  const resource = resources[name];
  if (!resource) throw new Error(`${name} is not made`);
  return resource;
}

function environmentOf(properties: Properties): Record<string, string> {
  const { Variables } = properties.Environment as { Variables: Properties };
  return Object.fromEntries(Object.entries(Variables).map(([name, value]) => [name, String(value)]));
}

function isAllowed({ Type, AllowedPattern, AllowedValues, MinValue = -Infinity, MaxValue = Infinity }: Parameter, value: string): boolean {
  if (AllowedValues && !AllowedValues.map(String).includes(value)) return false;
  if (AllowedPattern && !new RegExp(AllowedPattern).test(value)) return false;
  return Type !== 'Number' || (/^-?\d+$/.test(value) && Number(value) >= MinValue && Number(value) <= MaxValue);
}

const FUNCTION = 'AWS::Serverless::Function';
const ALARM = 'AWS::CloudWatch::Alarm';

describe('a parameter', () => {
  const text = JSON.stringify([template.Rules, template.Conditions, template.Resources, template.Outputs]);
  const { ParameterGroups } = template.Metadata['AWS::CloudFormation::Interface'] as {
    ParameterGroups: readonly { readonly Parameters: readonly string[] }[];
  };

  it.each(Object.entries(template.Parameters))('%s is described, is used, and has a default that is allowed', (name, parameter) => {
    expect(parameter.Description).toMatch(/^[A-Z0-9a-z].{20,}\.$/s);
    expect(text.includes(`{"Ref":"${name}"}`) || text.includes(`\${${name}}`)).toBe(true);
    expect(isAllowed(parameter, String(parameter.Default))).toBe(true);
    expect(ParameterGroups.filter(({ Parameters }) => Parameters.includes(name))).toHaveLength(1);
  });

  it('is shown in a group only if it is there', () => {
    for (const name of ParameterGroups.flatMap(({ Parameters }) => Parameters)) expect(template.Parameters).toHaveProperty(name);
  });
});

describe('the answers to a deployment', () => {
  it.each(stacks)('$name are enough', ({ answers, stack }) => {
    expect(stack.complaints).toEqual([]);
    for (const [name, value] of Object.entries(answers)) {
      const { Type } = template.Parameters[name] as Parameter;
      const parts = Type === 'CommaDelimitedList' ? value.split(',') : [value];
      expect([name, parts.every((part) => isAllowed(template.Parameters[name] as Parameter, part))]).toEqual([name, true]);
    }
  });

  it.each([
    [{ CacheBackend: 'valkey' }, /ValkeyUrl must say where it is, or MakeValkey be true/],
    [{ CacheBackend: 'valkey', MakeValkey: 'true' }, /VpcId and SubnetIds must say where/],
    [{ ...madeValkey, SubnetIds: '' }, /VpcId and SubnetIds must say where/],
    [{ ...madeValkey, CacheBackend: 'memory' }, /CacheBackend must be valkey/],
    [{ ...madeValkey, ValkeyUrl: 'valkeys://h' }, /ValkeyUrl and ValkeyIamUserId must be empty/],
    [{ ...madeValkey, SecurityGroupIds: 'sg-1' }, /SecurityGroupIds must be empty/],
    [{ CacheBackend: 'valkey', ValkeyUrl: 'valkeys://h', ValkeyIamUserId: 'app' }, /ValkeyIamCacheName must be too/],
    [{ CacheBackend: 'valkey', ValkeyUrl: 'valkeys://h', ...subnets }, /SecurityGroupIds must be too/],
    [{ CacheBackend: 'valkey', ValkeyUrl: 'valkeys://h', SecurityGroupIds: 'sg-1' }, /SubnetIds must be too/],
    [{ ...momento, MomentoCacheName: '' }, /MomentoCacheName must be given/],
    [{ ...momento, MomentoSecretArn: '' }, /MomentoSecretArn must say where its API key is/],
    [{ RouteTableIds: 'rtb-1' }, /VpcId must be too/],
    [{ TableKeyArn: tableKey }, /StreamArn must be too/],
    [{ JwtIssuer: 'https://issuer.example' }, /JwtAudience must say for whom/],
  ] as [Answers, RegExp][])('%j are too few, or too many', (answers, complaint) => {
    expect(stackOf(template, answers).complaints).toEqual([expect.stringMatching(complaint)]);
  });

  it('in samconfig.toml lack what only their owner can know, and nothing else', () => {
    const text = readFileSync(join(PROJECT, 'samconfig.toml'), 'utf8');
    const [, block = ''] = /\[prod\.deploy\.parameters\][\s\S]*?parameter_overrides = \[([\s\S]*?)\n\]/.exec(text) ?? [];
    const given: Record<string, string> = {};
    const suggested: string[] = [];
    for (const [, comment, name = '', value = ''] of block.matchAll(/^ *(#)? *"(\w+)=([^"]*)"/gm)) {
      if (comment) suggested.push(name);
      else given[name] = value;
    }
    expect(Object.keys(given).length).toBeGreaterThan(5);
    for (const [name, value] of Object.entries(given))
      expect([name, isAllowed(template.Parameters[name] as Parameter, value)]).toEqual([name, true]);
    for (const name of suggested) expect(template.Parameters).toHaveProperty(name);
    expect(suggested).toEqual(expect.arrayContaining(['VpcId', 'SubnetIds', 'RouteTableIds', 'MakeS3Endpoint', 'MakeDynamoDBEndpoint']));
    expect(stackOf(template, given).complaints).toEqual([expect.stringMatching(/VpcId and SubnetIds must say where/)]);
    expect(stackOf(template, { ...given, VpcId: 'vpc-1', SubnetIds: 'subnet-1' }).complaints).toEqual([]);
  });
});

it('a key is named by its ARN: IAM takes no alias', () => {
  const { TableKeyArn } = template.Parameters as { TableKeyArn: Parameter };
  expect(isAllowed(TableKeyArn, tableKey.replace(/[^/]+$/, 'mrk-1234abcd12ab34cd56ef1234567890ab'))).toBe(true);
  expect(isAllowed(TableKeyArn, 'arn:aws:kms:eu-west-1:123456789012:alias/orders')).toBe(false);
});

describe('a gateway endpoint', () => {
  const made = (answers: Answers) => ofType(stackOf(template, { ...madeValkey, ...answers }).resources, 'AWS::EC2::VPCEndpoint');

  it('is made for the services that the route tables lack', () => {
    const services = (answers: Answers) => made(answers).map(([, { ServiceName }]) => String(ServiceName).split('.').at(-1));
    const tables = { RouteTableIds: 'rtb-1,rtb-2' };
    expect(services(tables)).toEqual(['s3', 'dynamodb']);
    expect(services({ ...tables, MakeS3Endpoint: 'false' })).toEqual(['dynamodb']);
    expect(services({ ...tables, MakeDynamoDBEndpoint: 'false' })).toEqual(['s3']);
    expect(services({ ...tables, MakeS3Endpoint: 'false', MakeDynamoDBEndpoint: 'false' })).toEqual([]);
    expect(services({})).toEqual([]);
  });

  it('is of the VPC, in the route tables that were named', () => {
    for (const [, endpoint] of made({ RouteTableIds: 'rtb-1,rtb-2' })) {
      expect(endpoint).toMatchObject({ VpcEndpointType: 'Gateway', VpcId: madeValkey.VpcId, RouteTableIds: ['rtb-1', 'rtb-2'] });
    }
  });
});

describe('the variables of a function', () => {
  const region = { AWS_REGION: 'eu-west-1' };

  it.each(stacks)('are what the configuration takes, with $name', ({ stack }) => {
    for (const [name, properties] of ofType(stack.resources, FUNCTION)) {
      const env: Record<string, string> = { ...environmentOf(properties), ...region };
      if (name === 'RedriveFunction') expect(parseRedriveConfig(env)).toMatchObject({ readUnitsPerSecond: 500 });
      else if (env.CACHE_BACKEND !== undefined) parseConfig(env);
      else expect([name, parseShopConfig(env).tableName]).toEqual([name, expect.stringMatching(/^(orders|table)$/)]);
    }
  });

  it('choose the cache that was asked for', () => {
    const config = (name: string) =>
      parseConfig({ ...environmentOf(only(stackWith(name).resources, 'SyncFunction').Properties), ...region });
    const letters = { kind: 's3', bucket: 'dead-letters', owner: '123456789012' };
    const iam = { user: 'valkey-user', cacheName: 'valkey-cache', serverless: true, region: 'eu-west-1' };
    expect(config('no answers')).toMatchObject({ backend: 'memory', metrics: true });
    expect(config('Momento')).toMatchObject({
      backend: 'momento',
      cacheName: 'shop',
      access: { kind: 'secret', secretId: momento.MomentoSecretArn },
      tombstoneTtlMs: 86_400_000,
    });
    expect(config('a Valkey elsewhere')).toMatchObject({ backend: 'valkey', cluster: true, url: STACKS['a Valkey elsewhere']?.ValkeyUrl });
    expect(config('an ElastiCache that is there')).toMatchObject({
      backend: 'valkey',
      cluster: false,
      iam: { user: 'worker', cacheName: 'shop', serverless: false, region: 'eu-west-1' },
    });
    expect(config('a Valkey that it makes')).toMatchObject({
      backend: 'valkey',
      url: 'valkeys://valkey-cache.endpoint.address:6379',
      cluster: true,
      iam,
      letters,
    });
  });

  it('let the mark of a deleted entry live as long as Momento grants, and ask for no more', () => {
    const config = (answers: Answers) => {
      const { resources } = stackOf(template, { ...momento, ...answers });
      return parseConfig({ ...environmentOf(only(resources, 'SyncFunction').Properties), ...region });
    };
    expect(config({})).toMatchObject({ tombstoneTtlMs: 86_400_000 });
    expect(config({ MomentoMaximumTtlSeconds: '604800' })).toMatchObject({ tombstoneTtlMs: 90_000_000 });
    expect(() => config({ CacheTombstoneTtlSeconds: '90001' })).toThrow(/CACHE_TOMBSTONE_TTL_SECONDS/);
    expect(() => config({ CacheEntryTtlSeconds: '90000' })).toThrow(/CACHE_ENTRY_TTL_SECONDS/);
    expect(template.Parameters.MomentoMaximumTtlSeconds?.Description).toMatch(/CacheTombstoneTtlSeconds.*CacheEntryTtlSeconds/s);
  });

  it('are those that the code reads', () => {
    const files = ['worker', 'redrive', 'shop'].map((name) => join(PROJECT, `src/config/${name}.ts`));
    const source = files.map((file) => readFileSync(file, 'utf8')).join('\n');
    const constants = new Set([...source.matchAll(/\bconst ([A-Z][A-Z_]+)\b/g)].map(([, name]) => name));
    const read = new Set(
      [...source.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bMETRICS\b/g)].map(([name]) => name).filter((name) => !constants.has(name)),
    );
    const given = new Set(
      Object.values(template.Resources).flatMap(({ Type, Properties }) =>
        Type === FUNCTION ? Object.keys(environmentOf(Properties)) : [],
      ),
    );
    const elsewhere = {
      AWS_REGION: 'Lambda sets it',
      MOMENTO_API_KEY: 'a key stays out of variables: MOMENTO_SECRET_ID',
      MOMENTO_ENDPOINT: 'the secret holds it',
      MOMENTO_LOCAL: 'for tests on one machine',
    };
    // Powertools reads its own.
    const own = [...given].filter((name) => !name.startsWith('POWERTOOLS_'));
    // What a part of the configuration reads for itself.
    const parts = readFileSync(join(PROJECT, 'src/caches/momento/access.ts'), 'utf8');
    expect(own.filter((name) => !read.has(name) && !parts.includes(name))).toEqual([]);
    expect([...read].filter((name) => !given.has(name) && !(name in elsewhere))).toEqual([]);
  });

  it('are the same for the cache and its letters in the function that applies and in the one that redrives', () => {
    const { resources } = stackWith('a Valkey that it makes');
    const [worker, redrive] = ['SyncFunction', 'RedriveFunction'].map((name) => only(resources, name).Properties) as [
      Properties,
      Properties,
    ];
    const shared = (properties: Properties) =>
      Object.entries(environmentOf(properties)).filter(([name]) => /^(CACHE|MOMENTO|DEAD)_/.test(name));
    expect(shared(redrive)).toEqual(shared(worker));
    expect(redrive.VpcConfig).toEqual(worker.VpcConfig);
  });
});

describe('a function', () => {
  it.each(ofType(template.Resources, FUNCTION))(
    '%s is built from the file that its handler is in, by files that are there',
    (name, properties) => {
      const { EntryPoints, Alias = [] } = (only(template.Resources, name).Metadata as Properties).BuildProperties as {
        EntryPoints: string[];
        Alias?: string[];
      };
      expect(EntryPoints).toEqual([`src/handlers/${String(properties.Handler).split('.')[0]}.ts`]);
      const files = [...EntryPoints, ...Alias.flatMap((alias) => /=\.\/(.+)$/.exec(alias)?.[1] ?? [])];
      expect(files.filter((file) => !existsSync(join(PROJECT, file)))).toEqual([]);
    },
  );

  it('that redrives is there for a cache that outlives it, and runs by itself unless told not to', () => {
    const schedule = (answers: Answers) => {
      const events = stackOf(template, answers).resources.RedriveFunction?.Properties.Events as { Schedule: { Properties: Properties } };
      return events?.Schedule.Properties;
    };
    expect(schedule({})).toBeUndefined();
    expect(schedule(momento)).toMatchObject({ Schedule: 'rate(15 minutes)', State: 'ENABLED' });
    expect(schedule({ ...momento, RedriveSchedule: '' })).toMatchObject({ Schedule: 'rate(1 day)', State: 'DISABLED' });
  });

  it('that a stream calls gives no record up while another try can help, and keeps those that it gives up', () => {
    const { resources } = stackWith('no answers');
    const { Properties: worker } = only(resources, 'SyncFunction');
    const { Properties: source } = (worker.Events as { Stream: { Properties: Properties } }).Stream;
    expect(source).toMatchObject({
      MaximumRetryAttempts: '-1',
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: { Destination: 'arn:aws:any:eu-west-1:123456789012:DeadLetters' } },
      MetricsConfig: { Metrics: ['EventCount'] },
    });
    // Between the first alarm and the loss of a record lie: hours to act, Lambda's letter, the end of retention.
    const [warned, parked] = [Number(environmentOf(worker).RETENTION_WARNING_SECONDS), source.MaximumRecordAgeInSeconds];
    expect(Number(only(resources, 'RetentionAlarm').Properties.Threshold)).toBe(warned * 1_000);
    expect(Number(parked)).toBeGreaterThanOrEqual(warned + 12 * 3_600);
    expect(Number(parked)).toBeLessThanOrEqual(86_400 - 3_600);
  });
});

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: unknown;
}

function statementsOf({ Policies }: Properties): readonly Statement[] {
  return (Policies as { PolicyDocument: { Statement: readonly Statement[] } }[]).flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
}

const each = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);

describe('a role', () => {
  /** They take nothing but the asterisk. */
  const WITHOUT_RESOURCE = ['dynamodb:ListStreams', 'ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets'];
  /** A subnet that another account shares is that account's. */
  const OF_ANY_ACCOUNT = ['ec2:CreateNetworkInterface arn:aws:ec2:eu-west-1:*:subnet/*'];

  it.each(stacks)('allows actions by name on resources by name, with $name', ({ stack }) => {
    const roles = ofType(stack.resources, 'AWS::IAM::Role');
    expect(roles.length).toBeGreaterThan(0);
    for (const { Effect, Action, Resource } of roles.flatMap(([, role]) => statementsOf(role))) {
      if (Effect === 'Deny') continue;
      for (const action of each(Action)) {
        expect(action).toMatch(/^[a-z0-9]+:[A-Z][A-Za-z]+$/);
        for (const resource of each(Resource)) {
          if (WITHOUT_RESOURCE.includes(action)) expect(resource).toBe('*');
          else if (!OF_ANY_ACCOUNT.includes(`${action} ${resource}`))
            expect([action, resource]).toEqual([
              action,
              expect.stringMatching(/^arn:aws:[a-z0-9]+:eu-west-1:123456789012:.*[A-Za-z0-9*]$/),
            ]);
        }
      }
    }
  });

  it.each(stacks)('is used by one function, with $name', ({ stack }) => {
    const used = ofType(stack.resources, FUNCTION).map(([, { Role }]) => String(Role).split(':').at(-1));
    expect([...used].sort()).toEqual(
      ofType(stack.resources, 'AWS::IAM::Role')
        .map(([name]) => name)
        .sort(),
    );
  });

  /** Action and the end of the resource's ARN. */
  const grants = (name: string, role: string): readonly string[] =>
    statementsOf(only(stackWith(name).resources, role).Properties)
      .filter(({ Effect }) => Effect === 'Allow')
      .flatMap(({ Action, Resource }) =>
        each(Action).flatMap((action) => each(Resource).map((it) => `${action} ${it.split(':').slice(5).join(':') || it}`)),
      )
      .sort();
  const sync = [
    'dynamodb:DescribeStream Table/StreamArn',
    'dynamodb:GetRecords Table/StreamArn',
    'dynamodb:GetShardIterator Table/StreamArn',
    'dynamodb:ListStreams *',
    'logs:CreateLogStream SyncLogGroup',
    'logs:PutLogEvents SyncLogGroup',
    's3:ListBucket DeadLetters',
    's3:PutObject DeadLetters/*',
  ];
  const redrive = (table: string) => [
    `dynamodb:BatchGetItem ${table}`,
    'logs:CreateLogStream RedriveLogGroup',
    'logs:PutLogEvents RedriveLogGroup',
    's3:DeleteObject DeadLetters/*',
    's3:GetObject DeadLetters/*',
    's3:ListBucket DeadLetters',
    's3:PutObject DeadLetters/*',
  ];
  const network = ['AssignPrivateIpAddresses', 'CreateNetworkInterface', 'DeleteNetworkInterface', 'UnassignPrivateIpAddresses']
    .map((action) => `ec2:${action} */*`)
    .concat(['ec2:CreateNetworkInterface subnet/*', 'ec2:DescribeNetworkInterfaces *', 'ec2:DescribeSubnets *']);

  it('allows what the worker and the redrive do, and no more', () => {
    const sorted = (list: readonly string[]) => [...list].sort();
    const ownTable = sync.map((grant) => grant.replace('Table/StreamArn', 'table/orders/stream/2026-11-22T03:01:52.091'));
    expect(grants('no answers', 'SyncRole')).toEqual(sorted(sync));
    const made = ['elasticache:Connect ValkeyCache', 'elasticache:Connect ValkeyUser', ...network];
    expect(grants('a Valkey that it makes', 'SyncRole')).toEqual(sorted([...sync, ...made]));
    expect(grants('a Valkey that it makes', 'RedriveRole')).toEqual(sorted([...redrive('Table'), ...made]));
    expect(grants('a Valkey elsewhere', 'SyncRole')).toEqual(sorted(sync));
    const there = ['elasticache:Connect replicationgroup:shop', 'elasticache:Connect user:worker', ...network];
    expect(grants('an ElastiCache that is there', 'SyncRole')).toEqual(sorted([...ownTable, ...there]));
    expect(grants('an ElastiCache that is there', 'RedriveRole')).toEqual(sorted([...redrive('table/orders'), ...there]));
    const secret = ['secretsmanager:GetSecretValue secret:momento-AbCdEf'];
    expect(grants('Momento', 'SyncRole')).toEqual(sorted([...ownTable, ...secret]));
    expect(grants('Momento', 'RedriveRole')).toEqual(sorted([...redrive('table/orders'), ...secret]));
  });

  it.each(['SyncRole', 'RedriveRole', 'MigrateCartRole', 'ImportOrdersRole'])(
    'lets %s decrypt the table, through DynamoDB only',
    (role) => {
      const ofKeys = (name: string, answers: Answers = {}) =>
        statementsOf(only(stackOf(template, { ...STACKS[name], ...answers }).resources, role).Properties).filter(({ Action }) =>
          each(Action).some((action) => action.startsWith('kms:')),
        );
      expect(ofKeys('a table under a key of its owner')).toEqual([
        {
          Effect: 'Allow',
          Action: ['kms:Decrypt', 'kms:DescribeKey'],
          Resource: tableKey,
          Condition: { StringEquals: { 'kms:ViaService': 'dynamodb.eu-west-1.amazonaws.com' } },
        },
      ]);
      expect(ofKeys('a table under a key of its owner', { TableKeyArn: '' })).toEqual([]);
    },
  );

  it('makes network interfaces in subnets of any account, and nothing else there', () => {
    for (const role of ['SyncRole', 'RedriveRole']) {
      const elsewhere = statementsOf(only(stackWith('an ElastiCache that is there').resources, role).Properties).filter(({ Resource }) =>
        each(Resource).some((it) => it.split(':')[4] === '*'),
      );
      expect(elsewhere).toEqual([{ Effect: 'Allow', Action: 'ec2:CreateNetworkInterface', Resource: 'arn:aws:ec2:eu-west-1:*:subnet/*' }]);
    }
  });

  it('reaches a bucket of this account only', () => {
    for (const role of ['SyncRole', 'RedriveRole']) {
      const statements = statementsOf(only(stackWith('a Valkey that it makes').resources, role).Properties);
      for (const { Action, Condition } of statements.filter(({ Action: actions }) => each(actions).some((it) => it.startsWith('s3:')))) {
        expect([Action, Condition]).toEqual([Action, { StringEquals: { 's3:ResourceAccount': '123456789012' } }]);
      }
    }
  });
});

describe('the bucket of dead letters', () => {
  const { resources } = stackWith('no answers');
  const [bucket, policy] = [only(resources, 'DeadLetters'), only(resources, 'DeadLettersPolicy')];

  it('is private, encrypted, and refuses what does not come by TLS', () => {
    expect(bucket.Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      BucketEncryption: { ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }] },
    });
    const arn = 'arn:aws:any:eu-west-1:123456789012:DeadLetters';
    expect(policy.Properties.PolicyDocument).toMatchObject({
      Statement: [
        {
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: [arn, `${arn}/*`],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    });
  });

  it('outlives the stack, and its letters the stream', () => {
    for (const { DeletionPolicy, UpdateReplacePolicy } of [bucket, policy]) {
      expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(['RetainExceptOnCreate', 'Retain']);
    }
    const { Rules } = bucket.Properties.LifecycleConfiguration as { Rules: readonly Properties[] };
    expect(Rules).toEqual([expect.objectContaining({ Status: 'Enabled', ExpirationInDays: '30' })]);
  });
});

/** The worker's own metrics, by the names under which they are written. */
function ownMetrics(): ReadonlySet<string> {
  const source = ['emf', 'redrive-emf'].map((name) => readFileSync(join(PROJECT, `src/handlers/${name}.ts`), 'utf8')).join();
  const [, counts = ''] = /const COUNTS = \[([^\]]*)\]/.exec(source) ?? [];
  return new Set([...counts.matchAll(/'(\w+)'/g), ...source.matchAll(/addMetric\('(\w+)'/g)].map(([, name = '']) => name));
}

const DIMENSIONS: Readonly<Record<string, readonly string[]>> = {
  Millrace: ['service', 'function_name'],
  'AWS/Lambda': ['FunctionName', 'EventSourceMappingUUID'],
  'AWS/ApiGateway': ['ApiId'],
};

function expectKnown(namespace: string, metric: string, dimensions: readonly string[]): void {
  if (namespace === 'Millrace') expect([...ownMetrics()]).toContain(metric);
  const known = DIMENSIONS[namespace] ?? [];
  expect([metric, dimensions.length]).toEqual([metric, namespace === 'Millrace' ? 2 : 1]);
  for (const dimension of dimensions) expect(known).toContain(dimension);
}

describe('an alarm', () => {
  const OF_THE_REDRIVE = ['RedriveErrorsAlarm', 'KeptLettersAlarm'];

  it.each(ofType(stackOf(template, { ...STACKS['an API'], ...madeValkey, ...alarmed }).resources, ALARM))(
    '%s tells whom it was asked to tell, of a metric that there is, and says what to do',
    (name, alarm) => {
      expect(alarm.AlarmActions).toEqual([alarmed.AlarmTopicArn, 'alarm-topic']);
      expect(alarm.OKActions ?? alarm.AlarmActions).toEqual(alarm.AlarmActions);
      expect(alarm.TreatMissingData).toBe(OF_THE_REDRIVE.includes(name) ? 'ignore' : 'notBreaching');
      expect(String(alarm.AlarmDescription)).toMatch(/^[A-Z].{60,}\.$/);
      const dimensions = alarm.Dimensions as { Name: string; Value: string }[];
      expectKnown(
        String(alarm.Namespace),
        String(alarm.MetricName),
        dimensions.map(({ Name }) => Name),
      );
      expect(Number(alarm.Threshold)).toBeGreaterThanOrEqual(0);
      expect(alarm.DatapointsToAlarm).toBeLessThanOrEqual(Number(alarm.EvaluationPeriods));
    },
  );

  /**
   * Whether the alarm is on after each run, with what each run tells. An alarm of one datapoint goes by its last period that has data; with
   * "ignore", the others leave it as it is.
   */
  function statesAfter(name: string, hoursBetween: number, told: readonly number[]): readonly boolean[] {
    const { Properties: alarm } = only(stackWith('Momento').resources, name);
    const { Period, Threshold, Statistic, ...rest } = alarm;
    expect(rest).toMatchObject({
      EvaluationPeriods: 1,
      DatapointsToAlarm: 1,
      ComparisonOperator: 'GreaterThanThreshold',
      TreatMissingData: 'ignore',
    });
    const statistic = { Minimum: Math.min, Maximum: Math.max, Sum: (...all: number[]) => all.reduce((a, b) => a + b) }[String(Statistic)];
    const inOnePeriod = Math.max(1, Number(Period) / 3_600 / hoursBetween);
    return told.map((_, i) => Number(statistic?.(...told.slice(Math.max(0, i + 1 - inOnePeriod), i + 1))) > Number(Threshold));
  }

  it.each([0.25, 1, 6, 24, 7 * 24])('of the redrive comes on and is over when it runs every %d hours', (hours) => {
    for (const name of OF_THE_REDRIVE) {
      const failing = Array.from({ length: 12 }, () => 1);
      const states = statesAfter(name, hours, [0, ...failing, 0]);
      expect([name, states[0], states.at(-2), states.at(-1)]).toEqual([name, false, true, false]);
    }
  });

  it('of the redrive bears a run that fails where the next comes soon, and does not where it comes late', () => {
    const on = (name: string, hours: number, told: readonly number[]) => statesAfter(name, hours, told).includes(true);
    expect(on('RedriveErrorsAlarm', 0.25, [0, 1, 0])).toBe(false);
    expect(on('RedriveErrorsAlarm', 0.25, [0, 1, 1, 1, 1])).toBe(true);
    expect(on('RedriveErrorsAlarm', 6, [0, 1, 0])).toBe(true);
    expect(on('KeptLettersAlarm', 0.25, [0, ...Array.from({ length: 11 }, () => 2), 0])).toBe(false);
    expect(on('KeptLettersAlarm', 0.25, [0, ...Array.from({ length: 12 }, () => 2)])).toBe(true);
    expect(on('KeptLettersAlarm', 24, [0, 2, 0])).toBe(true);
  });

  it('of the redrive says how long it waits', () => {
    const { resources } = stackWith('Momento');
    const hours = { 3600: 'within an hour', 10800: 'within three hours' };
    for (const name of OF_THE_REDRIVE) {
      const { Period, AlarmDescription } = only(resources, name).Properties;
      expect(AlarmDescription).toContain(hours[Number(Period) as keyof typeof hours]);
    }
  });

  it('has a topic of its own for an address, and tells nobody when nobody is named', () => {
    const topic = (name: string) => stackWith(name).resources.AlarmTopic?.Properties.Subscription;
    expect(topic('an API')).toEqual([{ Protocol: 'email', Endpoint: alarmed.AlarmEmail }]);
    expect(topic('no answers')).toBeUndefined();
    const alarms = ofType(stackWith('no answers').resources, ALARM);
    expect(alarms.length).toBeGreaterThan(9);
    for (const [, { AlarmActions }] of alarms) expect(AlarmActions).toEqual([]);
  });
});

describe('the dashboard', () => {
  interface Widget {
    readonly type: string;
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
    readonly properties: { readonly alarms?: readonly string[]; readonly metrics?: readonly (readonly unknown[])[] };
  }
  const { resources, outputs } = stackWith('no answers');
  const widgetsOf = (made: typeof resources) =>
    (JSON.parse(String(only(made, 'Dashboard').Properties.DashboardBody)) as { widgets: readonly Widget[] }).widgets;
  const widgets = widgetsOf(resources);

  it('lies in 24 columns without overlaps', () => {
    const cells = widgets.flatMap(({ x, y, width, height }) =>
      Array.from({ length: width * height }, (_, i) => [x + (i % width), y + Math.floor(i / width)] as const),
    );
    expect(new Set(cells.map(String)).size).toBe(cells.length);
    expect(Math.max(...cells.map(([x]) => x))).toBe(23);
  });

  it.each(['no answers', 'Momento'])('shows every alarm of worker and redrive, with %s', (name) => {
    const { resources: made } = stackWith(name);
    const shown = widgetsOf(made).flatMap(({ properties }) => properties.alarms ?? []);
    expect(shown.map((arn) => arn.split(':').at(-1)).sort()).toEqual(
      ofType(made, ALARM)
        .map(([alarm]) => alarm)
        .sort(),
    );
  });

  it('shows metrics that there are', () => {
    let seen = 0;
    for (const { properties } of widgets) {
      let before: readonly unknown[] = [];
      for (const row of properties.metrics ?? []) {
        const fields = row.filter((field) => typeof field === 'string');
        // "..." repeats all fields of the row before, "." one.
        before = fields[0] === '...' ? before : fields.map((field, i) => (field === '.' ? before[i] : field));
        const [namespace, metric, ...dimensions] = before as string[];
        expectKnown(
          String(namespace),
          String(metric),
          dimensions.filter((_, i) => i % 2 === 0),
        );
        seen += 1;
      }
    }
    expect(seen).toBeGreaterThan(15);
  });

  it('is where the output says', () => {
    expect(outputs.DashboardUrl).toBe(
      'https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/dashboard',
    );
  });
});

describe('a Valkey that the stack makes', () => {
  const { resources } = stackWith('a Valkey that it makes');

  it('has names that ElastiCache takes as they are', () => {
    const { UserId, UserName } = only(resources, 'ValkeyUser').Properties;
    const names = [
      UserId,
      UserName,
      only(resources, 'ValkeyUserGroup').Properties.UserGroupId,
      only(resources, 'ValkeyCache').Properties.ServerlessCacheName,
    ];
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]{0,39}$/);
    expect(UserName).toBe(UserId);
  });

  it('lets in the functions, and readers when they are named', () => {
    const ingress = (name: string) =>
      ofType(stackWith(name).resources, 'AWS::EC2::SecurityGroupIngress').map(([, it]) => [it.GroupId, it.SourceSecurityGroupId]);
    const functions = ['valkey-security-group.group-id', 'function-security-group.group-id'];
    expect(ingress('a Valkey that it makes')).toEqual([functions]);
    expect(ingress('a Valkey that it makes, with readers')).toEqual([functions, ['valkey-security-group.group-id', 'sg-0123']]);
    const users = (name: string) => stackWith(name).resources.ValkeyUserGroup?.Properties.UserIds;
    expect(users('a Valkey that it makes')).toEqual(['valkey-user']);
    expect(users('a Valkey that it makes, with readers')).toEqual(['valkey-user', 'shop', 'admin']);
    expect(only(resources, 'SyncFunction').Properties.VpcConfig).toEqual({
      SubnetIds: ['subnet-1', 'subnet-2'],
      SecurityGroupIds: ['function-security-group.group-id'],
    });
  });

  describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('has a user', () => {
    const rights = String(only(resources, 'ValkeyUser').Properties.AccessString).split(' ');
    const version = versionOf('2026-11-22T03:01:52.091', '1');
    const put = (key: string): Mutation => ({ kind: 'document', type: 'put', key, version, json: '1' });
    const member: Mutation = { kind: 'member', type: 'put', list: 'l', member: 'm', score: 1, keep: 9, version, json: '1' };

    it('who may do all that the worker does with its keys', async () => {
      for (const cluster of [false, true]) {
        const servers = cluster ? await startCluster({ masters: 3 }) : await startValkey();
        const nodes = 'nodes' in servers ? servers.nodes : [servers];
        for (const node of nodes) {
          const admin = new Redis(node.url);
          await admin.acl('SETUSER', 'app', 'reset', ...rights, '>word');
          await admin.acl('LOG', 'RESET');
          admin.disconnect();
        }
        const cache = valkeyCache({ url: servers.url.replace('://', '://app:word@'), cluster });
        try {
          expect(await cache.apply([put('a'), put('b'), put('c'), member])).toEqual([APPLIED, APPLIED, APPLIED, APPLIED]);
          expect(await cache.getMany(['a', 'b', 'c', 'd'])).toMatchObject([
            { type: 'hit' },
            { type: 'hit' },
            { type: 'hit' },
            { type: 'miss' },
          ]);
          const document = await cache.lease({ kind: 'document', key: 'd' });
          expect(await cache.settle(document, { kind: 'document', json: '1' })).toBe('settled');
          const list = await cache.lease({ kind: 'list', list: 'l', keep: 9 });
          expect(await cache.settle(list, { kind: 'list', newest: [{ member: 'm', score: 1, json: '1' }], more: false })).toBe('settled');
          expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: true, members: [{ member: 'm' }] });
          if ('moveSlot' in servers) {
            const admin = new Redis(servers.url);
            const slot = Number(await admin.cluster('KEYSLOT', 'millrace:doc:a'));
            admin.disconnect();
            const from = await servers.ownerOf(slot);
            const to = servers.nodes.find(({ port }) => port !== from)?.port as number;
            await servers.moveSlot(slot, to, { pauseMidway: async () => void (await cache.apply([put('a')])) });
            expect(await cache.get('a')).toMatchObject({ type: 'hit' });
          }
          for (const node of nodes) {
            const admin = new Redis(node.url);
            const refused = (await admin.acl('LOG')) as unknown[];
            admin.disconnect();
            expect(refused).toEqual([]);
          }
        } finally {
          await cache.close();
          await servers.close();
        }
      }
    });

    it('who may touch no other key, and not the server', async () => {
      const server = await startValkey();
      const admin = new Redis(server.url);
      try {
        await admin.acl('SETUSER', 'app', 'reset', ...rights, '>word');
        const app = new Redis(server.url.replace('://', '://app:word@'));
        for (const [name, ...args] of [
          ['GET', 'other:doc:a'],
          ['SET', 'other:doc:a', '1'],
          ['EVAL', "return redis.call('GET', 'other:doc:a')", '0'],
          ['FLUSHALL'],
          ['KEYS', '*'],
          ['CONFIG', 'GET', '*'],
          ['ACL', 'WHOAMI'],
          ['CLIENT', 'KILL', 'TYPE', 'normal'],
          ['SHUTDOWN'],
        ] as const) {
          await expect(app.call(name, ...args), name).rejects.toThrow(/NOPERM|can't access|No permissions/);
        }
        app.disconnect();
      } finally {
        admin.disconnect();
        await server.close();
      }
    });
  });
});

describe('docs/operations.md', () => {
  const text = readFileSync(join(PROJECT, 'docs/operations.md'), 'utf8');

  it('says of every alarm of worker and redrive what it means and what to do', () => {
    const rows = text.split('\n').filter((line) => /^\| \w+Alarm\b/.test(line));
    const named = rows.flatMap((row) => row.split('|')[1]?.trim().split(', ') ?? []);
    expect([...named].sort()).toEqual(
      ofType(stackWith('Momento').resources, ALARM)
        .map(([name]) => name)
        .sort(),
    );
  });

  it('says how to follow a table and to live in a network that are there already', () => {
    for (const name of ['TableKeyArn', 'RouteTableIds', 'MakeS3Endpoint', 'MakeDynamoDBEndpoint']) {
      expect(text).toContain(`\`${name}`);
      expect(template.Parameters).toHaveProperty(name);
    }
    expect(text).toContain('aws ec2 describe-vpc-endpoints');
  });

  it('says which letter must be deleted, and how', () => {
    const [, section = ''] = text.split('\n### The letter that you must delete\n');
    expect(text).toContain('](#the-letter-that-you-must-delete)');
    expect(section).toContain('aws s3 rm s3://<DeadLettersBucketName>/<letter>');
    const source = readFileSync(join(PROJECT, 'src/plan/settlement.ts'), 'utf8');
    expect(source).toContain('the old image of');
    expect(section).toContain('`cannot project the old image of`');
  });
});
