import { describe, expect, it } from 'vitest';
import { parseBackfillFunctionConfig } from '../../src/config/backfill.ts';
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

const template = readTemplate(TEMPLATES.backfill);
const SETS = PARAMETER_SETS[TEMPLATES.backfill] as Readonly<Record<string, Answers>>;
const stacks = Object.entries(SETS).map(([name, answers]) => ({ name, answers, stack: stackOf(template, answers) }));
const stackWith = (name: string) => stackOf(template, SETS[name] as Answers);

describe('deploy/backfill.yaml', () => {
  it.each(stacks)(
    'accepts the parameters of a stack with $name, and gives variables that the configuration accepts',
    ({ answers, stack }) => {
      expect(stack.complaints).toEqual([]);
      for (const [name, value] of Object.entries(answers)) {
        expect([name, isAllowed(template.Parameters[name] as Parameter, value)]).toEqual([name, true]);
      }
      const env = environmentOf(only(stack.resources, 'BackfillFunction').Properties);
      expect(parseBackfillFunctionConfig({ ...env, AWS_REGION: 'eu-west-1' })).toMatchObject({
        tableName: 'orders',
        checkpoints: { kind: 's3', bucket: 'checkpoints', prefix: '', owner: '123456789012' },
        readUnitsPerSecond: Number(answers.ReadUnitsPerSecond ?? 500),
        segmentsAtOnce: Number(answers.SegmentsAtOnce ?? 10),
        cache: { backend: answers.CacheBackend, metrics: true },
      });
    },
  );

  it('writes letters into the bucket that it is given, else nowhere', () => {
    const letters = (name: string) => {
      const env = environmentOf(only(stackWith(name).resources, 'BackfillFunction').Properties);
      return parseBackfillFunctionConfig({ ...env, AWS_REGION: 'eu-west-1' }).cache.letters;
    };
    expect(letters('a serverless Valkey')).toMatchObject({ kind: 's3', bucket: 'orders-letters', owner: '123456789012' });
    expect(letters('Momento')).toBeUndefined();
  });

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
    // The names of buckets have neither Region nor account.
    const letters = 's3:PutObject arn:aws:s3:::orders-letters/*';
    expect(unnamedGrantsOf(stack.resources).filter((grant) => grant !== letters)).toEqual([]);
  });

  it('allows the function and the state machine what they do, and no more', () => {
    const { resources } = stackWith('a Valkey elsewhere');
    expect(grantsOf(resources, 'BackfillRole')).toEqual([
      'dynamodb:BatchGetItem table/orders',
      'dynamodb:DescribeTable table/orders',
      'dynamodb:Scan table/orders',
      'logs:CreateLogStream BackfillLogGroup',
      'logs:PutLogEvents BackfillLogGroup',
      's3:GetObject Checkpoints/*',
      's3:ListBucket Checkpoints',
      's3:PutObject Checkpoints/*',
    ]);
    expect(grantsOf(resources, 'StateMachineRole')).toEqual([
      'lambda:InvokeFunction BackfillFunction',
      'states:DescribeExecution execution:Shop-Stack-backfill/*',
      'states:DescribeExecution execution:Shop-Stack-backfill:*',
      'states:RedriveExecution execution:Shop-Stack-backfill/*',
      'states:RedriveExecution execution:Shop-Stack-backfill:*',
      'states:StartExecution stateMachine:Shop-Stack-backfill',
      'states:StopExecution execution:Shop-Stack-backfill/*',
      'states:StopExecution execution:Shop-Stack-backfill:*',
    ]);
    expect(only(resources, 'BackfillStateMachine').Properties.Name).toBe('Shop-Stack-backfill');
    const more = grantsOf(stackWith('a serverless Valkey').resources, 'BackfillRole');
    expect(more).toEqual(expect.arrayContaining(['elasticache:Connect user:millrace-0a1b2c3d', 's3:PutObject orders-letters/*']));
  });

  it('lets nobody but the function write checkpoints, and keeps them private', () => {
    const { resources } = stackWith('Momento');
    expect(only(resources, 'Checkpoints').Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    const { Statement } = only(resources, 'CheckpointsPolicy').Properties.PolicyDocument as { Statement: Properties[] };
    expect(Statement[1]).toMatchObject({
      Effect: 'Deny',
      Action: 's3:PutObject',
      Condition: { ArnNotEquals: { 'aws:PrincipalArn': 'arn:aws:any:eu-west-1:123456789012:BackfillRole' } },
    });
  });

  it.each(ofType(stackWith('a serverless Valkey').resources, ALARM))(
    'gives %s metrics that are written, and raises it by one failure',
    (_, alarm) => {
      const { metrics } = readAlarm(alarm);
      for (const { namespace, name, dimensions } of metrics) expect(isWritten(namespace, name, Object.keys(dimensions))).toBe(true);
      expect(alarm.AlarmActions).toEqual(['arn:aws:sns:eu-west-1:123456789012:on-call']);
      const quiet = Object.fromEntries(metrics.map(({ id }) => [id, undefined]));
      expect(isOn(alarm, [quiet])).toBe(false);
      for (const { id } of metrics) {
        expect(isOn(alarm, [{ ...quiet, [id]: 1 }])).toBe(true);
        expect(
          isOn(alarm, [
            { ...quiet, [id]: 1 },
            { ...quiet, [id]: 0 },
          ]),
        ).toBe(false);
      }
    },
  );
});
