import * as z from 'zod/mini';
import { entity } from '../view.ts';

const orderSchema = z.object({
  id: z.string().check(z.minLength(1)),
  createdAt: z.iso.datetime(),
  status: z.string(),
  numItems: z.number(),
  items: z.array(z.object({ size: z.string(), crust: z.string(), sauce: z.string(), toppings: z.array(z.string()) })),
  creator: z.string().check(z.minLength(1)),
  lastUpdated: z.optional(z.iso.datetime()),
});

export type Order = z.infer<typeof orderSchema>;

/** The primary key of an order. The shop writes the id into the key and into the attribute `id`. */
export const orderKey = (id: string) => ({ pk: `order#${id}`, sk: 'order' });

export const order = entity<Order>({
  name: 'order',
  owns: ({ pk, sk }) => sk === 'order' && typeof pk === 'string' && pk.startsWith('order#'),
  schema: orderSchema,
});
