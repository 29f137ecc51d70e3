import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { Failure } from './failure.ts';
import { scalars } from './scalars.ts';
import type { Scope } from './scope.ts';

const { ECacheResult } = cache_client;

/** Calls that a stream answers: one answer an item, in the order of the items. A failed item does not fail the others. */
export const batches = {
  GetBatch(scope: Scope, { items }: cache_client._GetBatchRequest) {
    return items.map((item) => {
      try {
        return scalars.Get(scope, item);
      } catch (error) {
        return new cache_client._GetResponse({ result: ECacheResult.Invalid, message: reason(error) });
      }
    });
  },

  SetBatch(scope: Scope, { items }: cache_client._SetBatchRequest) {
    return items.map((item) => {
      try {
        return scalars.Set(scope, item);
      } catch (error) {
        return new cache_client._SetResponse({ result: ECacheResult.Invalid, message: reason(error) });
      }
    });
  },
};

function reason(error: unknown): string {
  if (error instanceof Failure) return error.details;
  throw error;
}
