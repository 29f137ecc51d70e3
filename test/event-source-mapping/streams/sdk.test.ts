import { DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand } from '@aws-sdk/client-dynamodb-streams';
import { mockClient } from 'aws-sdk-client-mock';
import { describe, expect, it } from 'vitest';
import { ExpiredIteratorError, sdkStreamReader, TrimmedError } from '../../../src/testing/index.ts';

describe('sdkStreamReader', () => {
  const streamArn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/T/stream/2026-01-01T00:00:00.000';
  const client = new DynamoDBStreamsClient({ region: 'eu-west-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
  const named = (name: string) => Object.assign(new Error(`it says ${name}`), { name });

  it('lists all pages of shards, and returns iterators and records', async () => {
    const mock = mockClient(client);
    const range = (StartingSequenceNumber: string, EndingSequenceNumber?: string) => ({ StartingSequenceNumber, EndingSequenceNumber });
    mock
      .on(DescribeStreamCommand, { StreamArn: streamArn })
      .resolves({ StreamDescription: { Shards: [{ ShardId: 's1', SequenceNumberRange: range('1', '5') }], LastEvaluatedShardId: 's1' } })
      .on(DescribeStreamCommand, { StreamArn: streamArn, ExclusiveStartShardId: 's1' })
      .resolves({ StreamDescription: { Shards: [{ ShardId: 's2', ParentShardId: 's1', SequenceNumberRange: range('6') }] } })
      .on(GetShardIteratorCommand)
      .resolves({ ShardIterator: 'here' })
      .on(GetRecordsCommand)
      .resolves({ Records: [], NextShardIterator: 'there' });
    const reader = sdkStreamReader({ client, streamArn });
    expect(await reader.shards()).toEqual([
      { id: 's1', closed: true },
      { id: 's2', parent: 's1', closed: false },
    ]);
    expect(await reader.iterator('s1', { type: 'AFTER', sequenceNumber: '3' })).toBe('here');
    await reader.iterator('s1', { type: 'AT', sequenceNumber: '3' });
    await reader.iterator('s1', { type: 'LATEST' });
    expect(mock.commandCalls(GetShardIteratorCommand).map(({ args: [{ input }] }) => input)).toEqual([
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: '3' },
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'AT_SEQUENCE_NUMBER', SequenceNumber: '3' },
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'LATEST' },
    ]);
    expect(await reader.records('here', 1_000)).toEqual({ records: [], next: 'there' });
    mock.on(GetRecordsCommand).resolves({});
    expect(await reader.records('here', 1_000)).toEqual({ records: [] });
    expect(mock.commandCalls(GetRecordsCommand)[0]?.args[0].input).toEqual({ ShardIterator: 'here', Limit: 1_000 });
    mock.restore();
  });

  it.each([
    ['TrimmedDataAccessException', TrimmedError],
    ['ResourceNotFoundException', TrimmedError],
    ['ExpiredIteratorException', ExpiredIteratorError],
  ])('translates %s', async (name, type) => {
    const mock = mockClient(client);
    mock.rejects(named(name));
    const reader = sdkStreamReader({ client, streamArn });
    await expect(reader.iterator('s1', { type: 'TRIM_HORIZON' })).rejects.toThrow(type);
    await expect(reader.records('here', 10)).rejects.toThrow(type);
    mock.restore();
  });

  it.each([undefined, null, ''])('takes the iterator %j of GetRecords for none', async (NextShardIterator) => {
    const mock = mockClient(client);
    mock.on(GetRecordsCommand).resolves({ Records: [], NextShardIterator: NextShardIterator as string });
    expect(await sdkStreamReader({ client, streamArn }).records('here', 10)).toEqual({ records: [] });
    mock.restore();
  });

  it.each([undefined, null, ''])(
    'does not take a shard for removed when GetShardIterator returns the iterator %j',
    async (ShardIterator) => {
      const mock = mockClient(client);
      mock.on(GetShardIteratorCommand).resolves({ ShardIterator: ShardIterator as string });
      const call = sdkStreamReader({ client, streamArn }).iterator('s1', { type: 'TRIM_HORIZON' });
      await expect(call).rejects.toThrow('DynamoDB returned no iterator of shard s1');
      await expect(call).rejects.not.toThrow(TrimmedError);
      mock.restore();
    },
  );

  it('passes other errors on', async () => {
    const mock = mockClient(client);
    mock.rejects(named('LimitExceededException'));
    const reader = sdkStreamReader({ client, streamArn });
    await expect(reader.records('here', 10)).rejects.toThrow('it says LimitExceededException');
    await expect(reader.shards()).rejects.toThrow('it says LimitExceededException');
    mock.restore();
  });
});
