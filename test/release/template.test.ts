import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRedriveConfig } from '../../src/config/redrive.ts';
import { parseConfig } from '../../src/config/worker.ts';
import { PARAMETER_SETS } from './sam/parameter-sets.mjs';
import {
  ALARM,
  type Answers,
  each,
  environmentOf,
  FUNCTION,
  grantsOf,
  isAllowed,
  isOn,
  isWritten,
  ofType,
  only,
  type Parameter,
  PROJECT,
  type Properties,
  readAlarm,
  readTemplate,
  type Stack,
  stackOf,
  statementsOf,
  TEMPLATES,
  unnamedGrantsOf,
} from './template.ts';

const template = readTemplate(TEMPLATES.default);

const STACKS = PARAMETER_SETS[TEMPLATES.default] as Readonly<Record<string, Answers>>;
const answersOf = (name: string) => STACKS[name] as Answers;
const [serverless, momento] = [answersOf('a serverless Valkey'), answersOf('Momento')];
const tableKey = answersOf('a table under a key of its owner').TableKeyArn as string;
const stacks: readonly { name: string; answers: Answers; stack: Stack }[] = Object.entries(STACKS).map(([name, answers]) => ({
  name,
  answers,
  stack: stackOf(template, answers),
}));
const stackWith = (name: string) => stackOf(template, answersOf(name));

describe('template.yaml', () => {
  it.each(stacks)('accepts the parameters of a stack with $name', ({ answers, stack }) => {
    expect(stack.complaints).toEqual([]);
    for (const [name, value] of Object.entries(answers)) {
      expect([name, isAllowed(template.Parameters[name] as Parameter, value)]).toEqual([name, true]);
    }
  });

  it.each([
    [{ CacheBackend: 'valkey' }, 'CacheBackend valkey needs ValkeyUrl'],
    [{ CacheBackend: 'valkey', ValkeyUrl: 'valkeys://h', ValkeyIamUserId: 'app' }, 'ValkeyIamUserId needs ValkeyIamCacheArn'],
    [{ ...serverless, SecurityGroupIds: '' }, 'SubnetIds needs SecurityGroupIds'],
    [{ ...serverless, SubnetIds: '' }, 'SecurityGroupIds needs SubnetIds'],
    [{ ...momento, MomentoCacheName: '' }, 'CacheBackend momento needs MomentoCacheName'],
    [{ ...momento, MomentoSecretArn: '' }, 'CacheBackend momento needs MomentoSecretArn, the secret with its API key'],
    [{ ...serverless, ValkeyIamUserId: '' }, 'ValkeyIamCacheArn needs ValkeyIamUserId; without IAM, leave it empty'],
    [
      { CacheBackend: 'valkey', ValkeyUrl: 'valkeys://h', ValkeyIamCacheArn: serverless.ValkeyIamCacheArn },
      'ValkeyIamCacheArn needs ValkeyIamUserId; without IAM, leave it empty',
    ],
    [{ ValkeyUrl: 'valkeys://h' }, 'ValkeyUrl needs CacheBackend valkey; with another backend, leave it empty'],
    [{ ...momento, ValkeyUrl: 'valkeys://h' }, 'ValkeyUrl needs CacheBackend valkey; with another backend, leave it empty'],
    [
      { ...momento, CacheBackend: 'memory', MomentoSecretArn: '' },
      'MomentoCacheName needs CacheBackend momento; with another backend, leave it empty',
    ],
    [{ MomentoSecretArn: momento.MomentoSecretArn }, 'MomentoSecretArn needs CacheBackend momento; with another backend, leave it empty'],
    [{ TableKeyArn: tableKey }, 'TableKeyArn needs StreamArn, because the demo table is under a key of AWS'],
  ] as [Answers, string][])('refuses %j: %s', (answers, complaint) => {
    expect(stackOf(template, answers).complaints).toEqual([complaint]);
  });

  it.each([
    ['TableKeyArn', tableKey.replace(/[^/]+$/, 'mrk-1234abcd12ab34cd56ef1234567890ab'), true],
    ['TableKeyArn', 'arn:aws:kms:eu-west-1:123456789012:alias/orders', false],
    ['ValkeyIamCacheArn', String(serverless.ValkeyIamCacheArn), true],
    ['ValkeyIamCacheArn', 'millrace-0a1b2c3d-1', false],
  ])('checks the value of %s: %s is allowed: %s', (name, value, allowed) => {
    expect(isAllowed(template.Parameters[name] as Parameter, value)).toBe(allowed);
  });
});

