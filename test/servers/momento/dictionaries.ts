import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Bytes, type Dictionary, nameOf } from './item.ts';
import { only } from './keyspace.ts';
import { checkElement, checkItem, checkTtl } from './limits.ts';
import { add } from './scalars.ts';
import { read, type Scope } from './scope.ts';

const { ECacheResult } = cache_client;

export const dictionaries = {
  DictionaryGet(scope: Scope, { dictionary_name, fields }: cache_client._DictionaryGetRequest) {
    const { _Found, _Missing, _DictionaryGetResponsePart } = cache_client._DictionaryGetResponse;
    const dictionary = only('dictionary', read(scope, dictionary_name));
    if (dictionary === undefined) return new cache_client._DictionaryGetResponse({ missing: new _Missing() });
    const items = fields.map((field) => {
      const held = dictionary.fields.get(nameOf(field));
      if (held === undefined) return new _DictionaryGetResponsePart({ result: ECacheResult.Miss });
      return new _DictionaryGetResponsePart({ result: ECacheResult.Hit, cache_body: held.value });
    });
    return new cache_client._DictionaryGetResponse({ found: new _Found({ items }) });
  },

  DictionaryFetch(scope: Scope, { dictionary_name }: cache_client._DictionaryFetchRequest) {
    const { _Found, _Missing } = cache_client._DictionaryFetchResponse;
    const dictionary = only('dictionary', read(scope, dictionary_name));
    if (dictionary === undefined) return new cache_client._DictionaryFetchResponse({ missing: new _Missing() });
    const items = Array.from(dictionary.fields.values(), (held) => new cache_client._DictionaryFieldValuePair(held));
    return new cache_client._DictionaryFetchResponse({ found: new _Found({ items }) });
  },

  DictionarySet(scope: Scope, request: cache_client._DictionarySetRequest) {
    const items = request.items.map(({ field, value }) => ({ field, value }));
    write(scope, request, items);
    return new cache_client._DictionarySetResponse();
  },

  DictionaryIncrement(scope: Scope, request: cache_client._DictionaryIncrementRequest) {
    const { field, amount } = request;
    const dictionary = only('dictionary', scope.space.current(nameOf(request.dictionary_name)));
    const sum = add(dictionary?.fields.get(nameOf(field))?.value, amount);
    write(scope, request, [{ field, value: Buffer.from(String(sum)) }]);
    return new cache_client._DictionaryIncrementResponse({ value: Number(sum) });
  },

  DictionaryDelete({ space }: Scope, request: cache_client._DictionaryDeleteRequest) {
    const name = nameOf(request.dictionary_name);
    space.claim(name, 'plain');
    const dictionary = space.edit(name, 'dictionary');
    if (dictionary !== undefined && request.delete === 'all') space.drop(name);
    else if (dictionary !== undefined) {
      for (const field of request.some.fields) remove(dictionary, nameOf(field));
      space.settled(name, dictionary);
    }
    return new cache_client._DictionaryDeleteResponse();
  },

  DictionaryLength(scope: Scope, { dictionary_name }: cache_client._DictionaryLengthRequest) {
    const { _Found, _Missing } = cache_client._DictionaryLengthResponse;
    const dictionary = only('dictionary', read(scope, dictionary_name));
    if (dictionary === undefined) return new cache_client._DictionaryLengthResponse({ missing: new _Missing() });
    return new cache_client._DictionaryLengthResponse({ found: new _Found({ length: dictionary.fields.size }) });
  },
};

interface Write {
  readonly dictionary_name: Bytes;
  readonly ttl_milliseconds: number;
  readonly refresh_ttl: boolean;
}

interface Field {
  readonly field: Bytes;
  readonly value: Bytes;
}

function write({ space, limits }: Scope, request: Write, items: readonly Field[]): void {
  const name = nameOf(request.dictionary_name);
  checkTtl(limits, request.ttl_milliseconds);
  const held = only('dictionary', space.current(name));
  const added = new Map<string, Field>();
  for (const item of items) {
    if (item.field.length === 0) throw invalid('field must not be empty');
    checkElement(limits, item.field);
    checkElement(limits, item.value);
    added.set(nameOf(item.field), item);
  }
  let size = held?.size ?? 0;
  for (const [key, { field, value }] of added) size += field.length + value.length - sizeOf(held, key);
  checkItem(limits, size);
  space.claim(name, 'plain');
  if (added.size === 0) return;
  const dictionary = space.open(name, 'dictionary', request.ttl_milliseconds, request.refresh_ttl);
  for (const [key, item] of added) dictionary.fields.set(key, item);
  dictionary.size = size;
}

/** Of the field and its value; 0 if there is none. */
function sizeOf(dictionary: Dictionary | undefined, key: string): number {
  const held = dictionary?.fields.get(key);
  return held === undefined ? 0 : held.field.length + held.value.length;
}

function remove(dictionary: Dictionary, key: string): void {
  dictionary.size -= sizeOf(dictionary, key);
  dictionary.fields.delete(key);
}
