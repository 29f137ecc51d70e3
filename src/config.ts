import * as z from 'zod/mini';
import { ConfigurationError } from './errors.ts';

const milliseconds = (fallback: number) => z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(900_000)), fallback);
const DAY_SECONDS = 86_400;

const environment = z.object({
  CACHE_BACKEND: z._default(z.enum(['memory', 'valkey']), 'memory'),
  CACHE_URL: z.optional(z.string()),
  CACHE_CLUSTER: z._default(z.enum(['true', 'false']), 'false'),
  CACHE_NAMESPACE: z._default(z.string().check(z.regex(/^[\w-]+$/, 'use letters, digits, "-" and "_"')), 'millrace'),
  CACHE_ENTRY_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 0),
  CACHE_TOMBSTONE_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS)), 90_000),
  CACHE_CONNECT_TIMEOUT_MS: milliseconds(1_000),
  CACHE_COMMAND_TIMEOUT_MS: milliseconds(2_000),
  CACHE_DEADLINE_MS: milliseconds(5_000),
});

export type Config = {
  readonly namespace: string;
  /** ms; 0: entries do not end. */
  readonly entryTtlMs: number;
  /** ms; a day at least, since that is how long a stream can be replayed. */
  readonly tombstoneTtlMs: number;
  /** For one call of the cache, ms. */
  readonly deadlineMs: number;
} & (
  | { readonly backend: 'memory' }
  | {
      readonly backend: 'valkey';
      readonly url: string;
      readonly cluster: boolean;
      readonly connectTimeoutMs: number;
      readonly commandTimeoutMs: number;
    }
);

const URL_SCHEMES = ['valkey:', 'valkeys:', 'redis:', 'rediss:'];

/**
 * Reads the environment.
 *
 * @throws ConfigurationError with every fault, one a line: the variable, what is wrong and what is allowed. Values of `CACHE_URL` are not
 * shown, for they may hold a password.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  // An empty variable is an absent one: templates cannot leave a variable out.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
  const parsed = environment.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => fault(issue, given));
  const backend = given.CACHE_BACKEND;
  if (backend === 'valkey') faults.push(...urlFaults(given.CACHE_URL));
  if (parsed.success && parsed.data.CACHE_COMMAND_TIMEOUT_MS > parsed.data.CACHE_DEADLINE_MS) {
    faults.push(
      `CACHE_COMMAND_TIMEOUT_MS is ${parsed.data.CACHE_COMMAND_TIMEOUT_MS}: it must not exceed CACHE_DEADLINE_MS, which is ${parsed.data.CACHE_DEADLINE_MS}`,
    );
  }
  if (!parsed.success || faults.length > 0) throw new ConfigurationError(['the environment is wrong:', ...faults].join('\n  '));
  const { data } = parsed;
  const common = {
    namespace: data.CACHE_NAMESPACE,
    entryTtlMs: data.CACHE_ENTRY_TTL_SECONDS * 1_000,
    tombstoneTtlMs: data.CACHE_TOMBSTONE_TTL_SECONDS * 1_000,
    deadlineMs: data.CACHE_DEADLINE_MS,
  };
  switch (data.CACHE_BACKEND) {
    case 'memory':
      return { backend: 'memory', ...common };
    case 'valkey':
      return {
        backend: 'valkey',
        url: data.CACHE_URL as string,
        cluster: data.CACHE_CLUSTER === 'true',
        connectTimeoutMs: data.CACHE_CONNECT_TIMEOUT_MS,
        commandTimeoutMs: data.CACHE_COMMAND_TIMEOUT_MS,
        ...common,
      };
  }
}

function fault(issue: z.core.$ZodIssue, given: Readonly<Record<string, string | undefined>>): string {
  const name = String(issue.path[0]);
  const found = `${name} is "${given[name]}"`;
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

function urlFaults(url: string | undefined): string[] {
  const wanted = 'give valkey://HOST:PORT, or valkeys://USER:PASSWORD@HOST:PORT for TLS (redis:// and rediss:// work too)';
  if (!url) return [`CACHE_URL is absent, and CACHE_BACKEND is "valkey": ${wanted}`];
  if (!URL.canParse(url)) return [`CACHE_URL is not a URL: ${wanted}`];
  const { protocol, hostname } = new URL(url);
  return URL_SCHEMES.includes(protocol) && hostname ? [] : [`CACHE_URL has another scheme, or no host: ${wanted}`];
}
