import type { LineStep, OrderStep } from './history.ts';
import type { Image } from './table.ts';
import { curse } from './views.ts';

/** The caches of these worlds reject longer values, bytes. */
export const MAX_VALUE_BYTES = 400;

const LARGE = 'x'.repeat(MAX_VALUE_BYTES);
const CREATORS = ['ann', 'bob', 'cy'];
/** The views that throw on one cursed item. */
const CURSES = [['detail'], ['orders', 'latest'], ['badge', 'admin'], ['latest'], ['detail', 'admin', 'orders', 'latest', 'badge']];
const MINUTE = 60_000;

export interface Key {
  readonly pk: string;
  readonly sk: string;
}

export function orderKey({ id }: Pick<OrderStep, 'id'>): Key {
  return { pk: `order#o${id}`, sk: 'order' };
}

/** An order after a step. `undefined`: the order is deleted. The clock makes each write a change. */
export function orderAfter(step: OrderStep, old: Image | undefined, clock: number, plain: boolean): Image | undefined {
  const kind = plain ? 'plain' : step.status;
  const curses = CURSES[step.curse % CURSES.length]?.map(curse).join('');
  const status = `s${clock}${kind === 'large' ? LARGE : kind === 'cursed' ? curses : ''}`;
  if (step.how === 'delete') return undefined;
  if (!old || step.how === 'replace') {
    const toppings = step.largeItems && !plain ? [LARGE] : ['olives', 'ham'];
    return {
      ...orderKey(step),
      id: `o${step.id}`,
      createdAt: new Date(Date.UTC(2026, 0, 1) + step.day * MINUTE).toISOString(),
      status,
      numItems: 1,
      items: [{ size: 'L', crust: 'thin', sauce: 'bbq', toppings }],
      creator: CREATORS[step.creator],
      rank: step.rank,
      listed: step.listed,
    };
  }
  switch (step.how) {
    case 'nothing':
      return old;
    case 'status':
      return { ...old, status };
    case 'creator':
      return { ...old, status, creator: CREATORS[(CREATORS.indexOf(String(old.creator)) + 1) % CREATORS.length] };
    case 'rank':
      return { ...old, status, rank: step.rank };
    case 'listed':
      return { ...old, status, listed: !old.listed };
  }
}

export function lineKey({ owner, product }: Pick<LineStep, 'owner' | 'product'>): Key {
  return { pk: owner === 0 ? 'cart#1' : 'user#2', sk: `product#p${product}` };
}

export function lineAfter(step: LineStep, clock: number, plain: boolean): Image | undefined {
  if (step.how !== 'put') return undefined;
  const detail = plain ? 'plain' : step.detail;
  const name = detail === 'large' ? LARGE : detail === 'cursed' ? curse('cart') : 'cola';
  return { ...lineKey(step), quantity: clock + 1, productDetail: { name } };
}

/** An item that no view projects. */
export function strangerAfter(n: number, clock: number): Image {
  return { pk: `legacy#${n}`, sk: 'id', newId: `${clock}` };
}

export function show(image: Image | undefined): string {
  return image ? JSON.stringify(image).replaceAll(LARGE, 'LARGE') : 'none';
}
