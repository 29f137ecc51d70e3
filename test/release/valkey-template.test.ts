import { Redis } from 'iovalkey';
import { describe, expect, it } from 'vitest';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { APPLIED, type Mutation } from '../../src/mutation.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { versionOf } from '../../src/version.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../servers/valkey.ts';
import {
  ALARM,
  type Answers,
  isAllowed,
  isOn,
  ofType,
  only,
  type Parameter,
  readAlarm,
  readTemplate,
  stackOf,
  TEMPLATES,
} from './template.ts';

const valkey = readTemplate(TEMPLATES.valkey);
const VPC = { VpcId: 'vpc-0123456789abcdef0', SubnetIds: 'subnet-1,subnet-2' };
const READERS = { ValkeyReaderUserIds: 'shop,admin', ValkeyReaderSecurityGroupId: 'sg-0123' };
const made = (answers: Answers = {}) => stackOf(valkey, { ...VPC, ...answers }).resources;

describe('deploy/valkey.yaml', () => {
  it('gives names that ElastiCache accepts', () => {
    const resources = made({ CacheNameSuffix: '0123456789abcdefghij' });
    const { UserId, UserName } = only(resources, 'ValkeyUser').Properties;
    const names = [
      UserId,
      only(resources, 'ValkeyUserGroup').Properties.UserGroupId,
      only(resources, 'ValkeyCache').Properties.ServerlessCacheName,
    ];
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]{0,39}$/);
    expect(UserName).toBe(UserId);
  });

  it('renames only the cache with another suffix, so that a second cache can exist beside the first', () => {
    const [first, second] = [made(), made({ CacheNameSuffix: '2' })];
    const changed = Object.keys(first).filter((name) => JSON.stringify(first[name]) !== JSON.stringify(second[name]));
    expect(changed).toEqual(['ValkeyCache']);
    expect(only(first, 'ValkeyCache').Properties.ServerlessCacheName).toBe('millrace-0a1b2c3d-1');
    expect(only(second, 'ValkeyCache').Properties.ServerlessCacheName).toBe('millrace-0a1b2c3d-2');
    const { CacheNameSuffix } = valkey.Parameters as { CacheNameSuffix: Parameter };
    for (const suffix of ['', 'B', 'a-', '0123456789abcdefghijk'])
      expect([suffix, isAllowed(CacheNameSuffix, suffix)]).toEqual([suffix, false]);
  });

  it('keeps all resources but the alarm when the stack is deleted, and the old cache when a new one replaces it', () => {
    for (const [name, { Type, DeletionPolicy, UpdateReplacePolicy }] of Object.entries(valkey.Resources)) {
      if (Type === ALARM) continue;
      expect([name, DeletionPolicy, UpdateReplacePolicy]).toEqual([name, 'RetainExceptOnCreate', 'Retain']);
    }
  });

  it('lets the functions in', () => {
    const rules = ofType(made(), 'AWS::EC2::SecurityGroupIngress').map(([, it]) => [it.GroupId, it.SourceSecurityGroupId]);
    expect(rules).toEqual([['valkey-security-group.group-id', 'function-security-group.group-id']]);
    const { SecurityGroupEgress } = only(made(), 'FunctionSecurityGroup').Properties;
    expect(SecurityGroupEgress).toMatchObject([
      { FromPort: 6379, ToPort: 6380, DestinationSecurityGroupId: 'valkey-security-group.group-id' },
      { FromPort: 443, ToPort: 443 },
    ]);
    expect(only(made(), 'ValkeyCache').Properties).toMatchObject({
      SubnetIds: ['subnet-1', 'subnet-2'],
      SecurityGroupIds: ['valkey-security-group.group-id'],
    });
  });

  describe('the alarm of a nearly full cache', () => {
    const alarm = (answers: Answers = {}) => only(made(answers), 'NearlyFullAlarm').Properties;

    it.each([
      ['1', 0.79e9, false],
      ['1', 0.81e9, true],
      ['5', 3.9e9, false],
      ['5', 4.1e9, true],
      ['5000', 4_100e9, true],
      ['5', undefined, false],
    ] as const)('is right about a limit of %s GB with %s bytes used', (ValkeyMaximumStorageInGB, used, on) => {
      expect(isOn(alarm({ ValkeyMaximumStorageInGB }), [{ used }])).toBe(on);
    });

    it('reads the storage of this cache, and notifies the topics of the parameter', () => {
      const { metrics } = readAlarm(alarm());
      expect(metrics).toMatchObject([
        { namespace: 'AWS/ElastiCache', name: 'BytesUsedForCache', dimensions: { clusterId: 'valkey-cache' } },
      ]);
      const topics = ['arn:aws:sns:eu-west-1:123456789012:on-call', 'arn:aws:sns:eu-west-1:123456789012:shop'];
      expect(alarm({ AlarmTopicArns: topics.join(',') })).toMatchObject({ AlarmActions: topics, OKActions: topics });
      expect(alarm().AlarmActions).toBeUndefined();
    });
  });

  it('lets readers in only if parameters name them', () => {
    const ingress = (answers: Answers) => only(made(answers), 'ValkeySecurityGroup').Properties.SecurityGroupIngress;
    expect(ingress({})).toBeUndefined();
    expect(ingress(READERS)).toMatchObject([{ SourceSecurityGroupId: 'sg-0123', FromPort: 6379, ToPort: 6380 }]);
    const users = (answers: Answers) => only(made(answers), 'ValkeyUserGroup').Properties.UserIds;
    expect(users({})).toEqual(['valkey-user']);
    expect(users(READERS)).toEqual(['valkey-user', 'shop', 'admin']);
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the user of deploy/valkey.yaml', () => {
  const rights = String(only(made(), 'ValkeyUser').Properties.AccessString).split(' ');
  const version = versionOf('2026-11-22T03:01:52.091', '1');
  const put = (key: string): Mutation => ({ kind: 'document', type: 'put', key, version, json: '1' });
  const member: Mutation = { kind: 'member', type: 'put', list: 'l', member: 'm', score: 1, keep: 9, version, json: '1' };

  it('allows the worker everything that it does with its keys', async () => {
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
        const document = await leaseOn(cache, { kind: 'document', key: 'd' });
        expect(await settleOn(cache, document, { kind: 'document', json: '1' })).toBe('settled');
        const list = await leaseOn(cache, { kind: 'list', list: 'l', keep: 9 });
        expect(await settleOn(cache, list, { kind: 'list', newest: [{ member: 'm', score: 1, json: '1' }] })).toBe('settled');
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

  it('allows the worker no other key, and no command that manages the server', async () => {
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
