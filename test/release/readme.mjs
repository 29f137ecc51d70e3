import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));

/** The blocks of code in the README's section on applications: those that a reader copies. */
export function readmeApplication() {
  const text = readFileSync(README, 'utf8');
  const section = /^## Add it to your application\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
  // The text before a block of code ends with the file's name.
  const parts = section.split(/^```(?:ts|yaml)?\n/m);
  const nameOf = (text) => [...text.matchAll(/`([\w/]+\.(?:ts|yaml))`/g)].at(-1)?.[1] ?? '';
  const files = Object.fromEntries(parts.flatMap((code, i) => (i % 2 === 1 ? [[nameOf(parts[i - 1]), code]] : [])));
  const commands = [...section.matchAll(/^ {4}(npm .*)$/gm)].flatMap(([, line]) => line.split(' && '));
  return { files, commands };
}

/** An event of the table that the handler's views follow, with one customer. */
export const CUSTOMER_EVENT = {
  Records: [
    {
      eventID: '1',
      eventName: 'INSERT',
      eventSource: 'aws:dynamodb',
      eventSourceARN: 'arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-03-01T10:00:00.000',
      dynamodb: {
        Keys: { pk: { S: 'customer#42' }, sk: { S: 'customer' } },
        NewImage: { pk: { S: 'customer#42' }, sk: { S: 'customer' }, name: { S: 'Olive' } },
        SequenceNumber: '100000000000000000009',
        StreamViewType: 'NEW_AND_OLD_IMAGES',
      },
    },
  ],
};
