import type { CacheClient } from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';

/** What stands between workers and their caches, to make trouble. */
export interface Gate {
  readonly isStopped: boolean;
  stop(): void;
  start(): void;
  /** Calls of caches since the beginning. */
  readonly calls: number;
  /** Each further call counts against the number; the first that is too many calls `onDeath`, and it and all later ones fail. */
  killAfter(calls: number, onDeath: () => void): void;
  /** A pass for one life of a worker. Calls with the pass of an earlier life fail, so that nothing of a killed worker takes effect later. */
  pass(): Pass;
}

/** @throws whatever stands in the way of a call */
type Pass = () => void;

export function gate(): Gate {
  let stopped = false;
  let calls = 0;
  let life = 0;
  let deadly: { left: number; onDeath: () => void } | undefined;
  return {
    get isStopped() {
      return stopped;
    },
    get calls() {
      return calls;
    },
    stop() {
      stopped = true;
    },
    start() {
      stopped = false;
    },
    killAfter(left, onDeath) {
      deadly = { left, onDeath };
    },
    pass() {
      life += 1;
      deadly = undefined;
      const own = life;
      return () => {
        if (own !== life) throw new Error('this worker was killed');
        if (deadly) {
          deadly.left -= 1;
          if (deadly.left < 0) {
            const { onDeath } = deadly;
            deadly = undefined;
            life += 1;
            onDeath();
            throw new Error('this worker was killed');
          }
        }
        if (stopped) throw new CacheUnavailableError('the cache gives no answer, because the playground has stopped it');
        calls += 1;
      };
    },
  };
}

/** The cache as readers reach it: not at all while the gate is stopped. */
export function stoppable(cache: CacheClient, isStopped: () => boolean): CacheClient {
  return new Proxy(cache, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function' || name === 'close') return method;
      return async (...args: readonly unknown[]) => {
        if (isStopped()) throw new CacheUnavailableError('the cache gives no answer, because the playground has stopped it');
        return await Reflect.apply(method, target, args);
      };
    },
  });
}
