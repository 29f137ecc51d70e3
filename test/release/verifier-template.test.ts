import { describe, expect, it } from 'vitest';
import { parseVerifyFunctionConfig } from '../../src/config/verify.ts';
import { parseConfig } from '../../src/config/worker.ts';
import { AGES } from '../../src/verify/messages.ts';
import { PARAMETER_SETS } from './sam/parameter-sets.mjs';
import {
  ALARM,
  type Answers,
  environmentOf,
  grantsOf,
  isAllowed,
  isOn,
  isWritten,
  ofType,
  only,
  type Parameter,
  type Properties,
  readAlarm,
  readTemplate,
  stackOf,
  TEMPLATES,
  unnamedGrantsOf,
} from './template.ts';

const template = readTemplate(TEMPLATES.verifier);
const SETS = PARAMETER_SETS[TEMPLATES.verifier] as Readonly<Record<string, Answers>>;
const stacks = Object.entries(SETS).map(([name, answers]) => ({ name, answers, stack: stackOf(template, answers) }));
const stackWith = (name: string) => stackOf(template, SETS[name] as Answers);
const functionOf = (name: string) => only(stackWith(name).resources, 'VerifyFunction').Properties;

describe('deploy/verifier.yaml', () => {
  it.each(stacks)(
    'accepts the parameters of a stack with $name, and gives variables that the configuration accepts',
    ({ answers, stack }) => {
      expect(stack.complaints).toEqual([]);
      for (const [name, value] of Object.entries(answers)) {
        expect([name, isAllowed(template.Parameters[name] as Parameter, value)]).toEqual([name, true]);
      }
      const env = environmentOf(only(stack.resources, 'VerifyFunction').Properties);
      // Ref of a queue is its URL.
      expect(env.VERIFY_QUEUE_URL).toBe('checks');
      const url = 'https://sqs.eu-west-1.amazonaws.com/123456789012/checks';
      expect(parseVerifyFunctionConfig({ ...env, VERIFY_QUEUE_URL: url, AWS_REGION: 'eu-west-1' })).toMatchObject({
        tableName: 'orders',
        queueUrl: url,
        boundMs: Number(answers.BoundInSeconds ?? 60) * 1_000,
        readUnitsPerSecond: Number(answers.ReadUnitsPerSecond ?? 100),
        probeReadUnits: Number(answers.ProbeReadUnits ?? 1_000),
        cache: { backend: answers.CacheBackend, metrics: true },
      });
    },
  );

  it('has the same parameters of the cache as the worker', () => {
    const worker = readTemplate(TEMPLATES.default);
    const ofCache = Object.keys(worker.Parameters).filter((name) => /^(Cache|Valkey|Momento|Subnet|SecurityGroup)/.test(name));
    for (const name of ofCache) {
      const { AllowedPattern, MinValue, Type } = worker.Parameters[name] as Parameter;
      expect(template.Parameters[name]).toMatchObject({ Type, ...(AllowedPattern && { AllowedPattern }), ...(MinValue && { MinValue }) });
    }
  });

  it('has no null, which CloudFormation refuses', () => {
    expect(JSON.stringify(template)).not.toMatch(/:null\b/);
  });

  it.each(stacks)('names every action and resource in its roles, with $name', ({ stack }) => {
    expect(unnamedGrantsOf(stack.resources)).toEqual([]);
  });

  it('allows the function what it does, and no write of table or stream', () => {
    expect(grantsOf(stackWith('a Valkey elsewhere').resources, 'VerifyRole')).toEqual([
      'dynamodb:BatchGetItem table/orders',
      'dynamodb:DescribeTable table/orders',
      'dynamodb:Query table/orders',
      'dynamodb:Scan table/orders',
      'logs:CreateLogStream VerifyLogGroup',
      'logs:PutLogEvents VerifyLogGroup',
      'sqs:DeleteMessage Checks',
      'sqs:GetQueueAttributes Checks',
      'sqs:ReceiveMessage Checks',
      'sqs:SendMessage Checks',
    ]);
  });

  it('delays messages of the worker by the bound, and later looks by no more than SQS allows', () => {
    expect(only(stackWith('Momento').resources, 'Checks').Properties).toMatchObject({ DelaySeconds: '180', SqsManagedSseEnabled: true });
    const most = Number(template.Parameters.BoundInSeconds?.MaxValue);
    for (const [i, age] of AGES.entries()) expect((age - (AGES[i - 1] ?? 0)) * most).toBeLessThanOrEqual(900);
  });

  it('gets messages that fail again, later than an invocation takes', () => {
    const { resources } = stackWith('a Valkey elsewhere');
    const { Timeout, Events } = functionOf('a Valkey elsewhere') as { Timeout: number; Events: Record<string, { Properties: Properties }> };
    expect(Events.Checks?.Properties).toMatchObject({ FunctionResponseTypes: ['ReportBatchItemFailures'] });
    expect(Number(only(resources, 'Checks').Properties.VisibilityTimeout)).toBeGreaterThanOrEqual(6 * Timeout);
  });

  it('probes by a schedule, unless that is empty', () => {
    const schedule = (name: string) =>
      (functionOf(name) as { Events: Record<string, { Properties: Properties }> }).Events.Schedule?.Properties;
    expect(schedule('Momento')).toMatchObject({ Schedule: 'rate(15 minutes)', State: 'ENABLED', Input: '{"action": "probe"}' });
    expect(schedule('a Valkey elsewhere')).toMatchObject({ State: 'DISABLED' });
  });

  it('makes an endpoint for SQS in the subnets of the functions, which lets their security group in, only if it has the VPC', () => {
    const { resources } = stackWith('a serverless Valkey');
    const { SubnetIds, SecurityGroupIds, SqsEndpointVpcId: VpcId } = SETS['a serverless Valkey'] as Answers;
    expect(only(resources, 'SqsEndpoint').Properties).toMatchObject({ VpcId, SubnetIds: SubnetIds?.split(','), PrivateDnsEnabled: true });
    expect(only(resources, 'SqsSecurityGroup').Properties).toMatchObject({
      VpcId,
      SecurityGroupIngress: [{ FromPort: 443, SourceSecurityGroupId: SecurityGroupIds }],
    });
    expect(stackWith('Momento').resources.SqsEndpoint).toBeUndefined();
    const alone = stackOf(template, { ...SETS.Momento, SqsEndpointVpcId: 'vpc-1' });
    expect(alone.complaints).toEqual(['SqsEndpointVpcId needs SubnetIds, the subnets of the endpoint']);
  });

  it('lets a worker send to its queue, by the ARN that it outputs', () => {
    const worker = readTemplate(TEMPLATES.default);
    const sets = PARAMETER_SETS[TEMPLATES.default] as Readonly<Record<string, Answers>>;
    const { resources } = stackOf(worker, sets['a sample that is verified']);
    const config = parseConfig({ ...environmentOf(only(resources, 'SyncFunction').Properties), AWS_REGION: 'eu-west-1' });
    expect(config.sample).toEqual({
      queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/millrace-verifier-Checks-1A2B3C4D5E6F',
      oneIn: 10,
    });
    expect(grantsOf(resources, 'SyncRole')).toContain('sqs:SendMessage millrace-verifier-Checks-1A2B3C4D5E6F');
    const without = stackOf(worker, sets['a Valkey elsewhere']).resources;
    expect(parseConfig(environmentOf(only(without, 'SyncFunction').Properties)).sample).toBeUndefined();
    expect(grantsOf(without, 'SyncRole').filter((grant) => grant.startsWith('sqs'))).toEqual([]);
  });

  const { resources } = stackWith('a serverless Valkey');
  it.each(ofType(resources, ALARM))('gives %s metrics that are written', (_, alarm) => {
    for (const { namespace, name, dimensions } of readAlarm(alarm).metrics) {
      expect(isWritten(namespace, name, Object.keys(dimensions))).toBe(true);
    }
    expect(alarm.AlarmActions).toEqual(['arn:aws:sns:eu-west-1:123456789012:on-call']);
  });

  it('raises ViolationsAlarm by one violation', () => {
    const alarm = only(resources, 'ViolationsAlarm').Properties;
    expect(isOn(alarm, [{ count: undefined }])).toBe(false);
    expect(isOn(alarm, [{ count: 1 }])).toBe(true);
    expect(isOn(alarm, [{ count: 1 }, { count: undefined }])).toBe(false);
  });

  it('raises MissingEvidenceAlarm after three hours in which changes were applied and nothing was compared', () => {
    const alarm = only(resources, 'MissingEvidenceAlarm').Properties;
    const blind = { applied: 100, observations: undefined };
    expect(isOn(alarm, [blind, blind])).toBe(false);
    expect(isOn(alarm, [blind, blind, blind])).toBe(true);
    expect(isOn(alarm, [blind, blind, { applied: 100, observations: 0 }])).toBe(true);
    expect(isOn(alarm, [blind, blind, { applied: 100, observations: 1 }])).toBe(false);
    // Nothing is written at night.
    expect(isOn(alarm, [blind, blind, { applied: undefined, observations: undefined }])).toBe(false);
    expect(readAlarm(alarm).metrics.map(({ dimensions }) => dimensions.function_name)).toEqual([
      SETS['a serverless Valkey']?.SyncFunctionName,
      'verify-function',
    ]);
  });

  it('has a dashboard that is JSON and shows both alarms', () => {
    const { DashboardBody } = only(resources, 'VerifyDashboard').Properties;
    const { widgets } = JSON.parse(String(DashboardBody)) as { widgets: { type: string; properties: { alarms?: string[] } }[] };
    expect(widgets.map(({ type }) => type)).toEqual(['alarm', 'metric', 'metric', 'metric', 'log']);
    expect(widgets[0]?.properties.alarms).toHaveLength(ofType(resources, ALARM).length);
  });
});
