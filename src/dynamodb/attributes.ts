import type { Attributes } from '../change.ts';
import { MalformedRecordError } from '../errors.ts';

/** Attributes as DynamoDB gives them: each value under the name of its type, `{ "pk": { "S": "order#1" } }`. */
export type Marshalled = { readonly [name: string]: unknown };

/**
 * Decodes an image, or an item as the table gives it. `Attributes` says what numbers, sets and binary become.
 *
 * Serialisers of other languages write a property for each type and fill those that are not meant with null, false or something empty. An attribute
 * has one type, so the only value that is not such a filler is meant.
 *
 * @throws MalformedRecordError that names the attribute, when its type is not certain or its value is not of that type.
 */
export function attributesOf(marshalled: Marshalled): Attributes {
  if (!isObject(marshalled)) throw new MalformedRecordError(`attributes are ${shapeOf(marshalled)} where an object belongs`);
  return decodeAll(marshalled, undefined);
}

/**
 * A key in the table's own form, with one type for each attribute, whatever else the serialiser wrote.
 *
 * @throws MalformedRecordError when an attribute is not a string, a number or binary, as DynamoDB's keys are.
 */
export function keyOnly(marshalled: Marshalled): Marshalled {
  if (!isObject(marshalled)) throw new MalformedRecordError(`a key is ${shapeOf(marshalled)} where an object belongs`);
  const key: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(marshalled)) {
    const where = `attribute "${name}"`;
    const type = typeOf(value, where);
    if (type !== 'S' && type !== 'N' && type !== 'B')
      throw new MalformedRecordError(`key ${where} is of type "${type}": a key is S, N or B`);
    key[name] = { [type]: (value as Marshalled)[type] };
  }
  return key;
}

/** @param where what an error names: the attribute that these attributes are part of. Absent: they are the item's own. */
function decodeAll(marshalled: Marshalled, where: string | undefined): Attributes {
  const attributes: Record<string, unknown> = {};
  for (const name in marshalled) {
    const value = decode(marshalled[name], where ?? `attribute "${name}"`);
    // An attribute may have this name. Assigning it would set the prototype and not a property.
    if (name === '__proto__') Object.defineProperty(attributes, name, { value, enumerable: true });
    else attributes[name] = value;
  }
  return attributes;
}

/** Decodes in one pass. `unmarshall` of @aws-sdk/util-dynamodb and a second pass for sets and binary took three times as long. */
function decode(marshalled: unknown, where: string): unknown {
  const type = typeOf(marshalled, where);
  const value = (marshalled as Marshalled)[type];
  switch (type) {
    case 'S':
      return typeof value === 'string' ? value : refuse(where, type, value, 'a string');
    case 'N':
      return exactNumber(value, where);
    case 'BOOL':
      return typeof value === 'boolean' ? value : refuse(where, type, value, 'true or false');
    case 'NULL':
      return value === true ? null : refuse(where, type, value, 'true');
    case 'M':
      return isObject(value) ? decodeAll(value, partOf(where)) : refuse(where, type, value, 'an object');
    case 'L': {
      const part = partOf(where);
      return listOf(where, type, value).map((element) => decode(element, part));
    }
    case 'SS':
      return listOf(where, type, value).map((text) => (typeof text === 'string' ? text : refuse(where, type, text, 'a string')));
    case 'NS':
      return listOf(where, type, value).map((text) => exactNumber(text, where));
    case 'B':
      return base64(value, where, type);
    case 'BS':
      return listOf(where, type, value).map((binary) => base64(binary, where, type));
    default:
      throw new MalformedRecordError(`${where} is of type "${type}", which DynamoDB does not have`);
  }
}

const TYPES = ['S', 'N', 'B', 'BOOL', 'NULL', 'M', 'L', 'SS', 'NS', 'BS'];

