/**
 * Stands in for the package `@iovalkey/commands` in the function's bundle (see Alias in template.yaml). That describes all commands there are, in
 * 20 KiB; these are the ones that this backend and the client itself send. Of each: its flags, and where in its arguments the keys are.
 */
type Command = { readonly flags: string; readonly keys?: 'first' | 'all' | 'counted' };

const COMMANDS: Readonly<Record<string, Command>> = {
  get: { flags: 'readonly fast', keys: 'first' },
  mget: { flags: 'readonly fast', keys: 'all' },
  eval: { flags: 'noscript stale skip_monitor no_mandatory_keys movablekeys', keys: 'counted' },
  evalsha: { flags: 'noscript stale skip_monitor no_mandatory_keys movablekeys', keys: 'counted' },
  script: { flags: '' },
  asking: { flags: 'fast' },
  auth: { flags: 'noscript loading stale fast no_auth allow_busy' },
  client: { flags: '' },
  cluster: { flags: '' },
  info: { flags: 'loading stale' },
  quit: { flags: 'noscript loading stale fast no_auth allow_busy' },
  readonly: { flags: 'loading stale fast' },
  readwrite: { flags: 'loading stale fast' },
  select: { flags: 'loading stale fast' },
};

export const list = Object.keys(COMMANDS);

export function exists(name: string): boolean {
  return Object.hasOwn(COMMANDS, name);
}

export function hasFlag(name: string, flag: string): boolean {
  return commandOf(name).flags.split(' ').includes(flag);
}

/** Indexes in `args` of those that are keys. */
export function getKeyIndexes(name: string, args: readonly unknown[]): number[] {
  switch (commandOf(name).keys) {
    case 'first':
      return [0];
    case 'all':
      return args.map((_, i) => i);
    case 'counted':
      return Array.from({ length: Number(args[1]) }, (_, i) => i + 2);
    case undefined:
      return [];
  }
}

function commandOf(name: string): Command {
  const command = exists(name) ? COMMANDS[name] : undefined;
  if (!command) throw new Error(`the command ${name} is not one that this bundle knows: add it to few-commands.ts`);
  return command;
}
