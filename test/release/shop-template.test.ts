import { describe, expect, it } from 'vitest';
import { parseReadConfig } from '../../src/config/read.ts';
import { parseShopConfig } from '../../src/config/shop.ts';
import { PARAMETER_SETS } from './sam/parameter-sets.mjs';
import {
  ALARM,
  type Answers,
  each,
  environmentOf,
  FUNCTION,
  grantsOf,
  isAllowed,
  isWritten,
  ofType,
  only,
  type Parameter,
  type Properties,
  readTemplate,
  sourceOf,
  stackOf,
  statementsOf,
  TEMPLATES,
  unnamedGrantsOf,
} from './template.ts';

const shop = readTemplate(TEMPLATES.shop);
const NEEDED = { TableName: 'orders', JwtIssuer: 'https://issuer.example', JwtAudience: 'shop,admin' };
const TOPICS = ['arn:aws:sns:eu-west-1:123456789012:on-call', 'arn:aws:sns:eu-west-1:123456789012:shop'];
const tableKey = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const made = (answers: Answers = {}) => stackOf(shop, { ...NEEDED, ...answers }).resources;
const ROLES = ['MigrateCartRole', 'ImportOrdersRole', 'ReadRole'];
const WRITERS = ['MigrateCartFunction', 'ImportOrdersFunction'];
const SETS = PARAMETER_SETS[TEMPLATES.shop] as Readonly<Record<string, Answers>>;
const answersOf = (name: string) => SETS[name] as Answers;
const [serverless, momento] = [answersOf('a serverless Valkey'), answersOf('Momento')];
const worker = readTemplate(TEMPLATES.default);

describe('the parameters of deploy/shop.yaml', () => {
  it.each(Object.entries(SETS))('accept a stack with %s', (_, answers) => {
    expect(stackOf(shop, answers).complaints).toEqual([]);
    for (const [name, value] of Object.entries(answers)) {
      expect([name, isAllowed(shop.Parameters[name] as Parameter, value)]).toEqual([name, true]);
    }
  });

  const ofCache = [...Object.keys(shop.Parameters).filter((name) => /^(Cache|Valkey|Momento)/.test(name)), 'SubnetIds', 'SecurityGroupIds'];

  it('describe the cache by the names, types and limits of the worker', () => {
    expect(ofCache).toEqual(Object.keys(worker.Parameters).filter((name) => ofCache.includes(name)));
    expect(ofCache).toHaveLength(13);
    for (const name of ofCache) {
      const { Description: _, ...own } = shop.Parameters[name] as Parameter;
      const { Description: __, ...ofWorker } = worker.Parameters[name] as Parameter;
      expect([name, own]).toEqual([name, ofWorker]);
    }
  });

  it('have the rules of the worker', () => {
    const { KeyHasItsTable: _, ...rules } = worker.Rules ?? {};
    expect(shop.Rules).toEqual(rules);
    expect(stackOf(shop, { ...NEEDED, CacheBackend: 'valkey' }).complaints).toEqual(['CacheBackend valkey needs ValkeyUrl']);
  });
});

