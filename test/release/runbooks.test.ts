import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FILLED_IN } from './sam/parameter-sets.mjs';
import { isAllowed, PROJECT, readTemplate, TEMPLATES } from './template.ts';

const text = readFileSync(join(PROJECT, 'docs/runbooks.md'), 'utf8');
const worker = readTemplate(TEMPLATES.default);
const templates = Object.values(TEMPLATES).map((file) => readTemplate(file));
const namesOf = (part: 'Parameters' | 'Outputs' | 'Resources') => new Set(templates.flatMap((it) => Object.keys(it[part] ?? {})));
/** `Name=value` in a line of its own. */
const settings = [...text.matchAll(/^ {4,}([A-Z]\w+)=(\S+)$/gm)].map(([, name = '', value = '']) => [name, value] as const);

describe('docs/runbooks.md', () => {
  it('has a runbook for each procedure', () => {
    expect([...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title)).toEqual([
      'First deployment onto a full table',
      'Rollback',
      'Rollout of a revision',
      'Resync after a loss',
      'Password rotation',
      'Two stacks on one stream',
      'Several Regions',
      'A table of another account',
      'Retries, poison and bisecting',
      'Reserved and provisioned concurrency',
    ]);
  });

  it.each(settings)('sets the parameter %s to a value that it may have', (name, value) => {
    const parameter = worker.Parameters[name];
    expect(parameter).toBeDefined();
    if (!value.startsWith('<')) expect([value, parameter && isAllowed(parameter, value.replace(/<[^>]+>/g, 'x'))]).toEqual([value, true]);
  });

  it('names parameters and alarms that exist', () => {
    const words = [...text.matchAll(/`([A-Z][A-Za-z]+)(?:=([^`]*))?`/g)].filter(([, name = '']) => /[a-z][A-Z]/.test(name));
    const ofAws = ['VersionId'];
    const unknown = words.filter(([, name = '']) => !namesOf('Parameters').has(name) && !ofAws.includes(name));
    expect(unknown.map(([, name]) => name)).toEqual([]);
    const alarms = [...text.matchAll(/\b\w+Alarm\b/g)].map(([name]) => name);
    expect(alarms.filter((name) => !namesOf('Resources').has(name))).toEqual([]);
  });

  it('takes from outputs what is an output', () => {
    const placeholders = [...text.matchAll(/<([A-Z]\w+)>/g)].map(([, name = '']) => name);
    expect(placeholders).toContain('EventSourceMappingId');
    const elsewhere = ['LatestStreamArn', 'KMSMasterKeyArn', 'VersionId', 'MomentoSecretArn'];
    expect(placeholders.filter((name) => !namesOf('Outputs').has(name) && !elsewhere.includes(name))).toEqual([]);
  });

  it('deploys environments and stacks that samconfig.toml has', () => {
    const config = readFileSync(join(PROJECT, 'samconfig.toml'), 'utf8');
    for (const [, environment = ''] of text.matchAll(/--config-env (\w+)/g)) expect(Object.keys(FILLED_IN)).toContain(environment);
    for (const [, stack] of text.matchAll(/--stack-name ([\w-]+)/g)) expect(config).toContain(`stack_name = "${stack}"`);
  });

  it('gives in the alarm on another account the metric and the dimension that the mapping has', () => {
    const alarm = JSON.stringify(worker.Resources.UnpolledStreamAlarm);
    for (const word of ['PolledEventCount', 'EventSourceMappingUUID', 'SampleCount']) {
      expect(text).toContain(word);
      expect(alarm).toContain(word);
    }
  });
});
