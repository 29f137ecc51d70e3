import { setMaxListeners } from 'node:events';
import { asError } from '../errors.ts';
import type { MappingEvent } from './events.ts';
import type { MappingSettings } from './options.ts';

/** What the parts of one running mapping share. */
export class Run {
  readonly settings: MappingSettings;
  readonly #stop = new AbortController();
  #killed = false;
  #failure: Error | undefined;
  #die: () => void = () => {};
  /** Resolves when it is killed. */
  readonly death = new Promise<void>((resolve) => {
    this.#die = resolve;
  });

  constructor(settings: MappingSettings) {
    this.settings = settings;
    // Every shard waits for it.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Aborted: nothing new is begun. */
  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Nothing that comes to an end from now on counts. */
  get killed(): boolean {
    return this.#killed;
  }

  /** Why it ended by itself. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  onStop(listener: () => void): void {
    this.#stop.signal.addEventListener('abort', listener, { once: true });
  }

  stop(): void {
    this.#stop.abort('the mapping is to stop');
  }

  kill(): void {
    this.#killed = true;
    this.#die();
    this.#stop.abort('the mapping is to stop');
  }

  /** Ends it. If it is about to end, that is told then. */
  fail(thrown: unknown): void {
    if (this.#killed) return;
    this.#failure ??= asError(thrown);
    if (!this.stopping.aborted) this.kill();
  }

  emit(event: MappingEvent): void {
    if (this.#killed) return;
    try {
      this.settings.onEvent(event);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Waits, but not if the mapping is to stop. */
  async pause(ms: number): Promise<void> {
    await this.settings.clock.sleep(ms, this.stopping);
  }
}
