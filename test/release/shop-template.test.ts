import { describe, expect, it } from 'vitest';
import { parseShopConfig } from '../../src/config/shop.ts';
import {
  ALARM,
  type Answers,
  each,
  environmentOf,
  FUNCTION,
  grantsOf,
  isWritten,
  ofType,
  only,
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
const ROLES = ['MigrateCartRole', 'ImportOrdersRole'];

describe('a function of deploy/shop.yaml', () => {
  it.each(ofType(made(), FUNCTION))('gives %s variables that the configuration accepts', (_, properties) => {
    expect(parseShopConfig(environmentOf(properties))).toMatchObject({
      tableName: 'orders',
      idempotency: { tableName: 'idempotency-table', expiresAfterSeconds: 3_600 },
      allowedOrigins: [],
    });
  });

  it('gives each function every variable that it reads, and no other', () => {
    const read = new Set(sourceOf('src/config').match(/\b(?:IDEMPOTENCY|CORS|CART)(?:_[A-Z]+)+\b/g));
    const given = (name: string) =>
      Object.keys(environmentOf(only(shop.Resources, name).Properties)).filter((variable) => !variable.startsWith('POWERTOOLS_'));
    const ofMigration = ['TABLE_NAME', ...read].sort();
    expect(read).toContain('CART_LINES_AT_ONCE');
    expect(given('MigrateCartFunction').sort()).toEqual(ofMigration);
    expect(given('ImportOrdersFunction').sort()).toEqual(ofMigration.filter((name) => !name.startsWith('CART_')));
  });

  it('ends each function before the API stops waiting', () => {
    for (const [, { Timeout }] of ofType(shop.Resources, FUNCTION)) expect(Timeout).toBeLessThan(30);
  });
});

describe('the API of deploy/shop.yaml', () => {
  const api = (answers: Answers = {}) => only(made(answers), 'ShopApi').Properties;

  it('requires a token on every route, and the scope of imports on one', () => {
    expect(api().Auth).toMatchObject({
      DefaultAuthorizer: 'Jwt',
      Authorizers: { Jwt: { JwtConfiguration: { issuer: NEEDED.JwtIssuer, audience: ['shop', 'admin'] } } },
    });
    const routes = ofType(made(), FUNCTION).map(([, { Events }]) => (Events as { Post: { Properties: Properties } }).Post.Properties);
    expect(routes).toMatchObject([
      { Path: '/cart/migrate' },
      { Path: '/orders/import', Auth: { Authorizer: 'Jwt', AuthorizationScopes: ['orders/import'] } },
    ]);
  });

  it('lets pages of other origins call only if AllowedOrigins names them', () => {
    expect(api().CorsConfiguration).toBeUndefined();
    const origins = ['https://shop.example', 'https://admin.example'];
    expect(api({ AllowedOrigins: origins.join(',') }).CorsConfiguration).toMatchObject({ AllowOrigins: origins, AllowCredentials: true });
  });
});

describe('a role of deploy/shop.yaml', () => {
  const own = ['DeleteItem', 'GetItem', 'PutItem', 'UpdateItem'].map((action) => `dynamodb:${action} IdempotencyTable`);
  const logs = (group: string) => [`logs:CreateLogStream ${group}`, `logs:PutLogEvents ${group}`];

  it('allows each function what it does, and no more', () => {
    const migration = ['DeleteItem', 'GetItem', 'Query', 'UpdateItem'].map((action) => `dynamodb:${action} table/orders`);
    expect(grantsOf(made(), 'MigrateCartRole')).toEqual([...migration, ...own, ...logs('MigrateCartLogGroup')].sort());
    expect(grantsOf(made(), 'ImportOrdersRole')).toEqual(['dynamodb:PutItem table/orders', ...own, ...logs('ImportOrdersLogGroup')].sort());
  });

  it.each(ROLES)('limits %s to its own keys of the table', (role) => {
    const ofTheTable = statementsOf(made(), role).filter(({ Resource }) => each(Resource).some((it) => it.endsWith('table/orders')));
    expect(ofTheTable.map(({ Condition }) => Condition)).toEqual([
      {
        'ForAllValues:StringLike': {
          'dynamodb:LeadingKeys': role === 'MigrateCartRole' ? ['cart#*', 'user#*'] : ['legacy#*', 'order#*'],
        },
      },
    ]);
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
    expect(unnamedGrantsOf(made({ TableKeyArn: tableKey }))).toEqual([]);
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
