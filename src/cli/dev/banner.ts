import type { DynamoDbLocation } from '../options/dynamodb.ts';

export interface Followed {
  readonly table: string;
  readonly streamArn: string;
  readonly location: DynamoDbLocation;
  readonly backend: string;
  /** The names of the views with their revisions: `detail@1`. */
  readonly views: readonly string[];
  /** Whether the views are the sample's, which take the example of an item. */
  readonly isSample: boolean;
  /** The place of dead letters, in the form of DEAD_LETTERS. */
  readonly letters: string;
  /** The saved position that the worker continues at. Absent: the worker begins at the start of the stream. */
  readonly checkpoint?: { readonly file: string; readonly at: string };
}

/** The first lines of `millrace dev`. For DynamoDB Local and the sample's views they have a command that writes an item. */
export function devBanner({ table, location, backend, letters, isSample, checkpoint }: Followed): string {
  const at = location.where === 'local' ? ` at ${location.endpoint}` : '';
  return [
    `Following table ${table}${at} into the ${backend} cache. Ctrl-C ends the command.`,
    checkpoint
      ? `Resumes from the checkpoint of ${checkpoint.at} in ${checkpoint.file}. Remove the file to begin at the start of the stream.`
      : 'Begins at the start of the stream.',
    `Dead letters go to ${letters}.`,
    ...(location.where === 'local' && isSample ? writeExample(table, location) : []),
    '',
  ].join('\n');
}

function writeExample(table: string, { endpoint, region, accessKey }: Extract<DynamoDbLocation, { where: 'local' }>): readonly string[] {
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
  return [
    'Write an item from another shell, for example:',
    `  AWS_ACCESS_KEY_ID=${accessKey} AWS_SECRET_ACCESS_KEY=local aws dynamodb put-item --region ${region} --endpoint-url ${endpoint} \\`,
    `    --table-name ${table} --item '${order}'`,
  ];
}