describe('a function of deploy/shop.yaml', () => {
  it.each(WRITERS)('gives %s variables that the configuration accepts', (name) => {
    expect(parseShopConfig(environmentOf(only(made(), name).Properties))).toMatchObject({
      tableName: 'orders',
      idempotency: { tableName: 'idempotency-table', expiresAfterSeconds: 3_600 },
      allowedOrigins: [],
    });
  });

  const readConfig = (answers: Answers) =>
    parseReadConfig({ ...environmentOf(only(made(answers), 'ReadFunction').Properties), AWS_REGION: 'eu-west-1' });

  it.each(Object.entries(SETS))('gives ReadFunction variables that the configuration accepts, with %s', (_, answers) => {
    const { CacheBackend = 'memory' } = answers;
    expect(readConfig(answers)).toMatchObject({
      tableName: 'orders',
      adminScope: 'orders/admin',
      readUnitsPerSecond: 500,
      cache: { backend: CacheBackend, namespace: 'millrace', entryTtlMs: CacheBackend === 'memory' ? 10_000 : 0 },
    });
  });

  it.each(Object.entries(SETS).filter(([, { CacheBackend = 'memory' }]) => CacheBackend !== 'memory'))(
    'gives ReadFunction the variables of the cache that the worker has, with %s',
    (_, answers) => {
      const ofCache = (properties: Properties) =>
        Object.fromEntries(Object.entries(environmentOf(properties)).filter(([name]) => /^(CACHE|MOMENTO)_/.test(name)));
      const own = Object.fromEntries(Object.entries(answers).filter(([name]) => name in worker.Parameters));
      const sync = only(stackOf(worker, own).resources, 'SyncFunction').Properties;
      expect(ofCache(only(made(answers), 'ReadFunction').Properties)).toEqual(ofCache(sync));
      expect(only(made(answers), 'ReadFunction').Properties.VpcConfig).toEqual(sync.VpcConfig);
    },
  );

  it('puts ReadFunction alone into the network', () => {
    const networks = ofType(made(serverless), FUNCTION).map(([name, { VpcConfig }]) => [name, VpcConfig !== undefined]);
    expect(networks).toEqual([...WRITERS.map((name) => [name, false]), ['ReadFunction', true]]);
    expect(only(made(), 'ReadFunction').Properties.VpcConfig).toBeUndefined();
  });

  it('gives each function every variable that it reads, and no other', () => {
    const read = new Set(sourceOf('src/config').match(/\b(?:IDEMPOTENCY|CORS|CART)(?:_[A-Z]+)+\b/g));
    const given = (name: string) =>
      Object.keys(environmentOf(only(shop.Resources, name).Properties)).filter((variable) => !variable.startsWith('POWERTOOLS_'));
    const ofMigration = ['TABLE_NAME', ...read].sort();
    expect(read).toContain('CART_LINES_AT_ONCE');
    expect(given('MigrateCartFunction').sort()).toEqual(ofMigration);
    expect(given('ImportOrdersFunction').sort()).toEqual(ofMigration.filter((name) => !name.startsWith('CART_')));
    const ofCache = Object.keys(environmentOf(only(worker.Resources, 'SyncFunction').Properties)).filter((name) =>
      /^(CACHE|MOMENTO)_/.test(name),
    );
    const ofRead = ['TABLE_NAME', 'CORS_ALLOWED_ORIGINS', 'ADMIN_SCOPE', 'READ_UNITS_PER_SECOND', ...ofCache];
    expect(given('ReadFunction').sort()).toEqual(ofRead.sort());
  });

  it('ends each function before the API stops waiting', () => {
    for (const [, { Timeout }] of ofType(shop.Resources, FUNCTION)) expect(Timeout).toBeLessThan(30);
  });
});

describe('the API of deploy/shop.yaml', () => {
  const api = (answers: Answers = {}) => only(made(answers), 'ShopApi').Properties;

  it('requires a token on every route but that of the anonymous cart, and a scope on three', () => {
    expect(api().Auth).toMatchObject({
      DefaultAuthorizer: 'Jwt',
      Authorizers: { Jwt: { JwtConfiguration: { issuer: NEEDED.JwtIssuer, audience: ['shop', 'admin'] } } },
    });
    const routes = ofType(made(), FUNCTION).flatMap(([, { Events }]) =>
      Object.values(Events as Readonly<Record<string, { Properties: Properties }>>).map(({ Properties: { Method, Path, Auth } }) => [
        `${Method} ${Path}`,
        Auth,
      ]),
    );
    const scope = (name: string) => ({ Authorizer: 'Jwt', AuthorizationScopes: [name] });
    expect(routes).toEqual([
      ['POST /cart/migrate', undefined],
      ['POST /orders/import', scope('orders/import')],
      ['GET /orders/{id}', undefined],
      ['GET /orders', undefined],
      ['GET /cart', undefined],
      ['GET /cart/anonymous', { Authorizer: 'NONE' }],
      ['GET /admin/orders/{id}', scope('orders/admin')],
      ['GET /admin/orders', scope('orders/admin')],
    ]);
    const known = [...sourceOf('src/shop').matchAll(/'(GET \/[^']*)':/g)].map(([, name]) => name);
    expect(routes.map(([name]) => name).filter((name) => String(name).startsWith('GET '))).toEqual(known);
  });

  it('lets pages of other origins call only if AllowedOrigins names them', () => {
    expect(api().CorsConfiguration).toBeUndefined();
    const origins = ['https://shop.example', 'https://admin.example'];
    expect(api({ AllowedOrigins: origins.join(',') }).CorsConfiguration).toMatchObject({
      AllowOrigins: origins,
      AllowCredentials: true,
      AllowMethods: ['GET', 'POST'],
    });
  });
});

