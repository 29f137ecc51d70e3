import { toJSONSchema } from 'zod/v4/core';
import type { Attributes } from '../change.ts';
import { entriesOf, jsonOf, parse } from '../plan/projection.ts';
import type { Entity, View } from '../view.ts';
import type { Field, Form } from './wire.ts';

/** Makes the items that a playground writes. */
export interface ItemMaker {
  /** A new item of the first entity. */
  create(): Attributes;
  /** A change of an item: the same key, other values. */
  change(item: Attributes): Attributes;
  /** The item with a value that a view cannot project. `undefined`: the maker finds none. */
  spoil(item: Attributes): Attributes | undefined;
  /** A new item that is a member of the fullest list, together with all others that this gives. */
  crowd(): Attributes;
}

const CREATORS = ['ada', 'ben', 'kai', 'mia', 'olive'];
const STATUSES = ['placed', 'baking', 'on its way', 'delivered'];
const PIZZAS = [
  { size: 'L', crust: 'thin', sauce: 'tomato', toppings: ['ham'] },
  { size: 'M', crust: 'thick', sauce: 'tomato', toppings: ['olives', 'capers'] },
  { size: 'S', crust: 'thin', sauce: 'cream', toppings: ['leek'] },
];

/** Orders of the sample's pizza shop. */
export function orderMaker(random: () => number = Math.random): ItemMaker {
  let orders = 0;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const order = (creator: string): Attributes => {
    orders += 1;
    const items = Array.from({ length: 1 + Math.floor(random() * 2) }, () => pick(PIZZAS));
    const id = String(orders);
    const createdAt = new Date().toISOString();
    return { pk: `order#${id}`, sk: 'order', id, createdAt, status: 'placed', numItems: items.length, items, creator };
  };
  return {
    create: () => order(pick(CREATORS)),
    change(item) {
      if (typeof item.quantity === 'number') return { ...item, quantity: 1 + (item.quantity % 5) };
      const next = STATUSES[STATUSES.indexOf(String(item.status)) + 1] ?? 'placed';
      const moved = random() < 0.15 && { creator: pick(CREATORS) };
      return { ...item, status: next, lastUpdated: new Date().toISOString(), ...moved };
    },
    spoil: (item) => ({ ...item, numItems: 'many' }),
    crowd: () => order('party'),
  };
}

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly minimum?: number;
}

/** The schema of an entity as JSON Schema. `undefined`: it is not one of zod. */
function schemaOf(entity: Entity<unknown>): JsonSchema | undefined {
  try {
    return toJSONSchema(entity.schema as never, { unrepresentable: 'any', io: 'input' }) as JsonSchema;
  } catch {
    return undefined;
  }
}

/** One form for each entity of the views: the key attributes, and the properties of the schema. */
export function formsOf(views: readonly View[], keys: readonly string[]): readonly Form[] {
  const entities = [...new Set(views.map(({ entity }) => entity))];
  return entities.map((entity) => {
    const { properties = {}, required = [] } = schemaOf(entity) ?? {};
    const names = [...new Set([...keys, ...Object.keys(properties)])];
    const fields = names.map((name): Field => {
      const schema = properties[name] ?? { type: 'string' };
      return { name, type: fieldType(schema), required: keys.includes(name) || required.includes(name), hint: hintOf(schema) };
    });
    return { entity: entity.name, fields };
  });
}

function fieldType({ type, enum: values }: JsonSchema): Field['type'] {
  if (type === 'number' || type === 'integer') return 'number';
  if (type === 'boolean') return 'boolean';
  return type === 'string' || (values?.every((value) => typeof value === 'string') ?? false) ? 'text' : 'json';
}

function hintOf({ type, format, enum: values }: JsonSchema): string {
  if (values) return values.map(String).join(', ');
  if (format === 'date-time') return 'a time, such as 2026-11-22T18:30:00Z';
  return type === 'array' ? 'a JSON array' : type === 'object' ? 'a JSON object' : '';
}

/** What a new item of an entity may be, of the maker if it makes such items; empty if its schema does not tell. */
export function itemFor(entity: Entity<unknown>, views: readonly View[], maker: ItemMaker): Attributes {
  const made = maker.create();
  return entity.owns(made) ? made : (generated(entity, views, Math.random, 1) ?? {});
}

