import { hash } from 'node:crypto';
import type { Attributes } from '../change.ts';
import { MalformedRecordError, quoted } from '../errors.ts';

/** Attributes as DynamoDB gives them: each value under the name of its type, `{ "pk": { "S": "order#1" } }`. */
export type Marshalled = { readonly [name: string]: unknown };

/**
 * Decodes an image, or an item as the table gives it, to what views receive. Sets become arrays. Binary becomes base64. A number becomes text where
 * a double cannot hold it exactly.
 *
 * Serialisers of other languages write a property for each type and fill those that are not meant with null, false or something empty. An attribute
 * has one type, so the only value that is not such a filler is meant.
 *
 * @throws MalformedRecordError that names the attribute, when its type is not certain or its value is not of that type.
 */
export function attributesOf(marshalled: Marshalled): Attributes {
  if (!isObject(marshalled)) throw new MalformedRecordError(`attributes are ${shapeOf(marshalled)} where an object belongs`);
  return decodeAll(marshalled, undefined, 0);
}

/** The longest partition key, in UTF-8; sort keys are shorter (DynamoDB Developer Guide, "Quotas"). */
const MOST_KEY_BYTES = 2_048;
const MOST_BASE64 = Math.ceil(MOST_KEY_BYTES / 3) * 4;

/** A text has at least as many bytes. */
function lengthOf(content: unknown): number {
  return typeof content === 'string' || content instanceof Uint8Array ? content.length : 0;
}

/**
 * A key in the table's own form, with one type for each attribute, whatever else the serialiser wrote.
 *
 * @throws MalformedRecordError when an attribute is not a string, a number or binary, as DynamoDB's keys are.
 */
export function keyOnly(marshalled: Marshalled): Marshalled {
  if (!isObject(marshalled)) throw new MalformedRecordError(`a key is ${shapeOf(marshalled)} where an object belongs`);
  const names = Object.keys(marshalled);
  if (names.length > 2) throw new MalformedRecordError(`a key has ${names.length} attributes: an item has one or two key attributes`);
  const key: Record<string, unknown> = {};
  for (const name of names) {
    const value = marshalled[name];
    const type = typeOf(value, name, 0);
    if (type !== 'S' && type !== 'N' && type !== 'B')
      throw new MalformedRecordError(`key attribute ${quoted(name)} is of ${typeName(type)}: a key is S, N or B`);
    const content = (value as Marshalled)[type];
    if (lengthOf(content) > (type === 'B' ? MOST_BASE64 : MOST_KEY_BYTES))
      throw new MalformedRecordError(`key attribute ${quoted(name)} is longer than the ${MOST_KEY_BYTES} bytes that DynamoDB takes`);
    set(key, name, { [type]: content });
  }
  return key;
}

/** An attribute may have the name `__proto__`. Assigning that would set the prototype and not a property. */
function set(attributes: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(attributes, name, { value, enumerable: true });
  else attributes[name] = value;
}

/** DynamoDB nests attributes 32 levels deep (DynamoDB Developer Guide, "Quotas"). Twice of that leaves room for how it counts. */
const MOST_LEVELS = 64;

/**
 * @param whole the attribute that these attributes are part of. Absent: they are the item's own.
 * @param level how deep these attributes are: 0 for the item's own
 */
function decodeAll(marshalled: Marshalled, whole: string | undefined, level: number): Attributes {
  const attributes: Record<string, unknown> = {};
  for (const name in marshalled) {
    set(attributes, name, decode(marshalled[name], whole ?? name, level));
  }
  return attributes;
}

/** Decodes in one pass. `unmarshall` of @aws-sdk/util-dynamodb and a second pass for sets and binary took three times as long. */
function decode(marshalled: unknown, name: string, level: number): unknown {
  if (level > MOST_LEVELS) throw new MalformedRecordError(`${whereOf(name, level)} is nested deeper than attributes of DynamoDB are`);
  const type = typeOf(marshalled, name, level);
  const value = (marshalled as Marshalled)[type];
  switch (type) {
    case 'S':
      return typeof value === 'string' ? value : refuse(name, level, type, value, 'a string');
    case 'N':
      return exactNumber(value, name, level);
    case 'BOOL':
      return typeof value === 'boolean' ? value : refuse(name, level, type, value, 'true or false');
    case 'NULL':
      return value === true ? null : refuse(name, level, type, value, 'true');
    case 'M':
      return isObject(value) ? decodeAll(value, name, level + 1) : refuse(name, level, type, value, 'an object');
    case 'L':
      return listOf(name, level, type, value).map((element) => decode(element, name, level + 1));
    case 'SS':
      return listOf(name, level, type, value).map((text) =>
        typeof text === 'string' ? text : refuse(name, level, type, text, 'a string'),
      );
    case 'NS':
      return listOf(name, level, type, value).map((text) => exactNumber(text, name, level));
    case 'B':
      return base64(value, name, level, type);
    case 'BS':
      return listOf(name, level, type, value).map((binary) => base64(binary, name, level, type));
    default:
      throw new MalformedRecordError(`${whereOf(name, level)} is of ${typeName(type)}, which DynamoDB does not have`);
  }
}

