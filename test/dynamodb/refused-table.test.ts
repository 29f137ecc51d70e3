import { DynamoDBServiceException } from '@aws-sdk/client-dynamodb';
import { describe, expect, it } from 'vitest';
import { type MeteredTableOptions, meteredTable } from '../../src/dynamodb/metered-table.ts';
import { TableUnavailableError } from '../../src/errors.ts';

const { signal } = new AbortController();

/** A table of a client whose calls fail. */
function tableThatAnswers(name: string) {
  const error = new DynamoDBServiceException({ name, message: 'about customer#42', $fault: 'client', $metadata: {} });
  const send = async () => {
    throw error;
  };
  return meteredTable({ client: { send: send as MeteredTableOptions['client']['send'] }, name: 'shop' });
}

describe.each([
  ['items', (table: ReturnType<typeof meteredTable>) => table.items([{ pk: 'customer#42' }], signal)],
  ['query', (table: ReturnType<typeof meteredTable>) => table.query({ partition: { name: 'pk', value: 'customer#42' } }, {}, signal)],
])('%s of a table that refuses all reads', (_, read) => {
  it.each([
    ['ResourceNotFoundException', 'table shop: there is no such table'],
    ['AccessDeniedException', 'table shop: allow dynamodb:BatchGetItem'],
  ])('rejects with the table and the way out after %s, without the message, which may quote a key', async (name, message) => {
    const error = await read(tableThatAnswers(name)).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TableUnavailableError);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('customer#42');
  });

  it('rejects with TableUnavailableError after an error that passes', async () => {
    await expect(read(tableThatAnswers('ThrottlingException'))).rejects.toBeInstanceOf(TableUnavailableError);
  });
});
