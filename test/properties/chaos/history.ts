import type { LineStep, OrderStep } from '../world/history.ts';
import type { ViewSet } from './views.ts';

/** What can fail. `function`: Lambda itself. */
export type Service = 'cache' | 'letters' | 'table' | 'stream' | 'checkpoints' | 'function';

/**
 * - `away`: no call gets through (of the function: it is throttled);
 * - `flaky`: calls are refused, or take effect and are not answered, or in part, or later (the function: it crashes, or is invoked twice);
 * - `slow`: calls take seconds, and the function more than its time.
 */
export type Weather = 'fine' | 'away' | 'flaky' | 'slow';

/** Which part of its record the stream spoils. `old`: nobody will ever know where the item was before. */
export type Garble = 'none' | 'new' | 'old';

interface Writing {
  /** Between the writer's read and its conditional write, ms. */
  readonly lag: number;
  readonly garble: Garble;
}

/** Numbers choose among what there is at that time, modulo. */
export type Act =
  | (OrderStep & Writing)
  | (LineStep & Writing)
  | { readonly type: 'stranger'; readonly n: number }
  /** A record that tells of no item. */
  | { readonly type: 'garbage'; readonly kind: 'keyless' | 'truncate' }
  | { readonly type: 'weather'; readonly of: Service; readonly is: Weather }
  /** The process of a worker dies; after so many ms another goes on from so many checkpoints ago. */
  | { readonly type: 'kill'; readonly worker: number; readonly downMs: number; readonly stale: number }
  /** In order, and begun again. */
  | { readonly type: 'restart'; readonly worker: number }
  /** A worker begins again with all that the stream has. */
  | { readonly type: 'replay'; readonly worker: number }
  /** One more worker, from so many checkpoints of the first one ago. */
  | { readonly type: 'second'; readonly stale: number }
  /** `broken`: no view can project anything. `limping`: one of them cannot. */
  | { readonly type: 'deploy'; readonly code: 'good' | 'broken' | 'limping'; readonly view: number }
  /** The views learn to project what was cursed. */
  | { readonly type: 'mend' }
  | { readonly type: 'redrive'; readonly limit: number | undefined; readonly dieAfterMs: number | undefined }
  | { readonly type: 'evict'; readonly list: boolean; readonly target: number; readonly part: number }
  | { readonly type: 'flush' }
  /** A reader fills the cache: so many ms from its lease to its read, and from there to its settling. */
  | { readonly type: 'fill'; readonly list: boolean; readonly target: number; readonly readMs: number; readonly settleMs: number }
  | { readonly type: 'split' | 'roll'; readonly shard: number }
  /** The stream is disabled and enabled, and both are followed at once. */
  | { readonly type: 'renew' }
  | { readonly type: 'expire-iterators' }
  /** Every worker is down for so long. */
  | { readonly type: 'night'; readonly hours: number };

/** `passMs`: so many ms pass after it. */
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
  /** Of everything that happens by chance. */
  readonly seed: number;
  readonly views: ViewSet;
  /** No value is too large, no view throws at an item and no record is spoilt: what they leave incomplete hides other faults. */
  readonly plain: boolean;
  /** The cache loses keys. */
  readonly losses: boolean;
  readonly mapping: MappingSettings;
  readonly timeoutMs: number;
  readonly marginMs: number;
  readonly poisonRunLimit: number;
  readonly steps: readonly Step[];
}
