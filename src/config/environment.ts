import type * as z from 'zod/mini';
import { ConfigurationError, shownValue } from '../errors.ts';

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that have a value. An empty variable counts as absent, because a template cannot leave a variable out. */
export function givenVariables(env: Environment = process.env): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
}

/**
 * The variables that have a value, those of `overrides` first. A `CACHE_BACKEND` among these chooses the cache alone: then the environment's `CACHE_…`
 * and `MOMENTO_…` variables are left out.
 */
export function chosenVariables(env: Environment | undefined, overrides: Environment): Environment {
  const choosesCache = overrides.CACHE_BACKEND !== undefined;
  const inherited = Object.entries(givenVariables(env)).filter(([name]) => !(choosesCache && /^(CACHE|MOMENTO)_/.test(name)));
  return givenVariables({ ...Object.fromEntries(inherited), ...overrides });
}

/** Parses the variables of a schema. If some are wrong, adds one fault for each to `faults` and returns undefined. */
export function parseVariables<Schema extends z.ZodMiniObject>(
  schema: Schema,
  given: Environment,
  faults: string[],
): z.output<Schema> | undefined {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  faults.push(...parsed.error.issues.map((issue) => faultOf(issue, given)));
  return undefined;
}

/** @throws ConfigurationError that lists the faults, one a line. */
export function requireNoFaults<T>(config: T | undefined, faults: readonly string[]): T {
  if (config === undefined || faults.length > 0) throw new ConfigurationError(['the environment is wrong:', ...faults].join('\n  '));
  return config;
}

/** Names the variable, its value (if it cannot be a secret), and the values that are allowed. */
function faultOf(issue: z.core.$ZodIssue, given: Environment): string {
  const name = String(issue.path[0]);
  const found = `${name} is ${shownValue(given[name] ?? '')}`;
  switch (issue.code) {
    case 'invalid_value':
      return `${found}: use ${issue.values.map(String).join(' or ')}`;
    case 'invalid_type':
      return `${found}: give a whole number`;
    case 'too_small':
      return `${found}: give ${issue.minimum} or more`;
    case 'too_big':
      return `${found}: give ${issue.maximum} or less`;
    default:
      return `${found}: ${issue.message}`;
  }
}
