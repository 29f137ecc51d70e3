import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, YAMLMap } from 'yaml';
import { evaluateMath } from './metric-math.ts';

export const PROJECT = join(import.meta.dirname, '../..');
export const FUNCTION = 'AWS::Serverless::Function';
export const ALARM = 'AWS::CloudWatch::Alarm';
const STATE_MACHINE = 'AWS::Serverless::StateMachine';

export type Properties = { readonly [name: string]: unknown };

export interface Parameter {
  readonly Type: string;
  readonly Default?: unknown;
  readonly Description?: string;
  readonly AllowedPattern?: string;
  readonly AllowedValues?: readonly unknown[];
  readonly MinValue?: number;
  readonly MaxValue?: number;
}

export interface Resource {
  readonly Type: string;
  readonly Condition?: string;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
  readonly Metadata?: Properties;
  readonly Properties: Properties;
}

export interface Template {
  readonly Transform?: string;
  readonly Metadata: Properties;
  readonly Parameters: Readonly<Record<string, Parameter>>;
  readonly Rules?: Readonly<
    Record<
      string,
      { readonly RuleCondition?: unknown; readonly Assertions: readonly { readonly Assert: unknown; readonly AssertDescription: string }[] }
    >
  >;
  readonly Conditions?: Readonly<Record<string, unknown>>;
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs?: Readonly<Record<string, { readonly Condition?: string; readonly Description?: string; readonly Value: unknown }>>;
}

