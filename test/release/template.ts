import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, YAMLMap } from 'yaml';

export const PROJECT = join(import.meta.dirname, '../..');

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
  readonly Metadata: Properties;
  readonly Parameters: Readonly<Record<string, Parameter>>;
  readonly Rules: Readonly<
    Record<
      string,
      { readonly RuleCondition?: unknown; readonly Assertions: readonly { readonly Assert: unknown; readonly AssertDescription: string }[] }
    >
  >;
  readonly Conditions: Readonly<Record<string, unknown>>;
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs: Readonly<Record<string, { readonly Condition?: string; readonly Description?: string; readonly Value: unknown }>>;
}

const FUNCTIONS = 'Ref Condition GetAtt Sub If Join Select Split Equals Not And Or EachMemberEquals'.split(' ');
const longName = (name: string) => (name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`);

/** The template, with `!If` and its like in their long form, `{ 'Fn::If': … }`. */
export function readTemplate(): Template {
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
  return parse(readFileSync(join(PROJECT, 'template.yaml'), 'utf8'), { customTags });
}

/** What the stack is asked for; the other parameters have their defaults. */
export type Answers = Readonly<Record<string, string>>;

/** A template as CloudFormation sees it once the parameters are known. */
export interface Stack {
  /** Of rules that the parameters break. */
  readonly complaints: readonly string[];
  /** Of those that are made, with every function worked out. */
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

/**
 * Works out conditions, rules and functions. `Ref` of the resource DeadLetters gives `dead-letters`; `GetAtt` an ARN that ends with
 * `:DeadLetters`, or what looks like a port or a host.
 *
 * @throws Error when something is named that is not there, for want of a parameter, of a condition or of a resource.
 */
export function stackOf(template: Template, answers: Answers = {}): Stack {
  const parameter = (name: string): string | readonly string[] | undefined => {
    const { Type, Default } = template.Parameters[name] ?? { Type: '' };
    if (Type === '') return undefined;
    const value = answers[name] ?? String(Default);
    return Type === 'CommaDelimitedList' ? value.split(',') : value;
  };
  const holds = (name: string): boolean => {
    if (!Object.hasOwn(template.Conditions, name)) throw new Error(`there is no condition ${name}`);
    return work(template.Conditions[name]) === true;
  };
  const isMade = (name: string): boolean => {
    const condition = (template.Resources[name] as Resource).Condition;
    return condition === undefined || holds(condition);
  };
  const mentioned = (name: string): string => {
    // An event of a function is a resource too, as SAM makes it.
    const made = Object.keys(template.Resources).find(
      (known) => name.startsWith(known) && (name === known || hasEvent(template, known, name)),
    );
    if (made === undefined) throw new Error(`there is no ${name}`);
    if (!isMade(made)) throw new Error(`${name} is not made`);
    return name;
  };
  const ref = (name: string): unknown => PSEUDO[name] ?? parameter(name) ?? (name === 'AWS::NoValue' ? NOTHING : kebab(mentioned(name)));
  const attribute = (path: string): string => {
    const [name = '', ...rest] = path.split('.');
    mentioned(name);
    const last = rest.at(-1) ?? '';
    if (last === 'Port') return '6379';
    if (!/arn$/i.test(last)) return [name, ...rest].map(kebab).join('.');
    return `arn:aws:any:eu-west-1:123456789012:${name}${last.length > 3 ? `/${last}` : ''}`;
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
        return text.replace(/\$\{([^}]+)\}/g, (_, path: string) =>
          String(path in own ? work(own[path]) : path.includes('.') ? attribute(path) : ref(path)),
        );
      }
      case 'Fn::If': {
        const [condition, yes, no] = argument as [string, unknown, unknown];
        return work(holds(condition) ? yes : no);
      }
      case 'Fn::Join': {
        const [separator, parts] = list(argument) as [string, readonly string[]];
        return parts.join(separator);
      }
      case 'Fn::Split': {
        const [separator, text] = list(argument) as [string, string];
        return text.split(separator);
      }
      case 'Fn::Select': {
        const [index, parts] = list(argument) as [number, readonly string[]];
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
        throw new Error(`${name} is not known here`);
    }
  }

  function work(node: unknown): unknown {
    if (Array.isArray(node)) return node.map(work).filter((value) => value !== NOTHING);
    if (typeof node !== 'object' || node === null) return node;
    const entries = Object.entries(node);
    const [name, argument] = entries[0] ?? [''];
    // A policy's statement has a Condition of its own, which is a map.
    const isCall =
      entries.length === 1 && (name === 'Ref' || name.startsWith('Fn::') || (name === 'Condition' && typeof argument === 'string'));
    if (isCall) return call(name, argument);
    return Object.fromEntries(entries.flatMap(([key, value]) => [[key, work(value)] as const]).filter(([, value]) => value !== NOTHING));
  }

  const complaints = Object.values(template.Rules).flatMap(({ RuleCondition = true, Assertions }) =>
    work(RuleCondition) === true ? Assertions.flatMap((it) => (work(it.Assert) === true ? [] : it.AssertDescription)) : [],
  );
  const made = Object.entries(template.Resources).filter(([name]) => isMade(name));
  const shown = Object.entries(template.Outputs).filter(([, { Condition }]) => Condition === undefined || holds(Condition));
  return {
    complaints,
    resources: Object.fromEntries(made.map(([name, it]) => [name, { ...it, Properties: work(it.Properties ?? {}) as Properties }])),
    outputs: Object.fromEntries(shown.map(([name, { Value }]) => [name, work(Value)])),
  };
}

function kebab(name: string): string {
  return name.replace(/\B[A-Z]/g, '-$&').toLowerCase();
}

function hasEvent({ Resources }: Template, resource: string, name: string): boolean {
  return Object.hasOwn((Resources[resource]?.Properties.Events ?? {}) as object, name.slice(resource.length));
}
