import { wrote } from '../fill/ticket.ts';
import { cart } from '../views/cart.ts';
import { type ApiRequest, cookieOf } from './api.ts';

/** For how long the cache may lag behind the table, s. A ticket counts for this time, and the browser keeps it for this time. */
export const TICKET_SECONDS = 60;

export const TICKET_COOKIE = 'cartTicket';

const SEPARATOR = '~';

/**
 * The value of the ticket's cookie after a write to these carts. With it, the reads of this browser show the write.
 *
 * @param owners names of lists of the view `cart`
 */
export function ticketFor(owners: readonly string[]): string {
  return owners.map((owner) => wrote(cart, owner)).join(SEPARATOR);
}

/** The tickets of the request's cookie. The browser may have changed them. */
export function ticketsIn(request: ApiRequest): readonly string[] | undefined {
  return cookieOf(request, TICKET_COOKIE)?.split(SEPARATOR);
}