describe('the variables of a function', () => {
  const region = { AWS_REGION: 'eu-west-1' };

  it.each(stacks)('gives its functions variables that the configuration accepts, with $name', ({ stack }) => {
    for (const [name, properties] of ofType(stack.resources, FUNCTION)) {
      const env: Record<string, string> = { ...environmentOf(properties), ...region };
      if (name === 'RedriveFunction') expect(parseRedriveConfig(env)).toMatchObject({ readUnitsPerSecond: 500 });
      else parseConfig(env);
    }
  });

  it('configures the cache that the parameters name', () => {
    const config = (name: string) =>
      parseConfig({ ...environmentOf(only(stackWith(name).resources, 'SyncFunction').Properties), ...region });
    const letters = { kind: 's3', bucket: 'dead-letters', owner: '123456789012' };
    expect(config('no answers')).toMatchObject({ backend: 'memory', metrics: true, letters });
    expect(config('Momento')).toMatchObject({
      backend: 'momento',
      cacheName: 'shop',
      access: { kind: 'secret', secretId: momento.MomentoSecretArn },
      tombstoneTtlMs: 86_400_000,
    });
    expect(config('a Valkey elsewhere')).toMatchObject({
      backend: 'valkey',
      cluster: true,
      url: answersOf('a Valkey elsewhere').ValkeyUrl,
    });
    expect(config('a Valkey elsewhere')).not.toHaveProperty('iam');
    expect(config('a replication group')).toMatchObject({
      backend: 'valkey',
      cluster: false,
      iam: { user: 'worker', cacheName: 'shop', serverless: false, region: 'eu-west-1' },
    });
    expect(config('a serverless Valkey')).toMatchObject({
      backend: 'valkey',
      url: serverless.ValkeyUrl,
      cluster: true,
      iam: { user: 'millrace-0a1b2c3d', cacheName: 'millrace-0a1b2c3d-1', serverless: true, region: 'eu-west-1' },
      letters,
    });
  });

  it('caps the life of tombstones at what Momento allows, unless a parameter sets it', () => {
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

  it('gives the worker and the redrive the same cache, letters and network', () => {
    const { resources } = stackWith('a serverless Valkey');
    const [worker, redrive] = ['SyncFunction', 'RedriveFunction'].map((name) => only(resources, name).Properties) as [
      Properties,
      Properties,
    ];
    const shared = (properties: Properties) =>
      Object.entries(environmentOf(properties)).filter(([name]) => /^(CACHE|MOMENTO|DEAD)_/.test(name));
    expect(shared(redrive)).toEqual(shared(worker));
    for (const { VpcConfig } of [worker, redrive]) {
      expect(VpcConfig).toEqual({ SubnetIds: serverless.SubnetIds?.split(','), SecurityGroupIds: [serverless.SecurityGroupIds] });
    }
    expect(only(stackWith('no answers').resources, 'SyncFunction').Properties.VpcConfig).toBeUndefined();
  });
});

describe('a function', () => {
  const built = [TEMPLATES.default, TEMPLATES.shop, TEMPLATES.backfill, TEMPLATES.verifier].flatMap((file) =>
    Object.entries(readTemplate(file).Resources)
      .filter(([, { Type }]) => Type === FUNCTION)
      .map(([name, resource]) => ({ name, file, resource })),
  );

  it.each(built)('builds $name of $file from the file of its handler, by files that exist', ({ file, resource }) => {
    const { EntryPoints, Alias = [] } = (resource.Metadata as Properties).BuildProperties as { EntryPoints: string[]; Alias?: string[] };
    const { Handler, CodeUri } = resource.Properties;
    const [entry] = String(Handler).split('.');
    expect(EntryPoints).toEqual([`src/lambdas/${entry}.ts`]);
    const root = join(PROJECT, dirname(file), String(CodeUri));
    const files = [...EntryPoints, ...Alias.flatMap((alias) => /=\.\/(.+)$/.exec(alias)?.[1] ?? [])];
    expect(files.filter((it) => !existsSync(join(root, it)))).toEqual([]);
    expect(existsSync(join(root, 'package-lock.json'))).toBe(true);
  });

  it.each(['128', '512', '10240'])('gives the redrive the memory that a letter of 6 MB needs, with MemorySize %s', (MemorySize) => {
    const { resources } = stackOf(template, { ...momento, MemorySize });
    expect(only(resources, 'RedriveFunction').Properties.MemorySize).toBe(1_024);
    expect(only(resources, 'SyncFunction').Properties.MemorySize).toBe(MemorySize);
  });

  it('says which parameters only a new mapping or table takes', () => {
    expect(template.Parameters.StartingPosition?.Description).toContain('An update that changes only StartingPosition fails');
    expect(template.Parameters.StreamArn?.Description).toContain('deletes the demo table');
  });

  it('redrives by a schedule if the cache outlives the functions and the schedule is not empty', () => {
    const schedule = (answers: Answers) => {
      const events = stackOf(template, answers).resources.RedriveFunction?.Properties.Events as { Schedule: { Properties: Properties } };
      return events?.Schedule.Properties;
    };
    expect(schedule({})).toBeUndefined();
    expect(schedule(momento)).toMatchObject({ Schedule: 'rate(15 minutes)', State: 'ENABLED' });
    expect(schedule({ ...momento, RedriveSchedule: '' })).toMatchObject({ Schedule: 'rate(1 day)', State: 'DISABLED' });
  });

  it('retries a batch until shortly before the stream trims it, and then writes a letter', () => {
    const { resources } = stackWith('no answers');
    const { Properties: worker } = only(resources, 'SyncFunction');
    const { Properties: source } = (worker.Events as { Stream: { Properties: Properties } }).Stream;
    expect(source).toMatchObject({
      MaximumRetryAttempts: '-1',
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: { Destination: 'arn:aws:any:eu-west-1:123456789012:DeadLetters' } },
      MetricsConfig: { Metrics: ['EventCount'] },
    });
    // First the alarm, 12 hours later Lambda's letter, an hour later the end of retention.
    const [warned, setAside] = [Number(environmentOf(worker).RETENTION_WARNING_SECONDS), source.MaximumRecordAgeInSeconds];
    expect(Number(only(resources, 'RetentionAlarm').Properties.Threshold)).toBe(warned * 1_000);
    expect(Number(setAside)).toBeGreaterThanOrEqual(warned + 12 * 3_600);
    expect(Number(setAside)).toBeLessThanOrEqual(86_400 - 3_600);
  });
});

describe('a role', () => {
  it.each(stacks)('names every action and resource in its roles, with $name', ({ stack }) => {
    expect(ofType(stack.resources, 'AWS::IAM::Role').length).toBeGreaterThan(0);
    expect(unnamedGrantsOf(stack.resources)).toEqual([]);
  });

  it.each(stacks)('gives each function a role of its own, with $name', ({ stack }) => {
    const used = ofType(stack.resources, FUNCTION).map(([, { Role }]) => String(Role).split(':').at(-1));
    expect([...used].sort()).toEqual(
      ofType(stack.resources, 'AWS::IAM::Role')
        .map(([name]) => name)
        .sort(),
    );
  });

  const grants = (name: string, role: string) => grantsOf(stackWith(name).resources, role);
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

  it('allows the worker and the redrive what they do, and no more', () => {
    const sorted = (list: readonly string[]) => [...list].sort();
    const ownTable = sync.map((grant) => grant.replace('Table/StreamArn', 'table/orders/stream/2026-11-22T03:01:52.091'));
    expect(grants('no answers', 'SyncRole')).toEqual(sorted(sync));
    const made = ['elasticache:Connect serverlesscache:millrace-0a1b2c3d-1', 'elasticache:Connect user:millrace-0a1b2c3d', ...network];
    expect(grants('a serverless Valkey', 'SyncRole')).toEqual(sorted([...sync, ...made]));
    expect(grants('a serverless Valkey', 'RedriveRole')).toEqual(sorted([...redrive('Table'), ...made]));
    expect(grants('a Valkey elsewhere', 'SyncRole')).toEqual(sorted(sync));
    const there = ['elasticache:Connect replicationgroup:shop', 'elasticache:Connect user:worker', ...network];
    expect(grants('a replication group', 'SyncRole')).toEqual(sorted([...ownTable, ...there]));
    expect(grants('a replication group', 'RedriveRole')).toEqual(sorted([...redrive('table/orders'), ...there]));
    const secret = ['secretsmanager:GetSecretValue secret:momento-AbCdEf'];
    expect(grants('Momento', 'SyncRole')).toEqual(sorted([...ownTable, ...secret]));
    expect(grants('Momento', 'RedriveRole')).toEqual(sorted([...redrive('table/orders'), ...secret]));
  });

  it.each(['SyncRole', 'RedriveRole'])('lets %s decrypt the table only through DynamoDB', (role) => {
    const ofKeys = (answers: Answers = {}) =>
      statementsOf(stackOf(template, { ...answersOf('a table under a key of its owner'), ...answers }).resources, role).filter(
        ({ Action }) => each(Action).some((action) => action.startsWith('kms:')),
      );
    expect(ofKeys()).toEqual([
      {
        Effect: 'Allow',
        Action: ['kms:Decrypt', 'kms:DescribeKey'],
        Resource: tableKey,
        Condition: { StringEquals: { 'kms:ViaService': 'dynamodb.eu-west-1.amazonaws.com' } },
      },
    ]);
    expect(ofKeys({ TableKeyArn: '' })).toEqual([]);
  });

  it('allows nothing but network interfaces in subnets of other accounts', () => {
    for (const role of ['SyncRole', 'RedriveRole']) {
      const elsewhere = statementsOf(stackWith('a replication group').resources, role).filter(({ Resource }) =>
        each(Resource).some((it) => it.split(':')[4] === '*'),
      );
      expect(elsewhere).toEqual([{ Effect: 'Allow', Action: 'ec2:CreateNetworkInterface', Resource: 'arn:aws:ec2:eu-west-1:*:subnet/*' }]);
    }
  });

  it('allows access only to buckets of this account', () => {
    for (const role of ['SyncRole', 'RedriveRole']) {
      const statements = statementsOf(stackWith('a serverless Valkey').resources, role);
      for (const { Action, Condition } of statements.filter(({ Action: actions }) => each(actions).some((it) => it.startsWith('s3:')))) {
        expect([Action, Condition]).toEqual([Action, { StringEquals: { 's3:ResourceAccount': '123456789012' } }]);
      }
    }
  });
});

describe('the bucket of dead letters', () => {
  const { resources } = stackWith('no answers');
  const [bucket, policy] = [only(resources, 'DeadLetters'), only(resources, 'DeadLettersPolicy')];

  it('makes the bucket of letters private and encrypted, and refuses requests without TLS', () => {
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
        { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `${arn}/*` },
      ],
    });
  });

  it('keeps the bucket when the stack is deleted, and letters for 30 days', () => {
    for (const { DeletionPolicy, UpdateReplacePolicy } of [bucket, policy]) {
      expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(['RetainExceptOnCreate', 'Retain']);
    }
    const { Rules } = bucket.Properties.LifecycleConfiguration as { Rules: readonly Properties[] };
    expect(Rules).toEqual([expect.objectContaining({ Status: 'Enabled', ExpirationInDays: '30' })]);
  });
});

