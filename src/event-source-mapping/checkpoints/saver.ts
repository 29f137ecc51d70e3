import { asError } from '../../errors.ts';
import type { Run } from '../run.ts';
import type { Checkpoint } from './checkpoints.ts';

/** Saves the checkpoints of one shard, one at a time. Skips all but the newest, and repeats a save that fails. */
export class Saver {
  readonly #run: Run;
  readonly #shardId: string;
  #next: Checkpoint | undefined;
  #saving: Promise<void> | undefined;

  constructor(run: Run, shardId: string) {
    this.#run = run;
    this.#shardId = shardId;
  }

  save(checkpoint: Checkpoint): void {
    if (this.#run.killed) return;
    this.#next = checkpoint;
    if (this.#saving) return;
    this.#saving = this.#save();
    // `saved` passes the failure on.
    this.#saving.catch(() => {});
  }

  /** Resolves when the newest checkpoint is durable. Rejects when it could not be saved and the mapping is stopping. */
  async saved(): Promise<void> {
    while (this.#saving && !this.#run.killed) await this.#saving;
  }

  async #save(): Promise<void> {
    for (let failures = 0; this.#next && !this.#run.killed; ) {
      const checkpoint: Checkpoint = this.#next;
      this.#next = undefined;
      const error = await this.#attempt(checkpoint);
      if (!error) {
        failures = 0;
        this.#run.emit({ type: 'checkpoint', shardId: this.#shardId, checkpoint });
        continue;
      }
      this.#next ??= checkpoint;
      this.#run.emit({ type: 'checkpoint-failed', shardId: this.#shardId, error });
      if (this.#run.stopping.aborted) throw error;
      failures += 1;
      await this.#run.pause(this.#run.settings.backoffMs(failures));
    }
    this.#saving = undefined;
  }

  async #attempt(checkpoint: Checkpoint): Promise<Error | undefined> {
    try {
      await this.#run.settings.checkpoints.save(this.#shardId, checkpoint);
      return undefined;
    } catch (error) {
      return asError(error);
    }
  }
}
