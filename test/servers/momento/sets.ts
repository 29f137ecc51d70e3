import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { invalid } from './failure.ts';
import { type Bytes, type ElementSet, nameOf } from './item.ts';
import { only } from './keyspace.ts';
import { checkElement, checkItem, checkTtl } from './limits.ts';
import { read, type Scope } from './scope.ts';

export const sets = {
  SetFetch(scope: Scope, { set_name }: cache_client._SetFetchRequest) {
    const { _Found, _Missing } = cache_client._SetFetchResponse;
    const set = only('set', read(scope, set_name));
    if (set === undefined) return new cache_client._SetFetchResponse({ missing: new _Missing() });
    return new cache_client._SetFetchResponse({ found: new _Found({ elements: [...set.elements.values()] }) });
  },

  SetSample(scope: Scope, { set_name, limit }: cache_client._SetSampleRequest) {
    const { _Found, _Missing } = cache_client._SetSampleResponse;
    const set = only('set', read(scope, set_name));
    if (set === undefined) return new cache_client._SetSampleResponse({ missing: new _Missing() });
    const elements = sample(set, limit).map(([, element]) => element);
    return new cache_client._SetSampleResponse({ found: new _Found({ elements }) });
  },

  SetUnion({ space, limits }: Scope, { set_name, elements, ttl_milliseconds, refresh_ttl }: cache_client._SetUnionRequest) {
    const name = nameOf(set_name);
    checkTtl(limits, ttl_milliseconds);
    const held = only('set', space.current(name));
    const added = new Map(elements.map((element) => [nameOf(element), element]));
    let size = held?.size ?? 0;
    for (const [key, element] of added) {
      checkElement(limits, element);
      if (!held?.elements.has(key)) size += element.length;
    }
    checkItem(limits, size);
    space.claim(name, 'plain');
    if (added.size === 0) return new cache_client._SetUnionResponse();
    const set = space.open(name, 'set', ttl_milliseconds, refresh_ttl);
    for (const [key, element] of added) set.elements.set(key, element);
    set.size = size;
    return new cache_client._SetUnionResponse();
  },

  SetDifference({ space }: Scope, request: cache_client._SetDifferenceRequest) {
    const { _Found, _Missing } = cache_client._SetDifferenceResponse;
    const name = nameOf(request.set_name);
    space.claim(name, 'plain');
    const set = space.edit(name, 'set');
    if (set === undefined) return new cache_client._SetDifferenceResponse({ missing: new _Missing() });
    if (request.difference === 'minuend') subtractFrom(request.minuend.elements, set);
    else if (request.difference === 'none' || request.subtrahend.subtrahend_set === 'none') throw invalid('a difference is required');
    else if (request.subtrahend.subtrahend_set === 'identity') set.elements.clear();
    else for (const element of request.subtrahend.set.elements) remove(set, nameOf(element));
    space.settled(name, set);
    return new cache_client._SetDifferenceResponse({ found: new _Found() });
  },

  SetContains(scope: Scope, { set_name, elements }: cache_client._SetContainsRequest) {
    const { _Found, _Missing } = cache_client._SetContainsResponse;
    const set = only('set', read(scope, set_name));
    if (set === undefined) return new cache_client._SetContainsResponse({ missing: new _Missing() });
    const contains = elements.map((element) => set.elements.has(nameOf(element)));
    return new cache_client._SetContainsResponse({ found: new _Found({ contains }) });
  },

  SetLength(scope: Scope, { set_name }: cache_client._SetLengthRequest) {
    const { _Found, _Missing } = cache_client._SetLengthResponse;
    const set = only('set', read(scope, set_name));
    if (set === undefined) return new cache_client._SetLengthResponse({ missing: new _Missing() });
    return new cache_client._SetLengthResponse({ found: new _Found({ length: set.elements.size }) });
  },

  SetPop({ space }: Scope, { set_name, count }: cache_client._SetPopRequest) {
    const { _Found, _Missing } = cache_client._SetPopResponse;
    if (count < 1) throw invalid('count must be positive');
    const name = nameOf(set_name);
    space.claim(name, 'plain');
    const set = space.edit(name, 'set');
    if (set === undefined) return new cache_client._SetPopResponse({ missing: new _Missing() });
    const popped = sample(set, count);
    for (const [key] of popped) remove(set, key);
    space.settled(name, set);
    return new cache_client._SetPopResponse({ found: new _Found({ elements: popped.map(([, element]) => element) }) });
  },
};

/** Replaces the stored set by those of the given elements that it does not contain. */
function subtractFrom(elements: readonly Bytes[], set: ElementSet): void {
  const lacking = new Map(elements.map((element) => [nameOf(element), element]));
  for (const key of set.elements.keys()) lacking.delete(key);
  set.elements.clear();
  set.size = 0;
  for (const [key, element] of lacking) {
    set.elements.set(key, element);
    set.size += element.length;
  }
}

function remove(set: ElementSet, key: string): void {
  set.size -= set.elements.get(key)?.length ?? 0;
  set.elements.delete(key);
}

/** Draws `limit` different elements at random, or all of a smaller set. */
function sample(set: ElementSet, limit: number): [string, Bytes][] {
  const all = [...set.elements];
  const count = Math.min(limit, all.length);
  for (let at = 0; at < count; at++) {
    const from = at + Math.floor(Math.random() * (all.length - at));
    [all[at], all[from]] = [all[from] as [string, Bytes], all[at] as [string, Bytes]];
  }
  return all.slice(0, count);
}
