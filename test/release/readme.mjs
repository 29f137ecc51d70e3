import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));

/** The blocks of code in the README's section on applications: those that a reader copies. */
export function readmeApplication() {
  const text = readFileSync(README, 'utf8');
  const section = /^## Add it to your application\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
  const block = (language) => new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(section)?.[1] ?? '';
  const commands = [...section.matchAll(/^ {4}(npm .*)$/gm)].flatMap(([, line]) => line.split(' && '));
  return { handler: block('ts'), template: block('yaml'), commands };
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
        Keys: { pk: { S: 'customer#42' } },
        NewImage: { pk: { S: 'customer#42' }, name: { S: 'Olive' } },
        SequenceNumber: '100000000000000000009',
        StreamViewType: 'NEW_AND_OLD_IMAGES',
      },
    },
  ],
};
