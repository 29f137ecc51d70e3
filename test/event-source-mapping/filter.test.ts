import { describe, expect, it } from 'vitest';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { type FilterCriteria, filterOf } from '../../src/event-source-mapping/filter/filter.ts';
import { counted, NO_EVENTS } from '../../src/testing/index.ts';
import { mappingWorld, numberOf } from './mapping.ts';

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

/** A pattern about one attribute of the new image. */
function image(attribute: string, type: string, rules: unknown) {
  return { dynamodb: { NewImage: { [attribute]: { [type]: rules } } } };
}

describe('a filter', () => {
  it.each<[string, unknown, boolean]>([
    ['a value of the list', { eventName: ['INSERT', 'MODIFY'] }, true],
    ['no value of the list', { eventName: ['INSERT', 'REMOVE'] }, false],
    ['a value in another case', { eventName: ['modify'] }, false],
    ['all of several fields', { eventName: ['MODIFY'], dynamodb: { Keys: { sk: { S: ['order'] } } } }, true],
    ['one of several fields', { eventName: ['MODIFY'], dynamodb: { Keys: { sk: { S: ['line'] } } } }, false],
    ['all keys of an object', { dynamodb: { Keys: { pk: { S: ['order#1'] }, sk: { S: ['order'] } } } }, true],
    ['a key that is not there', { dynamodb: { Keys: { pk: { S: ['order#1'] }, other: { S: ['x'] } } } }, false],
    ['an object that is not there', { dynamodb: { Other: { pk: { S: ['order#1'] } } } }, false],
    ['an empty text', image('status', 'S', ['']), true],
    ['null', image('odd', 'S', [null]), true],
    ['null where there is none', image('status', 'S', [null]), false],
    ['a boolean', image('paid', 'BOOL', [false]), true],
    ['the other boolean', image('paid', 'BOOL', [true]), false],
    ['no fields', {}, true],
    ['the name of a property that all objects have', { constructor: [{ exists: true }] }, false],

    ['a prefix', { dynamodb: { Keys: { pk: { S: [{ prefix: 'order#' }] } } } }, true],
    ['another prefix', { dynamodb: { Keys: { pk: { S: [{ prefix: 'rder' }] } } } }, false],
    ['a suffix', { dynamodb: { Keys: { pk: { S: [{ suffix: '#1' }] } } } }, true],
    ['another suffix', { dynamodb: { Keys: { pk: { S: [{ suffix: 'order' }] } } } }, false],
    ['a prefix of a number', { dynamodb: { SizeBytes: [{ prefix: '3' }] } }, false],
    ['a text in any case', { eventName: [{ 'equals-ignore-case': 'Modify' }] }, true],
    ['another text in any case', { eventName: [{ 'equals-ignore-case': 'Modif' }] }, false],

    ['anything but a text', { eventName: [{ 'anything-but': 'INSERT' }] }, true],
    ['anything but texts', { eventName: [{ 'anything-but': ['INSERT', 'REMOVE'] }] }, true],
    ['anything but its own text', { eventName: [{ 'anything-but': ['INSERT', 'MODIFY'] }] }, false],
    ['anything but a number', { dynamodb: { SizeBytes: [{ 'anything-but': 300 }] } }, false],
    ['anything but something, of nothing', { eventVersion: [{ 'anything-but': ['1.0'] }] }, false],

    ['what exists', image('price', 'N', [{ exists: true }]), true],
    ['what does not exist', image('price', 'S', [{ exists: true }]), false],
    ['that something does not exist', image('price', 'S', [{ exists: false }]), true],
    ['that something does not exist, in what does not', { dynamodb: { Other: { a: [{ exists: false }] } } }, true],
    ['that something exists, which is no leaf', { dynamodb: { NewImage: [{ exists: true }] } }, false],
    ['that something does not exist, which is no leaf', { dynamodb: { NewImage: [{ exists: false }] } }, true],
    ['null as something that exists', image('odd', 'S', [{ exists: true }]), true],

    ['a number as it is written', '{"dynamodb":{"SizeBytes":[300]}}', true],
    ['a number as it is not written', '{"dynamodb":{"SizeBytes":[300.0]}}', false],
    ['a number as it is not written either', '{"dynamodb":{"SizeBytes":[3.0e2]}}', false],
    ['a number for a text', { dynamodb: { NewImage: { price: { N: [12.5] } } } }, false],
    ['a number that a text is', { dynamodb: { NewImage: { price: { N: ['12.50'] } } } }, true],
    ['a text that a number is', { dynamodb: { SizeBytes: ['300'] } }, false],
    ['a number by its value', { dynamodb: { SizeBytes: [{ numeric: ['=', 300] }] } }, true],
    ['a number by its value, written otherwise', '{"dynamodb":{"SizeBytes":[{"numeric":["=",3.0e2]}]}}', true],
    ['a range', { dynamodb: { SizeBytes: [{ numeric: ['>', 299, '<=', 300] }] } }, true],
    ['a range that it is just above', { dynamodb: { SizeBytes: [{ numeric: ['>=', 100, '<', 300] }] } }, false],
    ['a range that it is just below', { dynamodb: { SizeBytes: [{ numeric: ['>', 300] }] } }, false],
    ["a range of an item's number, which is text in a record", image('price', 'N', [{ numeric: ['>', 0] }]), false],

    ['an element of a set', image('tags', 'SS', ['new']), true],
    ['no element of a set', image('tags', 'SS', ['old']), false],
    ['an element by a rule', image('tags', 'SS', [{ prefix: 'h' }]), true],
    ['an element that is another', image('tags', 'SS', [{ 'anything-but': ['hot'] }]), true],
    ['an empty list', image('none', 'L', [{ exists: true }]), false],
    ['an element of a list of objects', image('lines', 'L', { M: { kind: { S: ['b'] } } }), true],
    ['two elements of a list, each in part', image('lines', 'L', { M: { kind: { S: ['a'] }, size: { S: ['S'] } } }), false],

    ['one of two patterns', { $or: [{ eventName: ['INSERT'] }, { userIdentity: { type: ['Service'] } }] }, true],
    ['none of two patterns', { $or: [{ eventName: ['INSERT'] }, { userIdentity: { type: ['User'] } }] }, false],
    [
      'one of two patterns, and not the field beside',
      { eventID: ['2'], $or: [{ eventName: ['MODIFY'] }, { eventName: ['INSERT'] }] },
      false,
    ],
    ['one of two patterns, deep', { dynamodb: { $or: [{ Keys: { pk: { S: ['x'] } } }, { SizeBytes: [{ numeric: ['>', 1] }] }] } }, true],
    ['a rule or a value', { eventName: ['INSERT', { prefix: 'MOD' }] }, true],
  ])('that asks for %s', (_what, pattern, expected) => {
    expect(passes(pattern)).toBe(expected);
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
  ])('that is wrong says how: %.60s', (pattern, fault) => {
    const { faults } = filterOf({ filters: [{ pattern: '{"eventName":["INSERT"]}' }, { pattern }] });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain('filterCriteria.filters[1].pattern: ');
    expect(faults[0]).toContain(fault);
  });

  it('is one of ten at most', () => {
    const filters = Array.from({ length: 11 }, () => ({ pattern: '{}' }));
    expect(filterOf({ filters: filters.slice(1) }).faults).toEqual([]);
    expect(filterOf({ filters }).faults).toEqual(['filterCriteria has 11 filters: Lambda takes 10']);
  });
});

describe('filter criteria', () => {
  const about = (...items: readonly string[]): FilterCriteria => ({
    filters: items.map((item) => ({ pattern: JSON.stringify({ dynamodb: { Keys: { pk: { S: [item] } } } }) })),
  });

  it('let pass what any filter lets pass; batches are made of what is left', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c');
    await world.follow({ batchSize: 4, filterCriteria: about('a', 'c') });
    expect(world.batches).toEqual([
      ['a1', 'c3', 'a4', 'c6'],
      ['a7', 'c9'],
    ]);
    expect(world.told('filtered').flatMap(({ sequenceNumbers }) => sequenceNumbers)).toEqual([1, 4, 7].map((i) => numberOf(records[i])));
    expect(world.events.reduce(counted, NO_EVENTS)).toMatchObject({ polled: 9, filteredOut: 3, invoked: 6, dropped: 0 });
  });

  it('with no filter let everything pass', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ filterCriteria: { filters: [] } });
    expect(world.batches).toEqual([['a1', 'b2']]);
  });

  it('move the checkpoint past what they hold back, but not past what came before it', async () => {
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
    expect(world.told('dropped')).toEqual([]);
  });
});
