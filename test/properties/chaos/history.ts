import type { LineStep, OrderStep } from '../world/history.ts';
import type { ViewSet } from './views.ts';

/** What can fail. `function`: Lambda itself. */
export type Service = 'cache' | 'letters' | 'table' | 'stream' | 'checkpoints' | 'function';

/**
 * - `away`: no call gets through; the function is throttled;
 * - `flaky`: calls are refused, or take effect without an answer, in part, or later; the function crashes, or is invoked twice;
 * - `slow`: calls take seconds; the function takes longer than its timeout.
 */
export type Weather = 'fine' | 'away' | 'flaky' | 'slow';

/** The image of a record that the stream spoils. `old`: the old addresses of the item will never be known. */
export type Garble = 'none' | 'new' | 'old';

interface Writing {
  /** The time between the read of the writer and its conditional write, ms. */
  readonly lag: number;
  readonly garble: Garble;
}

/** A number chooses one of the things that exist at that time, modulo their count. */
export type Act =
  | (OrderStep & Writing)
  | (LineStep & Writing)
  | { readonly type: 'stranger'; readonly n: number }
  /** A record that names no item. */
  | { readonly type: 'garbage'; readonly kind: 'keyless' | 'truncate' }
  | { readonly type: 'weather'; readonly of: Service; readonly is: Weather }
  /** The process of a worker dies. After `downMs` another one goes on from the checkpoint `stale` saves ago. */
  | { readonly type: 'kill'; readonly worker: number; readonly downMs: number; readonly stale: number }
  /** A worker stops in order, and starts again. */
  | { readonly type: 'restart'; readonly worker: number }
  /** A worker begins again at the oldest record of the stream. */
  | { readonly type: 'replay'; readonly worker: number }
  /** A further worker begins at the checkpoint of another one, `stale` saves ago. */
  | { readonly type: 'second'; readonly stale: number }
  /** `broken`: no view can project anything. `limping`: one view cannot. */
  | { readonly type: 'deploy'; readonly code: 'good' | 'broken' | 'limping'; readonly view: number }
  /** The views learn to project cursed items. */
  | { readonly type: 'mend' }
  | { readonly type: 'redrive'; readonly limit: number | undefined; readonly dieAfterMs: number | undefined }
  | { readonly type: 'evict'; readonly list: boolean; readonly target: number; readonly part: number }
  | { readonly type: 'flush' }
  /** A reader fills the cache. It takes `readMs` from its lease to its read, and `settleMs` from there to its settle. */
  | { readonly type: 'fill'; readonly list: boolean; readonly target: number; readonly readMs: number; readonly settleMs: number }
  | { readonly type: 'split' | 'roll'; readonly shard: number }
  /** The stream is disabled and enabled. The old and the new one are followed at once. */
  | { readonly type: 'renew' }
  | { readonly type: 'expire-iterators' }
  /** Every worker is down for `hours`. */
  | { readonly type: 'night'; readonly hours: number };

/** `passMs`: the time that passes after the step, ms. */
export type Step = Act & { readonly passMs: number };

export interface MappingSettings {
  readonly shards: number;
  readonly pageSize: number;
  readonly batchSize: number;
  readonly windowS: number;
  readonly factor: number;
  readonly retries: number;
  readonly ageS: number;
  readonly bisects: boolean;
  readonly filters: boolean;
}

export interface History {
  /** The seed of everything that happens by chance. */
  readonly seed: number;
  readonly views: ViewSet;
  /** No value is too large, no view throws at an item, and no record is spoilt, because those leave lists incomplete and so hide other faults. */
  readonly plain: boolean;
  /** The cache loses keys. */
  readonly losses: boolean;
  readonly mapping: MappingSettings;
  readonly timeoutMs: number;
  readonly marginMs: number;
  readonly poisonRunLimit: number;
  readonly steps: readonly Step[];
}