const TYPES = ['S', 'N', 'B', 'BOOL', 'NULL', 'M', 'L', 'SS', 'NS', 'BS'];

/** The type that is meant. Most attributes have one property, so this is found without looking at the values. */
function typeOf(marshalled: unknown, name: string, level: number): string {
  if (!isObject(marshalled)) {
    throw new MalformedRecordError(
      `${whereOf(name, level)} is ${shapeOf(marshalled)} where an object with a type belongs, such as {"S": "text"}`,
    );
  }
  let found: string | undefined;
  for (const type in marshalled) {
    if (marshalled[type] === undefined || marshalled[type] === null) continue;
    if (found !== undefined) return certainType(marshalled, name, level);
    found = type;
  }
  if (found === undefined) throw new MalformedRecordError(`${whereOf(name, level)} has no value`);
  return found;
}

function certainType(marshalled: Marshalled, name: string, level: number): string {
  const given = Object.keys(marshalled).filter((name) => marshalled[name] !== undefined && marshalled[name] !== null);
  const strange = given.find((type) => !TYPES.includes(type) && !/^Is[A-Z]+Set$/.test(type));
  if (strange !== undefined)
    throw new MalformedRecordError(`${whereOf(name, level)} is of ${typeName(strange)}, which DynamoDB does not have`);
  const types = given.filter((name) => TYPES.includes(name));
  // The SDK for .NET says which type was set: IsLSet, IsMSet, IsBOOLSet.
  const said = types.filter((type) => marshalled[`Is${type}Set`] === true);
  const meant = types.filter((type) => !isFiller(marshalled[type]));
  const [only] = [said, meant, types].find((some) => some.length === 1) ?? [];
  if (only === undefined || meant.some((type) => type !== only)) {
    throw new MalformedRecordError(
      `${whereOf(name, level)} has values of the types ${types.map((type) => `"${type}"`).join(' and ')}: an attribute has one type`,
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

function listOf(name: string, level: number, type: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(name, level, type, value, 'a list');
}

function base64(value: unknown, name: string, level: number, type: string): string {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : refuse(name, level, type, value, 'base64 or bytes');
}

/** The names within an attribute may be keys that the item's author chose, so an error does not show them. */
function whereOf(name: string, level: number): string {
  return `${level > 0 ? 'a part of ' : ''}attribute ${quoted(name)}`;
}

/** What stands where a type belongs may be a value, so only a short word is shown. */
function typeName(type: string): string {
  return /^[A-Za-z]{1,8}$/.test(type) ? `type "${type}"` : `a type of ${type.length} characters`;
}

function refuse(name: string, level: number, type: string, value: unknown, wanted: string): never {
  throw new MalformedRecordError(`${whereOf(name, level)} of type "${type}" has ${shapeOf(value)} where ${wanted} belongs`);
}

/** What a value is, without the value. */
export function shapeOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

const PLAIN_INTEGER = /^-?\d{1,15}$/;
/** DynamoDB's numbers have up to 38 digits and an exponent from -130 to 125 (DynamoDB Developer Guide, "Data types"). */
const MOST_CHARACTERS = 130;

/** A number that a double cannot hold exactly stays text. */
function exactNumber(text: unknown, name: string, level: number): number | string {
  if (typeof text !== 'string') return refuse(name, level, 'N', text, 'a string');
  if (text.length > MOST_CHARACTERS) {
    throw new MalformedRecordError(
      `${whereOf(name, level)} has a number of ${text.length} characters: DynamoDB's have at most ${MOST_CHARACTERS}`,
    );
  }
  if (PLAIN_INTEGER.test(text)) return Number(text);
  const exact = decimal(text);
  if (exact === undefined) throw new MalformedRecordError(`${whereOf(name, level)} of type "N" is not a decimal number`);
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

/** What a log shows in place of a secret value: `#` and the first 8 hex digits of the SHA-256 of its text. */
export function hashed(value: unknown): string {
  const text = typeof value === 'string' ? value : String(JSON.stringify(value));
  return `#${hash('sha256', text, 'hex').slice(0, 8)}`;
}
