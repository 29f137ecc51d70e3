import type { View } from '../view.ts';
import { admin } from './admin.ts';
import { cart } from './cart.ts';
import { detail } from './detail.ts';
import { orders } from './orders.ts';

/** The views of this app. A new view needs a file in this folder, a line here, and a line in test/views.test.ts. */
export const views = { detail, admin, orders, cart } satisfies Record<string, View>;
