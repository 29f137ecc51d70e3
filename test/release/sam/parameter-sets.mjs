// Sets of parameters with which the templates and the environments of samconfig.toml are checked.

const NETWORK = { SubnetIds: 'subnet-0123456789abcdef0,subnet-0123456789abcdef1', SecurityGroupIds: 'sg-0123456789abcdef0' };
const VPC = { VpcId: 'vpc-0123456789abcdef0' };
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:on-call';
const TABLE_KEY = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const OWN_STREAM = { StreamArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-22T03:01:52.091' };
/** Outputs of deploy/valkey.yaml. */
const OF_VALKEY = {
  ValkeyUrl: 'valkeys://millrace-0a1b2c3d-1.cache.example:6379',
  ValkeyIamUserId: 'millrace-0a1b2c3d',
  ValkeyIamCacheArn: 'arn:aws:elasticache:eu-west-1:123456789012:serverlesscache:millrace-0a1b2c3d-1',
};
const SERVERLESS = { CacheBackend: 'valkey', ValkeyCluster: 'true', ...OF_VALKEY, ...NETWORK };
const ELSEWHERE = { CacheBackend: 'valkey', ValkeyUrl: 'rediss://user:word@cache.shop.example:6380', ValkeyCluster: 'true' };
const MOMENTO = {
  CacheBackend: 'momento',
  MomentoCacheName: 'shop',
  MomentoSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:momento-AbCdEf',
};
const SHOP = { TableName: 'orders', JwtIssuer: 'https://issuer.example', JwtAudience: 'shop,admin' };
/** What the owner of a shop fills in. */
const OF_SHOP = {
  TableName: 'millrace-prod-Table-1A2B3C4D5E6F7',
  JwtIssuer: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI',
  JwtAudience: '0a1b2c3d4e5f6a7b8c9d0e1f2a',
  AllowedOrigins: 'https://shop.example',
  AlarmTopicArns: TOPIC,
};

const BACKFILL = { TableName: 'orders' };
const VERIFIER = { TableName: 'orders', SyncFunctionName: 'millrace-SyncFunction-1A2B3C4D5E6F' };
const CHECKS = 'arn:aws:sqs:eu-west-1:123456789012:millrace-verifier-Checks-1A2B3C4D5E6F';

/** By template, then by name. */
export const PARAMETER_SETS = {
  'template.yaml': {
    'no answers': {},
    'a serverless Valkey': { ...SERVERLESS, AlarmEmail: 'on-call@shop.example', AlarmTopicArn: TOPIC },
    'a serverless Valkey without a schedule': { ...SERVERLESS, RedriveSchedule: '' },
    'a Valkey elsewhere': ELSEWHERE,
    'a sample that is verified': { ...ELSEWHERE, VerifyQueueArn: CHECKS, VerifySampleRate: '10' },
    'a replication group': {
      ...OWN_STREAM,
      ...NETWORK,
      CacheBackend: 'valkey',
      ValkeyUrl: 'valkeys://shop.cache.example:6379',
      ValkeyIamUserId: 'worker',
      ValkeyIamCacheArn: 'arn:aws:elasticache:eu-west-1:123456789012:replicationgroup:shop',
    },
    Momento: { ...MOMENTO, ...OWN_STREAM },
    'a table under a key of its owner': { ...MOMENTO, ...OWN_STREAM, TableKeyArn: TABLE_KEY },
    'a table of another account': { ...ELSEWHERE, StreamArn: OWN_STREAM.StreamArn.replace('123456789012', '210987654321') },
    'numbers at their limits': {
      ProtectTable: 'true',
      StartingPosition: 'LATEST',
      BatchSize: '10000',
      MaximumBatchingWindowInSeconds: '300',
      ParallelizationFactor: '10',
      MaximumRetryAttempts: '10000',
      MaximumRecordAgeInSeconds: '3600',
      PoisonRunLimit: '0',
      DeadLetterRetentionInDays: '3650',
      RedriveReadUnitsPerSecond: '1',
      LagAlarmInSeconds: '86400',
      CacheEntryTtlSeconds: '86400',
      Architecture: 'x86_64',
      MemorySize: '10240',
      LogLevel: 'FATAL',
      SystemLogLevel: 'DEBUG',
      LogRetentionInDays: '3653',
    },
  },
  'deploy/network.yaml': {
    'both endpoints': { ...VPC, RouteTableIds: 'rtb-0123456789abcdef0,rtb-0123456789abcdef1' },
    'an endpoint for DynamoDB': { ...VPC, RouteTableIds: 'rtb-0123456789abcdef0', MakeS3Endpoint: 'false' },
  },
  'deploy/valkey.yaml': {
    'no readers': { ...VPC, SubnetIds: NETWORK.SubnetIds },
    'readers and alarms': {
      ...VPC,
      SubnetIds: NETWORK.SubnetIds,
      CacheNameSuffix: '0123456789abcdefghij',
      ValkeyMaximumStorageInGB: '5000',
      ValkeyMaximumEcpuPerSecond: '15000000',
      ValkeyReaderUserIds: 'shop,admin',
      ValkeyReaderSecurityGroupId: 'sg-0123456789abcdef1',
      AlarmTopicArns: `${TOPIC},${TOPIC}-2`,
    },
  },
  'deploy/shop.yaml': {
    'no pages': SHOP,
    'pages and alarms': {
      ...SHOP,
      TableKeyArn: TABLE_KEY,
      AllowedOrigins: 'https://shop.example,https://admin.example',
      CartCookieSameSite: 'Lax',
      AlarmTopicArns: TOPIC,
    },
    'a serverless Valkey': { ...SHOP, ...SERVERLESS },
    'a Valkey elsewhere': { ...SHOP, ...ELSEWHERE },
    Momento: { ...SHOP, ...MOMENTO },
  },
  'deploy/backfill.yaml': {
    'a serverless Valkey': {
      ...BACKFILL,
      ...SERVERLESS,
      DeadLettersBucketName: 'orders-letters',
      TableKeyArn: TABLE_KEY,
      AlarmTopicArns: TOPIC,
    },
    'a Valkey elsewhere': { ...BACKFILL, ...ELSEWHERE },
    Momento: { ...BACKFILL, ...MOMENTO, ReadUnitsPerSecond: '40000', SegmentsAtOnce: '80' },
  },
  'deploy/verifier.yaml': {
    'a serverless Valkey': { ...VERIFIER, ...SERVERLESS, TableKeyArn: TABLE_KEY, AlarmTopicArns: TOPIC, SqsEndpointVpcId: VPC.VpcId },
    'a Valkey elsewhere': { ...VERIFIER, ...ELSEWHERE, ProbeSchedule: '' },
    Momento: { ...VERIFIER, ...MOMENTO, BoundInSeconds: '180', ProbeReadUnits: '1000000', ReadUnitsPerSecond: '40000' },
  },
};

/** What a user fills in, by environment of samconfig.toml, then by name. */
export const FILLED_IN = {
  default: { nothing: {} },
  network: {
    'its VPC': { ...VPC, RouteTableIds: 'rtb-0123456789abcdef0,rtb-0123456789abcdef1' },
    'a VPC with an endpoint for DynamoDB': { ...VPC, RouteTableIds: 'rtb-0123456789abcdef0', MakeDynamoDBEndpoint: 'false' },
  },
  valkey: { 'its VPC': { ...VPC, SubnetIds: NETWORK.SubnetIds, AlarmTopicArns: TOPIC } },
  prod: {
    'the first cache': { AlarmEmail: 'on-call@shop.example', VerifyQueueArn: CHECKS, ...OF_VALKEY, ...NETWORK },
    'the second cache': {
      ...OWN_STREAM,
      ValkeyUrl: '{{resolve:secretsmanager:millrace/valkey:SecretString:url}}',
      ...NETWORK,
      ValkeyCluster: 'false',
    },
    'the third cache': MOMENTO,
  },
  shop: {
    'its table': OF_SHOP,
    'the first cache': { ...OF_SHOP, ...SERVERLESS },
    'the third cache': { ...OF_SHOP, ...MOMENTO },
  },
  backfill: {
    'the first cache': {
      ...BACKFILL,
      DeadLettersBucketName: 'millrace-prod-deadletters-1a2b3c4d5e6f',
      AlarmTopicArns: TOPIC,
      ...SERVERLESS,
    },
    'the second cache': { ...BACKFILL, ...ELSEWHERE, ...NETWORK },
    'the third cache': { ...BACKFILL, ...MOMENTO },
  },
  verifier: {
    'the first cache': { ...VERIFIER, AlarmTopicArns: TOPIC, ...SERVERLESS, SqsEndpointVpcId: VPC.VpcId },
    'the second cache': { ...VERIFIER, ...ELSEWHERE, ...NETWORK },
    'the third cache': { ...VERIFIER, ...MOMENTO },
  },
};