/** The type that is meant. Most attributes have one property, so this is found without looking at the values. */
function typeOf(marshalled: unknown, where: string): string {
  if (!isObject(marshalled)) {
    throw new MalformedRecordError(`${where} is ${shapeOf(marshalled)} where an object with a type belongs, such as {"S": "text"}`);
  }
  let found: string | undefined;
  for (const type in marshalled) {
    if (marshalled[type] === undefined || marshalled[type] === null) continue;
    if (found !== undefined) return certainType(marshalled, where);
    found = type;
  }
  if (found === undefined) throw new MalformedRecordError(`${where} has no value`);
  return found;
}

function certainType(marshalled: Marshalled, where: string): string {
  const given = Object.keys(marshalled).filter((name) => marshalled[name] !== undefined && marshalled[name] !== null);
  const strange = given.find((name) => !TYPES.includes(name) && !/^Is[A-Z]+Set$/.test(name));
  if (strange !== undefined) throw new MalformedRecordError(`${where} is of type "${strange}", which DynamoDB does not have`);
  const types = given.filter((name) => TYPES.includes(name));
  // The SDK for .NET says which type was set: IsLSet, IsMSet, IsBOOLSet.
  const said = types.filter((type) => marshalled[`Is${type}Set`] === true);
  const meant = types.filter((type) => !isFiller(marshalled[type]));
  const [only] = [said, meant, types].find((some) => some.length === 1) ?? [];
  if (only === undefined || meant.some((type) => type !== only)) {
    throw new MalformedRecordError(
      `${where} has values of the types ${types.map((type) => `"${type}"`).join(' and ')}: an attribute has one type`,
    );
  }
  return only;
}

/** What serialisers write for a type that is not meant. */
function isFiller(value: unknown): boolean {
  if (value === false || value === '') return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

function isObject(value: unknown): value is Marshalled {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(where: string, type: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(where, type, value, 'a list');
}

function base64(value: unknown, where: string, type: string): string {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : refuse(where, type, value, 'base64 or bytes');
}

/** The names within an attribute may be keys that the item's author chose, so an error does not show them. */
function partOf(where: string): string {
  return where.startsWith('a part of') ? where : `a part of ${where}`;
}

function refuse(where: string, type: string, value: unknown, wanted: string): never {
  throw new MalformedRecordError(`${where} of type "${type}" has ${shapeOf(value)} where ${wanted} belongs`);
}

/** What a value is, without the value. */
function shapeOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

const PLAIN_INTEGER = /^-?\d{1,15}$/;
/** DynamoDB's numbers have up to 38 digits and an exponent from -130 to 125 (DynamoDB Developer Guide, "Data types"). */
const MOST_CHARACTERS = 130;

/** A number that a double cannot hold exactly stays text. */
function exactNumber(text: unknown, where: string): number | string {
  if (typeof text !== 'string') return refuse(where, 'N', text, 'a string');
  if (text.length > MOST_CHARACTERS) {
    throw new MalformedRecordError(`${where} has a number of ${text.length} characters: DynamoDB's have at most ${MOST_CHARACTERS}`);
  }
  if (PLAIN_INTEGER.test(text)) return Number(text);
  const exact = decimal(text);
  if (exact === undefined) throw new MalformedRecordError(`${where} of type "N" is not a decimal number`);
  const number = Number(text);
  return Number.isFinite(number) && exact === decimal(String(number)) ? number : text;
}

/** A decimal number as sign, digits and exponent, so that 1.50, 15E-1 and 1.5 are equal. */
function decimal(text: string): string | undefined {
  const [, sign, whole = '', fraction = '', exponent = '0'] = text.match(/^([-+]?)(\d*)(?:\.(\d*))?(?:e([-+]?\d+))?$/i) ?? [];
  if (whole + fraction === '') return undefined;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const scale = Number(exponent) - fraction.length + (digits.length - significant.length);
  return `${sign === '-' ? '-' : ''}${significant}e${scale}`;
}