describe('a role of deploy/shop.yaml', () => {
  const own = ['DeleteItem', 'GetItem', 'PutItem', 'UpdateItem'].map((action) => `dynamodb:${action} IdempotencyTable`);
  const logs = (group: string) => [`logs:CreateLogStream ${group}`, `logs:PutLogEvents ${group}`];

  it('allows each function what it does, and no more', () => {
    const migration = ['DeleteItem', 'GetItem', 'Query', 'UpdateItem'].map((action) => `dynamodb:${action} table/orders`);
    expect(grantsOf(made(), 'MigrateCartRole')).toEqual([...migration, ...own, ...logs('MigrateCartLogGroup')].sort());
    expect(grantsOf(made(), 'ImportOrdersRole')).toEqual(['dynamodb:PutItem table/orders', ...own, ...logs('ImportOrdersLogGroup')].sort());
    const reads = ['BatchGetItem table/orders', 'Query table/orders', 'Query table/orders/index/byCreator'].map((it) => `dynamodb:${it}`);
    expect(grantsOf(made(), 'ReadRole')).toEqual([...reads, ...logs('ReadLogGroup')].sort());
  });

  it('lets ReadRole use the cache and the network that the parameters name', () => {
    const more = (answers: Answers) => {
      const without = grantsOf(made(), 'ReadRole');
      return grantsOf(made(answers), 'ReadRole').filter((grant) => !without.includes(grant));
    };
    expect(more(answersOf('a Valkey elsewhere'))).toEqual([]);
    expect(more(momento)).toEqual(['secretsmanager:GetSecretValue secret:momento-AbCdEf']);
    expect(more(serverless)).toEqual([
      'ec2:AssignPrivateIpAddresses */*',
      'ec2:CreateNetworkInterface */*',
      'ec2:CreateNetworkInterface subnet/*',
      'ec2:DeleteNetworkInterface */*',
      'ec2:DescribeNetworkInterfaces *',
      'ec2:DescribeSubnets *',
      'ec2:UnassignPrivateIpAddresses */*',
      'elasticache:Connect serverlesscache:millrace-0a1b2c3d-1',
      'elasticache:Connect user:millrace-0a1b2c3d',
    ]);
    const denied = statementsOf(made(serverless), 'ReadRole').filter(({ Effect }) => Effect === 'Deny');
    expect(denied.map(({ Action }) => Action)).toEqual(['ec2:*']);
  });

  it.each(ROLES)('limits %s to its own keys of the table', (role) => {
    const ofTheTable = statementsOf(made(), role).filter(({ Resource }) => each(Resource).some((it) => it.endsWith('table/orders')));
    const keys = {
      MigrateCartRole: [['cart#*', 'user#*']],
      ImportOrdersRole: [['legacy#*', 'order#*']],
      ReadRole: [['order#*'], ['cart#*', 'user#*']],
    };
    expect(ofTheTable.map(({ Condition }) => Condition)).toEqual(
      keys[role as keyof typeof keys].map((some) => ({ 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': some } })),
    );
  });

  it.each(ROLES)('lets %s decrypt the table only through DynamoDB', (role) => {
    const ofKeys = (answers: Answers) =>
      statementsOf(made(answers), role).filter(({ Action }) => each(Action).some((action) => action.startsWith('kms:')));
    expect(ofKeys({ TableKeyArn: tableKey })).toEqual([
      {
        Effect: 'Allow',
        Action: ['kms:Decrypt', 'kms:DescribeKey'],
        Resource: tableKey,
        Condition: { StringEquals: { 'kms:ViaService': 'dynamodb.eu-west-1.amazonaws.com' } },
      },
    ]);
    expect(ofKeys({})).toEqual([]);
  });

  it('names every action and resource in its roles', () => {
    for (const answers of Object.values(SETS)) expect(unnamedGrantsOf(made({ ...answers, TableKeyArn: tableKey }))).toEqual([]);
  });

  it('gives each function a role of its own', () => {
    const used = ofType(made(), FUNCTION).map(([, { Role }]) => String(Role).split(':').at(-1));
    expect(used).toEqual(ofType(made(), 'AWS::IAM::Role').map(([name]) => name));
  });
});

describe('an alarm of deploy/shop.yaml', () => {
  it.each(ofType(made({ AlarmTopicArns: TOPICS.join(',') }), ALARM))(
    'notifies all topics by %s, about a metric that exists',
    (_, alarm) => {
      expect(alarm.AlarmActions).toEqual(TOPICS);
      expect(alarm.TreatMissingData).toBe('notBreaching');
      expect(String(alarm.AlarmDescription)).toMatch(/^[A-Z].{60,}\.$/);
      const dimensions = (alarm.Dimensions as { readonly Name: string }[]).map(({ Name }) => Name);
      expect(isWritten(String(alarm.Namespace), String(alarm.MetricName), dimensions)).toBe(true);
    },
  );

  it('notifies nobody without AlarmTopicArns', () => {
    for (const [, { AlarmActions }] of ofType(made(), ALARM)) expect(AlarmActions).toBeUndefined();
  });
});