const FUNCTIONS = 'Ref Condition GetAtt Sub If Join Select Split Equals Not And Or EachMemberEquals'.split(' ');
const longName = (name: string) => (name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`);

/** All templates, by the environment of samconfig.toml that deploys them. */
export const TEMPLATES = {
  default: 'template.yaml',
  network: 'deploy/network.yaml',
  valkey: 'deploy/valkey.yaml',
  shop: 'deploy/shop.yaml',
  backfill: 'deploy/backfill.yaml',
  verifier: 'deploy/verifier.yaml',
} as const;

/**
 * Reads a template. Functions such as `!If` get their long form, `{ 'Fn::If': … }`, and each Lambda function gets the properties of
 * `Globals`.
 */
export function readTemplate(file: (typeof TEMPLATES)[keyof typeof TEMPLATES]): Template {
  const customTags = FUNCTIONS.flatMap((name) => [
    { tag: `!${name}`, resolve: (value: string) => ({ [longName(name)]: value }) },
    {
      tag: `!${name}`,
      collection: 'seq' as const,
      resolve(items: unknown) {
        const map = new YAMLMap();
        map.set(longName(name), items);
        return map;
      },
    },
  ]);
  const template: Template & { readonly Globals?: { readonly Function: Properties } } = parse(readFileSync(join(PROJECT, file), 'utf8'), {
    customTags,
  });
  const resources = Object.entries(template.Resources).map(([name, it]) => [
    name,
    it.Type === FUNCTION ? { ...it, Properties: merged(template.Globals?.Function ?? {}, it.Properties) } : it,
  ]);
  return { ...template, Resources: Object.fromEntries(resources) };
}

function isMap(value: unknown): value is Properties {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As SAM merges globals: maps together, and of anything else the property of the function. */
function merged(globals: Properties, own: Properties): Properties {
  const names = [...new Set([...Object.keys(globals), ...Object.keys(own)])];
  return Object.fromEntries(
    names.map((name) => {
      const [general, special] = [globals[name], own[name]];
      return [name, isMap(general) && isMap(special) ? merged(general, special) : (special ?? general)];
    }),
  );
}

/** Values of parameters. All other parameters have their defaults. */
export type Answers = Readonly<Record<string, string>>;

/** A template as CloudFormation sees it once the parameters are known. */
export interface Stack {
  /** Descriptions of the assertions that the parameters break. */
  readonly complaints: readonly string[];
  /** The resources whose condition holds, with every function evaluated. */
  readonly resources: Readonly<Record<string, Resource>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

const PSEUDO: Answers = {
  'AWS::AccountId': '123456789012',
  'AWS::Region': 'eu-west-1',
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::StackName': 'Shop-Stack',
  'AWS::StackId': 'arn:aws:cloudformation:eu-west-1:123456789012:stack/Shop-Stack/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9',
};
const NOTHING = Symbol('AWS::NoValue');

const ACCOUNT = 'eu-west-1:123456789012';
/** ARNs of resources whose real form matters. The ARN of any other resource is `arn:aws:any:eu-west-1:123456789012:DeadLetters`. */
const ARNS: Readonly<Record<string, string>> = {
  'AWS::SNS::Topic': `arn:aws:sns:${ACCOUNT}:`,
  [STATE_MACHINE]: `arn:aws:states:${ACCOUNT}:stateMachine:`,
  'AWS::ElastiCache::ServerlessCache': `arn:aws:elasticache:${ACCOUNT}:serverlesscache:`,
};
const REF_IS_ARN = ['AWS::SNS::Topic', 'AWS::IAM::ManagedPolicy', STATE_MACHINE];

/**
 * Evaluates conditions, rules and functions. `Ref` of the resource DeadLetters gives `dead-letters`, or an ARN if CloudFormation gives one.
 * `GetAtt` gives an ARN, a port or a host. With `keepsReferences`, references to resources stay as they are, and so do functions of them.
 *
 * @throws Error when a value is missing, or when the template names a parameter, condition or resource that does not exist.
 */
export function stackOf(template: Template, answers: Answers = {}, { keepsReferences = false } = {}): Stack {
  const parameter = (name: string): string | readonly string[] | undefined => {
    const declared = template.Parameters[name];
    if (declared === undefined) return undefined;
    const value = answers[name] ?? declared.Default;
    if (value === undefined) throw new Error(`${name} has no value`);
    return declared.Type === 'CommaDelimitedList' ? String(value).split(',') : String(value);
  };
  const conditions = template.Conditions ?? {};
  const holds = (name: string): boolean => {
    if (!Object.hasOwn(conditions, name)) throw new Error(`there is no condition ${name}`);
    return work(conditions[name]) === true;
  };
  const isMade = (name: string): boolean => {
    const condition = (template.Resources[name] as Resource).Condition;
    return condition === undefined || holds(condition);
  };
  const mentioned = (name: string): string => {
    // SAM makes a resource of each event of a function.
    const made = Object.keys(template.Resources).find(
      (known) => name.startsWith(known) && (name === known || hasEvent(template, known, name)),
    );
    if (made === undefined) throw new Error(`there is no ${name}`);
    if (!isMade(made)) throw new Error(`${name} is not made`);
    return name;
  };
  const typeOf = (name: string): string => template.Resources[name]?.Type ?? '';
  const arnOf = (name: string, rest = ''): string => {
    const start = ARNS[typeOf(name)];
    return start === undefined ? `arn:aws:any:${ACCOUNT}:${name}${rest}` : start + kebab(name);
  };
  const ref = (name: string): unknown => {
    if (name === 'AWS::NoValue') return NOTHING;
    const value = PSEUDO[name] ?? parameter(name);
    if (value !== undefined) return value;
    mentioned(name);
    if (keepsReferences) return { Ref: name };
    return REF_IS_ARN.includes(typeOf(name)) ? arnOf(name) : kebab(name);
  };
  const attribute = (path: string): unknown => {
    const [name = '', ...rest] = path.split('.');
    mentioned(name);
    if (keepsReferences) return { 'Fn::GetAtt': [name, rest.join('.')] };
    const last = rest.at(-1) ?? '';
    if (last === 'Port') return '6379';
    if (!/arn$/i.test(last)) return [name, ...rest].map(kebab).join('.');
    return arnOf(name, last.length > 3 ? `/${last}` : '');
  };
  const list = (argument: unknown): readonly unknown[] => work(argument) as readonly unknown[];

  function call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'Ref':
        return ref(String(argument));
      case 'Condition':
        return holds(String(argument));
      case 'Fn::GetAtt':
        return attribute(Array.isArray(argument) ? argument.join('.') : String(argument));
      case 'Fn::Sub': {
        const [text, own = {}] = Array.isArray(argument) ? (argument as [string, Properties?]) : [String(argument)];
        const kept: Record<string, unknown> = {};
        const result = text.replace(/\$\{([^}]+)\}/g, (variable, path: string) => {
          const value = path in own ? work(own[path]) : path.includes('.') ? attribute(path) : ref(path);
          if (typeof value !== 'object') return String(value);
          if (path in own) kept[path] = value;
          return variable;
        });
        return result.includes('${') ? { 'Fn::Sub': Object.keys(kept).length > 0 ? [result, kept] : result } : result;
      }
      case 'Fn::If': {
        const [condition, yes, no] = argument as [string, unknown, unknown];
        return work(holds(condition) ? yes : no);
      }
      case 'Fn::Join': {
        const [separator, parts] = list(argument) as [string, readonly string[]];
        return parts.some(isMap) ? { [name]: [separator, parts] } : parts.join(separator);
      }
      case 'Fn::Split': {
        const [separator, text] = list(argument) as [string, string];
        return isMap(text) ? { [name]: [separator, text] } : text.split(separator);
      }
      case 'Fn::Select': {
        const [index, parts] = list(argument) as [number, readonly string[]];
        if (isMap(parts)) return { [name]: [index, parts] };
        const part = parts[Number(index)];
        if (part === undefined) throw new Error(`Select finds no ${index} in ${JSON.stringify(parts)}`);
        return part;
      }
      case 'Fn::Equals': {
        const [one, other] = list(argument);
        return String(one) === String(other);
      }
      case 'Fn::Not':
        return list(argument)[0] !== true;
      case 'Fn::And':
        return list(argument).every((it) => it === true);
      case 'Fn::Or':
        return list(argument).some((it) => it === true);
      case 'Fn::EachMemberEquals': {
        const [members, value] = list(argument) as [readonly string[], string];
        return members.every((member) => member === value);
      }
      default:
        throw new Error(`${name} is not implemented`);
    }
  }

  function work(node: unknown): unknown {
    if (Array.isArray(node)) return node.map(work).filter((value) => value !== NOTHING);
    if (typeof node !== 'object' || node === null) return node;
    const entries = Object.entries(node);
    const [name, argument] = entries[0] ?? [''];
    // The Condition of a policy's statement is a map.
    const isCall =
      entries.length === 1 && (name === 'Ref' || name.startsWith('Fn::') || (name === 'Condition' && typeof argument === 'string'));
    if (isCall) return call(name, argument);
    return Object.fromEntries(entries.flatMap(([key, value]) => [[key, work(value)] as const]).filter(([, value]) => value !== NOTHING));
  }

  const complaints = Object.values(template.Rules ?? {}).flatMap(({ RuleCondition = true, Assertions }) =>
    work(RuleCondition) === true ? Assertions.flatMap((it) => (work(it.Assert) === true ? [] : it.AssertDescription)) : [],
  );
  // CloudFormation evaluates rules first, and makes nothing if one is broken.
  if (complaints.length > 0) return { complaints, resources: {}, outputs: {} };
  const made = Object.entries(template.Resources).filter(([name]) => isMade(name));
  const shown = Object.entries(template.Outputs ?? {}).filter(([, { Condition }]) => Condition === undefined || holds(Condition));
  return {
    complaints,
    resources: Object.fromEntries(made.map(([name, it]) => [name, { ...it, Properties: work(it.Properties ?? {}) as Properties }])),
    outputs: Object.fromEntries(shown.map(([name, { Value }]) => [name, work(Value)])),
  };
}

/**
 * The template with the values of all parameters and conditions in place, so that a linter sees what CloudFormation makes.
 *
 * @throws Error when the parameters break a rule.
 * @public
 */
export function resolvedTemplate(template: Template, answers: Answers = {}): Properties {
  const { complaints, resources, outputs } = stackOf(template, answers, { keepsReferences: true });
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  const withoutCondition = Object.entries(resources).map(([name, { Condition, ...resource }]) => [name, resource]);
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    ...(template.Transform !== undefined && { Transform: template.Transform }),
    Resources: Object.fromEntries(withoutCondition),
    Outputs: Object.fromEntries(Object.entries(outputs).map(([name, Value]) => [name, { Value }])),
  };
}

function kebab(name: string): string {
  return name.replace(/\B[A-Z]/g, '-$&').toLowerCase();
}

function hasEvent({ Resources }: Template, resource: string, name: string): boolean {
  return Object.hasOwn((Resources[resource]?.Properties.Events ?? {}) as object, name.slice(resource.length));
}

type Resources = Readonly<Record<string, Resource>>;

/** Name and properties of the resources of one type. */
export function ofType(resources: Resources, type: string): readonly (readonly [string, Properties])[] {
  return Object.entries(resources).flatMap(([name, it]) => (it.Type === type ? [[name, it.Properties] as const] : []));
}

/** @throws Error when the stack does not make the resource. */
export function only(resources: Resources, name: string): Resource {
  const resource = resources[name];
  if (!resource) throw new Error(`${name} is not made`);
  return resource;
}

/** Environment variables of a function. */
export function environmentOf(properties: Properties): Record<string, string> {
  const { Variables } = properties.Environment as { Variables: Properties };
  return Object.fromEntries(Object.entries(Variables).map(([name, value]) => [name, String(value)]));
}

/** Whether CloudFormation takes the value. It checks each member of a list. */
export function isAllowed(parameter: Parameter, value: string): boolean {
  const { Type, AllowedPattern, AllowedValues, MinValue = -Infinity, MaxValue = Infinity } = parameter;
  if (Type === 'CommaDelimitedList') return value.split(',').every((member) => isAllowed({ ...parameter, Type: 'String' }, member));
  if (AllowedValues && !AllowedValues.map(String).includes(value)) return false;
  if (AllowedPattern && !new RegExp(AllowedPattern).test(value)) return false;
  return Type !== 'Number' || (/^-?\d+$/.test(value) && Number(value) >= MinValue && Number(value) <= MaxValue);
}

export interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: unknown;
}

/** Statements of a role: of its own policies, and of the managed policies that it names. */
export function statementsOf(resources: Resources, role: string): readonly Statement[] {
  const { Policies, ManagedPolicyArns = [] } = only(resources, role).Properties as {
    Policies: readonly { readonly PolicyDocument: PolicyDocument }[];
    ManagedPolicyArns?: readonly string[];
  };
  const managed = ManagedPolicyArns.map(
    (arn) => only(resources, arn.split(':').at(-1) ?? '').Properties as { PolicyDocument: PolicyDocument },
  );
  return [...Policies, ...managed].flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
}

interface PolicyDocument {
  readonly Statement: readonly Statement[];
}

export const each = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);

/** What a role allows: action and the end of the resource's ARN, sorted. */
export function grantsOf(resources: Resources, role: string): readonly string[] {
  return statementsOf(resources, role)
    .filter(({ Effect }) => Effect === 'Allow')
    .flatMap(({ Action, Resource }) =>
      each(Action).flatMap((action) => each(Resource).map((it) => `${action} ${it.split(':').slice(5).join(':') || it}`)),
    )
    .sort();
}

/** IAM knows no resources for these actions. */
const WITHOUT_RESOURCE = ['dynamodb:ListStreams', 'ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets'];
/** Another account may share its subnet. */
const OF_ANY_ACCOUNT = 'ec2:CreateNetworkInterface arn:aws:ec2:eu-west-1:*:subnet/*';

/** What roles allow with a wildcard in the action, or on a resource that has no name in this account. */
export function unnamedGrantsOf(resources: Resources): readonly string[] {
  const statements = ofType(resources, 'AWS::IAM::Role').flatMap(([role]) => statementsOf(resources, role));
  return statements
    .filter(({ Effect }) => Effect !== 'Deny')
    .flatMap(({ Action, Resource }) => each(Action).flatMap((action) => each(Resource).map((resource) => [action, resource] as const)))
    .filter(([action, resource]) => {
      if (!/^[a-z0-9]+:[A-Z][A-Za-z]+$/.test(action)) return true;
      if (WITHOUT_RESOURCE.includes(action)) return resource !== '*';
      if (`${action} ${resource}` === OF_ANY_ACCOUNT) return false;
      // The owner of the table may be another account.
      return !/^arn:aws:([a-z0-9]+:eu-west-1:123456789012|dynamodb:eu-west-1:210987654321):.*[A-Za-z0-9*]$/.test(resource);
    })
    .map((grant) => grant.join(' '));
}

/** A metric that an alarm reads, by the id that its expression uses. */
export interface AlarmMetric {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly stat: string;
  readonly period: number;
}

interface MetricQuery {
  readonly Id: string;
  readonly Expression?: string;
  readonly MetricStat?: { readonly Metric: Properties; readonly Stat: string; readonly Period: number };
}

/** The expression of an alarm and the metrics in it. An alarm on one metric has the expression `value`. */
export function readAlarm(alarm: Properties): { readonly expression: string; readonly metrics: readonly AlarmMetric[] } {
  const metric = (id: string, { Namespace, MetricName, Dimensions }: Properties, stat: unknown, period: unknown): AlarmMetric => ({
    id,
    namespace: String(Namespace),
    name: String(MetricName),
    dimensions: Object.fromEntries((Dimensions as { Name: string; Value: string }[]).map(({ Name, Value }) => [Name, Value])),
    stat: String(stat),
    period: Number(period),
  });
  const queries = alarm.Metrics as readonly MetricQuery[] | undefined;
  if (!queries) return { expression: 'value', metrics: [metric('value', alarm, alarm.Statistic, alarm.Period)] };
  const expressions = queries.flatMap(({ Expression }) => Expression ?? []);
  if (expressions.length !== 1) throw new Error(`the alarm has ${expressions.length} expressions`);
  return {
    expression: String(expressions[0]),
    metrics: queries.flatMap(({ Id, MetricStat }) => (MetricStat ? metric(Id, MetricStat.Metric, MetricStat.Stat, MetricStat.Period) : [])),
  };
}

/** Whether the alarm is on after these periods, the last of which is the newest. Missing data does not breach. */
export function isOn(alarm: Properties, periods: readonly Readonly<Record<string, number | undefined>>[]): boolean {
  const { expression } = readAlarm(alarm);
  const { EvaluationPeriods, DatapointsToAlarm, Threshold, ComparisonOperator, TreatMissingData } = alarm;
  if (ComparisonOperator !== 'GreaterThanThreshold' || TreatMissingData !== 'notBreaching') throw new Error('not implemented');
  // CloudWatch evaluates the newest points that exist, and pads with missing ones.
  const values = periods.map((data) => evaluateMath(expression, data)).filter((value) => value !== undefined);
  const breaching = values.slice(-Number(EvaluationPeriods)).filter((value) => value > Number(Threshold));
  return breaching.length >= Number(DatapointsToAlarm);
}

const DIMENSIONS: Readonly<Record<string, readonly string[]>> = {
  Millrace: ['service', 'function_name'],
  'AWS/Lambda': ['FunctionName', 'EventSourceMappingUUID'],
  'AWS/ApiGateway': ['ApiId'],
  'AWS/DynamoDB': ['TableName'],
  'AWS/ElastiCache': ['clusterId'],
  'AWS/States': ['StateMachineArn'],
};

/** Whether the code or AWS writes the metric with these dimensions. Only the code's own metrics are checked by name. */
export function isWritten(namespace: string, metric: string, dimensions: readonly string[]): boolean {
  const known = DIMENSIONS[namespace] ?? [];
  const hasDimensions = dimensions.length === (namespace === 'Millrace' ? 2 : 1) && dimensions.every((it) => known.includes(it));
  return hasDimensions && (namespace !== 'Millrace' || ownMetrics().has(metric));
}

function ownMetrics(): ReadonlySet<string> {
  const source = sourceOf('src/handlers');
  const [, counts = ''] = /const COUNTS = \[([^\]]*)\]/.exec(source) ?? [];
  return new Set([...counts.matchAll(/'(\w+)'/g), ...source.matchAll(/addMetric\('(\w+)'/g)].map(([, name = '']) => name));
}

/** All files of a folder of the source, as one text. */
export function sourceOf(folder: string): string {
  const files = readdirSync(join(PROJECT, folder)).filter((name) => name.endsWith('.ts'));
  return files.map((name) => readFileSync(join(PROJECT, folder, name), 'utf8')).join('\n');
}
