import { setMaxListeners } from 'node:events';
import { asError } from '../errors.ts';
import type { MappingEvent } from './events.ts';
import type { MappingSettings } from './options.ts';

/** What the parts of one running mapping share: its settings, its events, and how it ends. */
export class Run {
  readonly settings: MappingSettings;
  readonly #stop = new AbortController();
  #killed = false;
  #failure: Error | undefined;
  #die: () => void = () => {};
  /** Resolves when the mapping is killed. */
  readonly death = new Promise<void>((resolve) => {
    this.#die = resolve;
  });

  constructor(settings: MappingSettings) {
    this.settings = settings;
    // Each lane and poller of each shard listens.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Aborted when the mapping is stopped or killed. Then no work may be started. */
  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether the mapping was killed. Then the results of running work must be ignored. */
  get killed(): boolean {
    return this.#killed;
  }

  /** The fault that ended the mapping. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  onStop(listener: () => void): void {
    this.#stop.signal.addEventListener('abort', listener, { once: true });
  }

  stop(): void {
    this.#stop.abort('the mapping is stopping');
  }

  kill(): void {
    this.#killed = true;
    this.#die();
    this.#stop.abort('the mapping was killed');
  }

  /** Ends the mapping because of a fault. If it is stopping already, the fault is kept for `finished`. */
  fail(thrown: unknown): void {
    if (this.#killed) return;
    this.#failure ??= asError(thrown);
    if (!this.stopping.aborted) this.kill();
  }

  /** Passes an event to `onEvent`. A throw ends the mapping. */
  emit(event: MappingEvent): void {
    if (this.#killed) return;
    try {
      this.settings.onEvent(event);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Resolves after `ms`, or when the mapping is stopping. */
  async pause(ms: number): Promise<void> {
    await this.settings.clock.sleep(ms, this.stopping);
  }
}
