export interface Followed {
  readonly table: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly accessKey: string;
  readonly backend: string;
  readonly letters: string;
}

export const FOREIGN_VIEWS =
  "This is the installed package, and the views are those of its sample, a pizza shop: they know no items but the sample's.\n" +
  'To follow a table of your own, run your handler with eventSourceMapping of millrace/testing\n' +
  '(README, "Run any stream handler on DynamoDB Local").';

export function devBanner({ table, endpoint, region = 'us-east-1', accessKey, backend, letters }: Followed): string {
  const at = endpoint ? ` at ${endpoint}` : '';
  const order = JSON.stringify({
    pk: { S: 'order#1' },
    sk: { S: 'order' },
    id: { S: '1' },
    createdAt: { S: '2026-01-31T18:00:00Z' },
    status: { S: 'placed' },
    numItems: { N: '0' },
    items: { L: [] },
    creator: { S: 'ada' },
  });
  const example = endpoint
    ? [
        'Write to it from another shell, say:',
        `  AWS_ACCESS_KEY_ID=${accessKey} AWS_SECRET_ACCESS_KEY=local aws dynamodb put-item --region ${region} --endpoint-url ${endpoint} \\`,
        `    --table-name ${table} --item '${order}'`,
      ]
    : [];
  return [
    `Following table ${table}${at} into the ${backend} cache. Ctrl-C ends it.`,
    `Dead letters go to ${letters}.`,
    ...example,
    '',
  ].join('\n');
}
