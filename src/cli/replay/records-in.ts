import type { StreamRecord } from '../../dynamodb/record.ts';

type Fields = { readonly [name: string]: unknown };

const SAVE = 'save the event that Lambda passes to the function of a DynamoDB stream, {"Records": [...]}';
const ARN = '"eventSourceARN": "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL"';
/** The containers of a log line or of a log's export are not nested deeper than this. */
const DEEPEST = 6;

/** Services by the `eventSource` of their records. */
const SERVICES: Readonly<Record<string, string>> = {
  'aws:sqs': 'Amazon SQS',
  'aws:sns': 'Amazon SNS',
  'aws:s3': 'Amazon S3',
  'aws:kinesis': 'Kinesis Data Streams',
  'aws:kafka': 'Amazon MSK',
  SelfManagedKafka: 'Apache Kafka',
  'aws:docdb': 'Amazon DocumentDB',
  'aws:amq': 'Amazon MQ',
  'aws:rmq': 'Amazon MQ',
  'aws:ses': 'Amazon SES',
};

/** What a saved value has: stream records, or, if it is a log line without records, why it is skipped. */
export type SavedRecords = { readonly records: readonly StreamRecord[] } | { readonly skipped: string };

/**
 * The stream records in a saved value: an event, one record, an array of these, or a log line that has one of these at any place, also as JSON text.
 *
 * @param depth how many arrays the value is in
 * @throws Error that says what the value is instead, and the way out.
 */
export function recordsIn(value: unknown, depth = 0): SavedRecords {
  if (Array.isArray(value) && depth > DEEPEST) throw new Error(`its arrays are nested too deep for events: ${SAVE}`);
  if (Array.isArray(value)) return { records: value.flatMap((element, index) => elementIn(element, index, depth + 1)) };
  const others: string[] = [];
  const records = search(value, 0, others);
  if (records) return { records: withArn(records) };
  const [other] = others;
  if (isLogLine(value)) return { skipped: other ?? `no log line has an event of a DynamoDB stream: ${SAVE}` };
  throw new Error(other ?? `${shapeOf(value)}, and is not an event of a DynamoDB stream: ${SAVE}`);
}

function elementIn(element: unknown, index: number, depth: number): readonly StreamRecord[] {
  try {
    const found = recordsIn(element, depth);
    return 'records' in found ? found.records : [];
  } catch (error) {
    throw new Error(`element ${index}: ${(error as Error).message}`);
  }
}

