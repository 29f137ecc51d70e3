import { marshall } from '@aws-sdk/util-dynamodb';
import { order } from './orders.mjs';

/** A page of DynamoDB has 1 MB: about so many orders. */
const ITEMS_A_PAGE = 1_000;

const template = marshall(order(0));

/** The n-th order of a table that is generated, so that it needs no memory. @param {number} n @returns {Readonly<Record<string, any>>} as DynamoDB has it */
export function generatedItem(n) {
  const { pk, id, createdAt, creator } = order(n);
  return { ...template, pk: { S: pk }, id: { S: id }, createdAt: { S: createdAt }, creator: { S: creator } };
}

/** @param {Readonly<Record<string, any>>} key */
export function numberOf(key) {
  return Number(key.pk.S.slice('order#order-'.length));
}

/**
 * A page of a scan. The segments share the orders evenly.
 *
 * @param {number} items of the table
 * @param {{ readonly segment: number, readonly segments: number, readonly after?: Readonly<Record<string, any>> | undefined }} place
 */
export function pageOf(items, { segment, segments, after }) {
  const end = Math.floor((items * (segment + 1)) / segments);
  const from = after ? numberOf(after) + 1 : Math.floor((items * segment) / segments);
  const to = Math.min(end, from + ITEMS_A_PAGE);
  const page = [];
  for (let n = from; n < to; n += 1) page.push(generatedItem(n));
  const last = page.at(-1);
  return { items: page, units: 0, ...(last && to < end && { next: { pk: last.pk, sk: last.sk } }) };
}