/** Items for any views: from `from` of the views the keys, and from the schema the values. */
export function anyMaker(views: readonly View[], random: () => number = Math.random): ItemMaker {
  const entities = [...new Set(views.map(({ entity }) => entity))];
  let made = 0;
  const create = (crowded = false): Attributes => {
    for (let tries = 0; tries < TRIES; tries += 1) {
      made += 1;
      const entity = entities[Math.floor(random() * entities.length)] as Entity<unknown>;
      const item = generated(entity, views, random, made, crowded);
      if (item) return item;
    }
    throw new Error('no item could be made for these views, because their schemas or keys are not known: write items with the form');
  };
  return {
    create: () => create(),
    crowd: () => create(true),
    change(item) {
      const entity = entities.find((entity) => entity.owns(item));
      const schema = entity && schemaOf(entity);
      for (let tries = 0; entity && schema && tries < TRIES; tries += 1) {
        const values = generatedValue(schema, random, made) as Attributes;
        const changed = { ...item, ...without(values, Object.keys(keyOf(item, views))) };
        if (isSound(entity, views, changed)) return changed;
      }
      return item;
    },
    spoil(item) {
      const entity = entities.find((entity) => entity.owns(item));
      if (!entity) return undefined;
      const keys = Object.keys(keyOf(item, views));
      for (const name of Object.keys(item)) {
        if (keys.includes(name)) continue;
        for (const wrong of ['spoilt', -1, true]) {
          const spoilt = { ...item, [name]: wrong };
          if (entity.owns(spoilt) && !isSound(entity, views, spoilt)) return spoilt;
        }
      }
      return undefined;
    },
  };
}

const TRIES = 50;

/** The key attributes that the views of an item name. Default: `pk` and `sk`. */
function keyOf(item: Attributes, views: readonly View[]): Attributes {
  for (const view of views) {
    if (view.kind !== 'document' || !view.from || !view.entity.owns(item)) continue;
    const key = view.from('1');
    if (key) return key;
  }
  return { pk: item.pk, sk: item.sk };
}

function generated(
  entity: Entity<unknown>,
  views: readonly View[],
  random: () => number,
  n: number,
  crowded = false,
): Attributes | undefined {
  const schema = schemaOf(entity);
  if (!schema) return undefined;
  const values = generatedValue(schema, random, n) as Attributes;
  for (const view of views) {
    if (view.entity !== entity) continue;
    const key = String(n);
    let keys: Attributes | undefined;
    if (view.kind === 'document') keys = view.from?.(key);
    else {
      const query = view.from?.(crowded ? 'party' : `group-${1 + Math.floor(random() * 3)}`);
      if (query?.partition) {
        const { partition, sort } = query;
        const time = new Date(Date.now() + n).toISOString();
        // A sort key that begins with a text often goes on with a number or a time.
        const ends = [time, key];
        for (const end of ends) {
          const item = { ...values, [partition.name]: partition.value, ...(sort && { [sort.name]: `${sort.beginsWith ?? ''}${end}` }) };
          if (isSound(entity, views, item)) return item;
        }
      }
    }
    const item = { ...values, ...keys };
    if (keys && isSound(entity, views, item)) return item;
  }
  const item = { pk: `${entity.name}#${n}`, sk: entity.name, ...values };
  return isSound(entity, views, item) ? item : undefined;
}

function isSound(entity: Entity<unknown>, views: readonly View[], item: Attributes): boolean {
  try {
    if (!entity.owns(item)) return false;
    return views.every((view) => entriesOf(view, parse(view.entity, item), 'item', jsonOf).every(Boolean));
  } catch {
    return false;
  }
}

const WORDS = ['basil', 'olive', 'pepper', 'tomato', 'oregano'];

function generatedValue(schema: JsonSchema, random: () => number, n: number): unknown {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const { type, format, properties = {}, required = [], items, enum: values, anyOf } = schema;
  if (schema.const !== undefined) return schema.const;
  if (values) return pick(values);
  if (anyOf?.[0]) return generatedValue(pick(anyOf), random, n);
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(properties)
          .filter(([name]) => required.includes(name) || random() < 0.5)
          .map(([name, part]) => [name, name === 'id' && part.type === 'string' ? String(n) : generatedValue(part, random, n)]),
      );
    case 'array':
      return Array.from({ length: 1 + Math.floor(random() * 2) }, () => generatedValue(items ?? { type: 'string' }, random, n));
    case 'number':
    case 'integer':
      return Math.max(schema.minimum ?? 0, Math.floor(random() * 100));
    case 'boolean':
      return random() < 0.5;
    case 'string':
      return format === 'date-time' ? new Date().toISOString() : pick(WORDS);
    default:
      return pick(WORDS);
  }
}

function without(attributes: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));
}
