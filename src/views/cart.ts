import * as z from 'zod/mini';
import { entity, listView } from '../view.ts';

const LINE = 'product#';

const cartLine = entity({
  name: 'cart line',
  owns: ({ pk, sk }) => typeof sk === 'string' && sk.startsWith(LINE) && typeof pk === 'string' && /^(cart|user)#/.test(pk),
  schema: z.object({
    pk: z.string(),
    sk: z.string(),
    quantity: z.number(),
    productDetail: z.optional(z.record(z.string(), z.unknown())),
    expiresAt: z.optional(z.number()),
  }),
  // Who knows the id of a cart can take the cart over, and `user#` has the id of a person.
  secretKeys: ['pk'],
});

/**
 * The lines of each cart. The list is named by its owner: `cart#<cartId>` or `user#<sub>`. All scores are 0, because a cart has no order. So the
 * query has no `valueAt`: every sort key has the score 0, and a reader reads the whole cart.
 */
export const cart = listView({
  name: 'cart',
  revision: 1,
  keep: 1_000,
  entity: cartLine,
  project: ({ pk, sk, quantity, productDetail }) => {
    const productId = sk.slice(LINE.length);
    return [{ list: pk, member: productId, score: 0, value: { productId, quantity, productDetail } }];
  },
  from: (owner) => ({ partition: { name: 'pk', value: owner }, sort: { name: 'sk', beginsWith: LINE } }),
});
