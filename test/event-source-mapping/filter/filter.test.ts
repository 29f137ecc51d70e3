import { describe, expect, it } from 'vitest';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { type FilterCriteria, filterOf } from '../../../src/event-source-mapping/filter/filter.ts';
import { counted, NO_EVENTS } from '../../../src/testing/index.ts';
import { mappingWorld, numberOf } from '../mapping-world.ts';

const RECORD = {
  eventID: '1',
  eventName: 'MODIFY',
  eventSource: 'aws:dynamodb',
  userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' },
  dynamodb: {
    ApproximateCreationDateTime: 1_700_000_300,
    SizeBytes: 300,
    Keys: { pk: { S: 'order#1' }, sk: { S: 'order' } },
    OldImage: { status: { S: 'New' }, price: { N: '12.50' } },
    NewImage: {
      status: { S: '' },
      note: { NULL: true },
      price: { N: '12.50' },
      tags: { SS: ['hot', 'new'] },
      none: { L: [] },
      lines: { L: [{ M: { kind: { S: 'a' }, size: { S: 'L' } } }, { M: { kind: { S: 'b' }, size: { S: 'S' } } }] },
      paid: { BOOL: false },
      odd: { S: null },
    },
  },
} as StreamRecord;

function passes(pattern: unknown, record: StreamRecord = RECORD): boolean {
  const { passes, faults } = filterOf({ filters: [{ pattern: typeof pattern === 'string' ? pattern : JSON.stringify(pattern) }] });
  expect(faults).toEqual([]);
  return passes(record);
}

/** A pattern with rules for one attribute of the new image. */
function image(attribute: string, type: string, rules: unknown) {
  return { dynamodb: { NewImage: { [attribute]: { [type]: rules } } } };
}