/** @param others gets the names of other forms, which are not searched */
function search(value: unknown, depth: number, others: string[]): readonly StreamRecord[] | undefined {
  if (typeof value === 'string') return /^\s*[{[]/.test(value) ? search(jsonIn(value), depth, others) : undefined;
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return undefined;
  if (isObject(value)) {
    const records = Array.isArray(value.Records) ? value.Records : isRecord(value) ? [value] : undefined;
    const other = records ? serviceIn(records) : otherForm(value);
    if (other !== undefined) others.push(other);
    if (records || other !== undefined) return other === undefined ? records : undefined;
  }
  const found = Object.values(value).flatMap((part) => search(part, depth + 1, others) ?? []);
  return found.length > 0 ? found : undefined;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(fields: Fields): fields is Fields & StreamRecord {
  return isObject(fields.dynamodb) && ('eventName' in fields || 'eventID' in fields || 'eventSourceARN' in fields);
}

/** A line of a logger, of Lambda itself, or of metrics. */
function isLogLine(value: unknown): boolean {
  if (!isObject(value)) return false;
  return ['level', 'Level', 'message', 'Message', '_aws'].some((name) => name in value) || String(value.type).startsWith('platform.');
}

function withArn(records: readonly StreamRecord[]): readonly StreamRecord[] {
  if (records.length === 0 || !records.every((record) => isObject(record) && isRecord(record) && !record.eventSourceARN)) return records;
  throw new Error(
    `its records have no eventSourceARN, as in the output of GetRecords (aws dynamodbstreams get-records): without the ARN of the stream, versions cannot be compared. Add it to each record: ${ARN}`,
  );
}

/** What a known form is that has no stream records of its own, and the way out. */
function otherForm(fields: Fields): string | undefined {
  const { requestContext, detail, eventSource } = fields;
  if (isLetter(fields)) {
    return fields.payload === undefined
      ? 'it is a dead letter without records, as SQS and SNS receive them: make the on-failure destination an S3 bucket'
      : 'it is a dead letter: millrace redrive takes dead letters up, see millrace redrive --help';
  }
  if ('detail-type' in fields) {
    const way = isObject(detail) && isRecord(detail) ? 'save its "detail", which is a record of a DynamoDB stream' : SAVE;
    return `it is an event of Amazon EventBridge (${shown(fields['detail-type'])}): ${way}`;
  }
  if (isObject(fields.awslogs)) return `it is an event of CloudWatch Logs: ${SAVE}`;
  if (Array.isArray(fields.Messages)) return messages('Amazon SQS', fields.Messages);
  if ('TopicArn' in fields) return messages('Amazon SNS', [fields]);
  if ('deliveryStreamArn' in fields) return `it is an event of Amazon Data Firehose: ${SAVE}`;
  if (isObject(requestContext) && ('httpMethod' in fields || 'rawPath' in fields || 'routeKey' in requestContext)) {
    return `it is an event of an HTTP API (API Gateway, function URL or load balancer): ${SAVE}`;
  }
  if ('Item' in fields || 'Items' in fields || 'Responses' in fields || isItem(fields)) {
    return `it has items of a table, which are not records of its stream: ${SAVE}`;
  }
  if ('Keys' in fields && ('NewImage' in fields || 'OldImage' in fields)) {
    return 'SequenceNumber' in fields
      ? `it is the "dynamodb" part of a record: ${SAVE}`
      : `it is an incremental export, which has no sequence numbers, so its order is not known: ${SAVE}`;
  }
  return typeof eventSource === 'string' ? `it is an event of ${SERVICES[eventSource] ?? shown(eventSource)}: ${SAVE}` : undefined;
}

/** Names the service whose records these are, if it is not DynamoDB. */
function serviceIn(records: readonly unknown[]): string | undefined {
  const service = records.map(serviceOf).find((name) => name !== undefined);
  switch (service) {
    case undefined:
      return undefined;
    case 'Amazon SQS':
    case 'Amazon SNS':
      return messages(service, records);
    case 'Amazon S3':
      return `it is an event of Amazon S3: if its objects are dead letters, millrace redrive takes them up; else ${SAVE}`;
    case 'Kinesis Data Streams':
      return 'it has records of Kinesis Data Streams, which repeats and reorders changes and has no SequenceNumber of the item: connect the DynamoDB stream itself, and save its event';
    default:
      return `it is an event of ${service}: ${SAVE}`;
  }
}

function serviceOf(record: unknown): string | undefined {
  if (!isObject(record)) return undefined;
  const source = record.eventSource ?? record.EventSource;
  if (isObject(record.kinesis) || 'PartitionKey' in record) return 'Kinesis Data Streams';
  if (source === 'aws:dynamodb') return undefined;
  if (typeof source === 'string') return SERVICES[source] ?? shown(source);
  return isObject(record.cf) ? 'Amazon CloudFront' : undefined;
}

function messages(service: string, found: readonly unknown[]): string {
  const isOfLetters = /DDBStreamBatchInfo/.test(JSON.stringify(found));
  const way = isOfLetters
    ? 'its messages are dead letters without records. Make the on-failure destination an S3 bucket'
    : `its messages are not records of a DynamoDB stream: ${SAVE}`;
  return `it is an event of ${service}: ${way}`;
}

function isLetter(fields: Fields): boolean {
  const { DDBStreamBatchInfo, payload } = fields;
  const event = typeof payload === 'string' ? jsonIn(payload) : payload;
  return isObject(DDBStreamBatchInfo) || (isObject(event) && Array.isArray(event.Records));
}

/** Whether each field is an attribute with its type, such as {"S": "text"}. */
function isItem(fields: Fields): boolean {
  const attributes = Object.values(fields);
  return (
    attributes.length > 0 &&
    attributes.every((value) => isObject(value) && /^(S|N|B|BOOL|NULL|M|L|SS|NS|BS)$/.test(Object.keys(value).join()))
  );
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names what a value is, without its values. */
function shapeOf(value: unknown): string {
  if (value === null) return 'it is null';
  if (typeof value !== 'object') return `it is a ${typeof value}`;
  const names = Object.keys(value);
  if (names.length === 0) return 'it is an empty object';
  return `it has ${names.slice(0, 5).map(shown).join(', ')}${names.length > 5 ? ', …' : ''}`;
}

function shown(text: unknown): string {
  return JSON.stringify(String(text).slice(0, 60));
}