describe('an alarm', () => {
  const OF_THE_REDRIVE = ['RedriveErrorsAlarm', 'KeptLettersAlarm'];

  const TOPICS = [serverless.AlarmTopicArn, 'arn:aws:sns:eu-west-1:123456789012:alarm-topic'];

  it.each(ofType(stackWith('a serverless Valkey').resources, ALARM))(
    'notifies both topics by %s, about a metric that exists',
    (name, alarm) => {
      expect(alarm.AlarmActions).toEqual(TOPICS);
      expect(alarm.OKActions ?? alarm.AlarmActions).toEqual(alarm.AlarmActions);
      expect(alarm.TreatMissingData).toBe(OF_THE_REDRIVE.includes(name) ? 'ignore' : 'notBreaching');
      expect(String(alarm.AlarmDescription)).toMatch(/^[A-Z].{60,}\.$/);
      const { expression, metrics } = readAlarm(alarm);
      for (const { id, namespace, name: metric, dimensions } of metrics) {
        expect([metric, isWritten(namespace, metric, Object.keys(dimensions))]).toEqual([metric, true]);
        expect(expression).toContain(id);
      }
      expect(new Set(metrics.map(({ period }) => period)).size).toBe(1);
      expect(Number(alarm.Threshold)).toBeGreaterThanOrEqual(0);
      expect(alarm.DatapointsToAlarm).toBeLessThanOrEqual(Number(alarm.EvaluationPeriods));
    },
  );

  /**
   * Whether the alarm is on after each run, given the value that each run reports. An alarm of one datapoint depends on the last period that
   * has data. With "ignore", a period without data leaves the alarm as it is.
   */
  function statesAfter(name: string, hoursBetween: number, reported: readonly number[]): readonly boolean[] {
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
    return reported.map((_, i) => Number(statistic?.(...reported.slice(Math.max(0, i + 1 - inOnePeriod), i + 1))) > Number(Threshold));
  }

  it.each([0.25, 1, 6, 24, 7 * 24])('raises and ends the alarms of a redrive that runs every %d hours', (hours) => {
    for (const name of OF_THE_REDRIVE) {
      const failing = Array.from({ length: 12 }, () => 1);
      const states = statesAfter(name, hours, [0, ...failing, 0]);
      expect([name, states[0], states.at(-2), states.at(-1)]).toEqual([name, false, true, false]);
    }
  });

  it('ignores one failed run of a frequent redrive, and none of a rare one', () => {
    const on = (name: string, hours: number, reported: readonly number[]) => statesAfter(name, hours, reported).includes(true);
    expect(on('RedriveErrorsAlarm', 0.25, [0, 1, 0])).toBe(false);
    expect(on('RedriveErrorsAlarm', 0.25, [0, 1, 1, 1, 1])).toBe(true);
    expect(on('RedriveErrorsAlarm', 6, [0, 1, 0])).toBe(true);
    expect(on('KeptLettersAlarm', 0.25, [0, ...Array.from({ length: 11 }, () => 2), 0])).toBe(false);
    expect(on('KeptLettersAlarm', 0.25, [0, ...Array.from({ length: 12 }, () => 2)])).toBe(true);
    expect(on('KeptLettersAlarm', 24, [0, 2, 0])).toBe(true);
  });

  it('says in the alarms of the redrive how long they wait', () => {
    const { resources } = stackWith('Momento');
    const hours = { 3600: 'within an hour', 10800: 'within three hours' };
    for (const name of OF_THE_REDRIVE) {
      const { Period, AlarmDescription } = only(resources, name).Properties;
      expect(AlarmDescription).toContain(hours[Number(Period) as keyof typeof hours]);
    }
  });

  describe('on a stream that nobody polls', () => {
    const alarm = only(stackWith('no answers').resources, 'UnpolledStreamAlarm').Properties;
    const nothing = { written: undefined, expired: undefined, polls: undefined, invoked: undefined };
    it.each([
      ['an idle table whose stream is polled', { ...nothing, polls: 900 }, false],
      ['an idle table whose mapping is disabled', nothing, false],
      ['a table that is written while its stream is polled', { ...nothing, written: 12, polls: 900, invoked: 12 }, false],
      ['writes that change nothing, so that the polls are empty', { ...nothing, written: 12, polls: 900 }, false],
      ['a batch that is retried, so that its shard is not polled', { ...nothing, written: 12, invoked: 30 }, false],
      ['items that expire while the stream is polled', { ...nothing, expired: 3, polls: 900, invoked: 3 }, false],
      ['one write while the mapping is disabled', { ...nothing, written: 1 }, true],
      ['writes while the mapping is disabled', { ...nothing, written: 12, expired: 0 }, true],
      ['items that expire while the mapping is disabled', { ...nothing, expired: 3 }, true],
      ['writes while the mapping may not read, with zeros of other metrics', { written: 12, expired: 0, polls: 0, invoked: 0 }, true],
    ] as const)('is right about %s', (_, data, on) => {
      expect(isOn(alarm, [data])).toBe(on);
    });

    it('is off again once the stream is polled', () => {
      expect(
        isOn(alarm, [
          { ...nothing, written: 1 },
          { ...nothing, written: 1, polls: 5, invoked: 1 },
        ]),
      ).toBe(false);
    });

    it('reads the table of the stream, the mapping and the function', () => {
      const of = (name: string) =>
        Object.fromEntries(
          readAlarm(only(stackWith(name).resources, 'UnpolledStreamAlarm').Properties).metrics.map(({ id, name: metric, dimensions }) => [
            id,
            [metric, dimensions],
          ]),
        );
      const mapping = { EventSourceMappingUUID: 'sync-function-stream' };
      expect(of('no answers')).toEqual({
        written: ['ConsumedWriteCapacityUnits', { TableName: 'table' }],
        expired: ['TimeToLiveDeletedItemCount', { TableName: 'table' }],
        polls: ['PolledEventCount', mapping],
        invoked: ['Invocations', { FunctionName: 'sync-function' }],
      });
      expect(of('Momento').written).toEqual(['ConsumedWriteCapacityUnits', { TableName: 'orders' }]);
    });
  });

  it.each([0, 59, 60, 61, 300])('does not count a batching window of %d s as lag', (seconds) => {
    const { complaints, resources } = stackOf(template, { MaximumBatchingWindowInSeconds: String(seconds) });
    expect(complaints).toEqual([]);
    const alarm = only(resources, 'LagAlarm').Properties;
    const lagging = (ms: number) => isOn(alarm, Array(5).fill({ age: ms }));
    expect([lagging(seconds * 1_000), lagging((seconds + 60) * 1_000), lagging((seconds + 61) * 1_000)]).toEqual([false, false, true]);
  });

  /** Metrics of the worker that a batch leaves out when they are 0. */
  const LEFT_OUT = ['Applied', 'Stale', 'Rejected', 'Poison', 'SetAside', 'Withheld', 'Retries', 'Failed', 'LossLikely'];

  it('takes a count that is left out for 0, so that scattered failures raise no alarm', () => {
    const { resources } = stackWith('a serverless Valkey');
    const reading = ofType(resources, ALARM).filter(([, alarm]) => readAlarm(alarm).metrics.some(({ name }) => LEFT_OUT.includes(name)));
    expect(reading.map(([name]) => name).sort()).toEqual(['FailedRecordsAlarm', 'LossAlarm', 'PoisonRunAlarm', 'SetAsideAlarm']);
    for (const [, alarm] of reading) {
      const none = { count: undefined };
      expect(isOn(alarm, [{ count: 1 }, none, none, none, none, none])).toBe(false);
      expect(isOn(alarm, [none, none, { count: 1 }, { count: 1 }, { count: 1 }])).toBe(true);
    }
    const failures = only(resources, 'FailedRecordsAlarm').Properties;
    const [bad, good] = [{ count: 1 }, { count: undefined }];
    expect(isOn(failures, [bad, good, good, bad, good, good, bad])).toBe(false);
    expect(isOn(failures, [good, bad, good, bad, bad])).toBe(true);
  });

  it('makes an alarm topic for AlarmEmail, and notifies nobody without parameters', () => {
    const topic = (name: string) => stackWith(name).resources.AlarmTopic?.Properties.Subscription;
    expect(topic('a serverless Valkey')).toEqual([{ Protocol: 'email', Endpoint: serverless.AlarmEmail }]);
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

  it('arranges the dashboard in 24 columns without overlaps', () => {
    const cells = widgets.flatMap(({ x, y, width, height }) =>
      Array.from({ length: width * height }, (_, i) => [x + (i % width), y + Math.floor(i / width)] as const),
    );
    expect(new Set(cells.map(String)).size).toBe(cells.length);
    expect(Math.max(...cells.map(([x]) => x))).toBe(23);
  });

  it.each(['no answers', 'Momento'] as const)('shows every alarm on the dashboard, with %s', (name) => {
    const { resources: made } = stackWith(name);
    const shown = widgetsOf(made).flatMap(({ properties }) => properties.alarms ?? []);
    expect(shown.map((arn) => arn.split(':').at(-1)).sort()).toEqual(
      ofType(made, ALARM)
        .map(([alarm]) => alarm)
        .sort(),
    );
  });

  it('shows only metrics that exist on the dashboard', () => {
    let seen = 0;
    for (const { properties } of widgets) {
      let before: readonly unknown[] = [];
      for (const row of properties.metrics ?? []) {
        const fields = row.filter((field) => typeof field === 'string');
        if (fields.length === 0) continue;
        // "..." repeats all fields of the previous row, "." one field.
        before = fields[0] === '...' ? before : fields.map((field, i) => (field === '.' ? before[i] : field));
        const [namespace, metric, ...dimensions] = before as string[];
        const names = dimensions.filter((_, i) => i % 2 === 0);
        expect([metric, isWritten(String(namespace), String(metric), names)]).toEqual([metric, true]);
        seen += 1;
      }
    }
    expect(seen).toBeGreaterThan(15);
  });

  it('shows a count that is left out as 0', () => {
    const rows = widgets.flatMap(({ properties }) => properties.metrics ?? []) as readonly (readonly (
      | string
      | Record<string, unknown>
    )[])[];
    const options = (row: (typeof rows)[number]) => row.find((field) => typeof field === 'object') ?? {};
    const expressions = rows.flatMap((row) => (options(row) as { expression?: string }).expression ?? []);
    for (const name of ['Applied', 'Stale', 'Rejected', 'Poison', 'SetAside', 'Withheld', 'Retries', 'Failed']) {
      const { id, visible } = (rows.filter((row) => row[1] === name).map(options)[0] ?? {}) as { id?: string; visible?: boolean };
      expect([name, visible, expressions.includes(`FILL(${id}, 0)`)]).toEqual([name, false, true]);
    }
  });

  it('outputs the URL of the dashboard', () => {
    expect(outputs.DashboardUrl).toBe(
      'https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/dashboard',
    );
  });
});

describe('docs/operations.md', () => {
  const text = readFileSync(join(PROJECT, 'docs/operations.md'), 'utf8');

  it('explains every alarm of the worker and the redrive', () => {
    const rows = text.split('\n').filter((line) => /^\| \w+Alarm\b/.test(line));
    const named = rows.flatMap((row) => row.split('|')[1]?.trim().split(', ') ?? []);
    expect([...named].sort()).toEqual(
      ofType(stackWith('Momento').resources, ALARM)
        .map(([name]) => name)
        .sort(),
    );
  });

  it('has the commands that deploy and connect the stacks', () => {
    for (const environment of ['network', 'valkey', 'prod', 'shop', 'backfill', 'verifier'])
      expect(text).toContain(`sam deploy --config-env ${environment}`);
    for (const environment of ['prod', 'shop', 'backfill', 'verifier']) expect(text).toContain(`sam build --config-env ${environment}`);
    for (const file of Object.values(TEMPLATES)) expect(text).toContain(`[\`${file}\`](../${file})`);
    for (const name of ['MakeS3Endpoint', 'MakeDynamoDBEndpoint']) {
      expect(text).toContain(`\`${name}`);
      expect(readTemplate(TEMPLATES.network).Parameters).toHaveProperty(name);
    }
    expect(text).toContain('`TableKeyArn`');
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