describe('a filter', () => {
  it.each<[string, unknown]>([
    ['a value of the list', { eventName: ['INSERT', 'MODIFY'] }],
    ['all of several fields', { eventName: ['MODIFY'], dynamodb: { Keys: { sk: { S: ['order'] } } } }],
    ['all keys of an object', { dynamodb: { Keys: { pk: { S: ['order#1'] }, sk: { S: ['order'] } } } }],
    ['an empty text', image('status', 'S', [''])],
    ['null', image('odd', 'S', [null])],
    ['a boolean', image('paid', 'BOOL', [false])],
    ['no fields', {}],
    ['a prefix', { dynamodb: { Keys: { pk: { S: [{ prefix: 'order#' }] } } } }],
    ['a suffix', { dynamodb: { Keys: { pk: { S: [{ suffix: '#1' }] } } } }],
    ['a text in any case', { eventName: [{ 'equals-ignore-case': 'Modify' }] }],
    ['anything but a text', { eventName: [{ 'anything-but': 'INSERT' }] }],
    ['anything but texts', { eventName: [{ 'anything-but': ['INSERT', 'REMOVE'] }] }],
    ['a field that must exist', image('price', 'N', [{ exists: true }])],
    ['a field that must not exist, and does not', image('price', 'S', [{ exists: false }])],
    ['a field that must not exist, in an object that does not exist', { dynamodb: { Other: { a: [{ exists: false }] } } }],
    ['a field that must not exist, and is an object', { dynamodb: { NewImage: [{ exists: false }] } }],
    ['a field that must exist, and is null', image('odd', 'S', [{ exists: true }])],
    ['a number as it is written', '{"dynamodb":{"SizeBytes":[300]}}'],
    ['a text of digits', { dynamodb: { NewImage: { price: { N: ['12.50'] } } } }],
    ['a number by its value', { dynamodb: { SizeBytes: [{ numeric: ['=', 300] }] } }],
    ['a number by its value, in other digits', '{"dynamodb":{"SizeBytes":[{"numeric":["=",3.0e2]}]}}'],
    ['a range', { dynamodb: { SizeBytes: [{ numeric: ['>', 299, '<=', 300] }] } }],
    ['one element of a set', image('tags', 'SS', ['new'])],
    ['one element of a set by a rule', image('tags', 'SS', [{ prefix: 'h' }])],
    ['one element of a set, although the rule excludes another', image('tags', 'SS', [{ 'anything-but': ['hot'] }])],
    ['one element of a list of objects', image('lines', 'L', { M: { kind: { S: ['b'] } } })],
    ['one of two patterns', { $or: [{ eventName: ['INSERT'] }, { userIdentity: { type: ['Service'] } }] }],
    [
      'one of two patterns inside an object',
      { dynamodb: { $or: [{ Keys: { pk: { S: ['x'] } } }, { SizeBytes: [{ numeric: ['>', 1] }] }] } },
    ],
    ['a value or a rule', { eventName: ['INSERT', { prefix: 'MOD' }] }],
  ])('matches a record by %s', (_what, pattern) => {
    expect(passes(pattern)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['other values', { eventName: ['INSERT', 'REMOVE'] }],
    ['a value in another case', { eventName: ['modify'] }],
    ['several fields of which one does not match', { eventName: ['MODIFY'], dynamodb: { Keys: { sk: { S: ['line'] } } } }],
    ['a field that it does not have', { dynamodb: { Keys: { pk: { S: ['order#1'] }, other: { S: ['x'] } } } }],
    ['an object that it does not have', { dynamodb: { Other: { pk: { S: ['order#1'] } } } }],
    ['null if the value is a text', image('status', 'S', [null])],
    ['the other boolean', image('paid', 'BOOL', [true])],
    ['the name of a property of all objects', { constructor: [{ exists: true }] }],
    ['another prefix', { dynamodb: { Keys: { pk: { S: [{ prefix: 'rder' }] } } } }],
    ['another suffix', { dynamodb: { Keys: { pk: { S: [{ suffix: 'order' }] } } } }],
    ['a prefix of a number', { dynamodb: { SizeBytes: [{ prefix: '3' }] } }],
    ['another text in any case', { eventName: [{ 'equals-ignore-case': 'Modif' }] }],
    ['anything but its own text', { eventName: [{ 'anything-but': ['INSERT', 'MODIFY'] }] }],
    ['anything but a number', { dynamodb: { SizeBytes: [{ 'anything-but': 300 }] } }],
    ['anything but a value, if it does not have the field', { eventVersion: [{ 'anything-but': ['1.0'] }] }],
    ['a field that must exist, and does not', image('price', 'S', [{ exists: true }])],
    ['a field that must exist, and is an object', { dynamodb: { NewImage: [{ exists: true }] } }],
    ['a number in other digits', '{"dynamodb":{"SizeBytes":[300.0]}}'],
    ['a number with an exponent', '{"dynamodb":{"SizeBytes":[3.0e2]}}'],
    ['a number if the value is a text', { dynamodb: { NewImage: { price: { N: [12.5] } } } }],
    ['a text of digits if the value is a number', { dynamodb: { SizeBytes: ['300'] } }],
    ['a range that ends below its number', { dynamodb: { SizeBytes: [{ numeric: ['>=', 100, '<', 300] }] } }],
    ['a range that starts above its number', { dynamodb: { SizeBytes: [{ numeric: ['>', 300] }] } }],
    ["a range of an item's number, which is a text in a record", image('price', 'N', [{ numeric: ['>', 0] }])],
    ['a value that is not in the set', image('tags', 'SS', ['old'])],
    ['an empty list', image('none', 'L', [{ exists: true }])],
    ['fields of which no element of a list has all', image('lines', 'L', { M: { kind: { S: ['a'] }, size: { S: ['S'] } } })],
    ['none of two patterns', { $or: [{ eventName: ['INSERT'] }, { userIdentity: { type: ['User'] } }] }],
    [
      'one of two patterns if another field does not match',
      { eventID: ['2'], $or: [{ eventName: ['MODIFY'] }, { eventName: ['INSERT'] }] },
    ],
  ])('does not match a record by %s', (_what, pattern) => {
    expect(passes(pattern)).toBe(false);
  });

  it.each<[string, string]>([
    ['{', 'JSON'],
    ['"text"', 'it is not a JSON object'],
    ['[]', 'it is not a JSON object'],
    ['{"eventName":"INSERT"}', '"eventName" must be a list of values and rules, or an object of fields'],
    ['{"dynamodb":{"Keys":{"pk":[]}}}', '"dynamodb.Keys.pk" must be a list'],
    ['{"eventName":[["INSERT"]]}', '"eventName" has a list inside its list'],
    ['{"eventName":[{"wildcard":"I*"}]}', '"eventName" has the rule ["wildcard"]: use one of prefix, suffix'],
    ['{"eventName":[{"prefix":"I","suffix":"T"}]}', '["prefix","suffix"]'],
    ['{"eventName":[{}]}', 'has the rule []'],
    ['{"eventName":[{"toString":"I"}]}', '["toString"]'],
    ['{"eventName":[{"prefix":1}]}', '"prefix" of "eventName" takes a text'],
    ['{"eventName":[{"exists":"yes"}]}', '"exists" of "eventName" takes true or false'],
    ['{"eventName":[{"anything-but":[]}]}', '"anything-but" of "eventName" takes texts or numbers'],
    ['{"eventName":[{"anything-but":{"prefix":"I"}}]}', '"anything-but" of "eventName" takes texts or numbers'],
    ['{"eventName":[{"numeric":[">"]}]}', '"numeric" of "eventName" takes one or two comparisons'],
    ['{"eventName":[{"numeric":["~",1]}]}', '"numeric" of "eventName"'],
    ['{"eventName":[{"numeric":["=","1"]}]}', '"numeric" of "eventName"'],
    ['{"$or":[{"eventName":["INSERT"]}]}', '"$or" must be a list of at least two patterns'],
    [`{"eventName":["${'x'.repeat(4_096)}"]}`, 'Lambda takes 4096'],
  ])('says what is wrong with the pattern %.60s', (pattern, fault) => {
    const { faults } = filterOf({ filters: [{ pattern: '{"eventName":["INSERT"]}' }, { pattern }] });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain('filterCriteria.filters[1].pattern: ');
    expect(faults[0]).toContain(fault);
  });

  it('takes at most ten filters', () => {
    const filters = Array.from({ length: 11 }, () => ({ pattern: '{}' }));
    expect(filterOf({ filters: filters.slice(1) }).faults).toEqual([]);
    expect(filterOf({ filters }).faults).toEqual(['filterCriteria has 11 filters: Lambda takes 10']);
  });
});

describe('filter criteria', () => {
  const about = (...items: readonly string[]): FilterCriteria => ({
    filters: items.map((item) => ({ pattern: JSON.stringify({ dynamodb: { Keys: { pk: { S: [item] } } } }) })),
  });

  it('delivers the records that match any filter, in full batches', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c');
    await world.follow({ batchSize: 4, filterCriteria: about('a', 'c') });
    expect(world.batches).toEqual([
      ['a1', 'c3', 'a4', 'c6'],
      ['a7', 'c9'],
    ]);
    expect(world.eventsOf('filtered').flatMap(({ sequenceNumbers }) => sequenceNumbers)).toEqual(
      [1, 4, 7].map((i) => numberOf(records[i])),
    );
    expect(world.events.reduce(counted, NO_EVENTS)).toMatchObject({ polled: 9, filteredOut: 3, invoked: 6, dropped: 0 });
  });

  it('delivers all records without a filter', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ filterCriteria: { filters: [] } });
    expect(world.batches).toEqual([['a1', 'b2']]);
  });

  it('moves the checkpoint past filtered records, but not past earlier records that are not done', async () => {
    const world = mappingWorld();
    const records = world.write('b', 'b', 'a', 'b');
    const mapping = world.mapping({ filterCriteria: about('a'), answer: () => Promise.reject(new Error('always')) });
    await mapping.start();
    await world.clock.advance(10_000);
    mapping.kill();
    const [checkpoint] = (await world.checkpoints.load()).values();
    expect(checkpoint).toMatchObject({ type: 'after', sequenceNumber: numberOf(records[1]) });

    await world.follow({ filterCriteria: about('a') });
    const [last] = (await world.checkpoints.load()).values();
    expect(last).toMatchObject({ type: 'after', sequenceNumber: numberOf(records[3]) });
    expect(world.eventsOf('dropped')).toEqual([]);
  });
});
