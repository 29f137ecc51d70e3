import type { StreamRecord } from '../dynamodb/record.ts';
import type { StreamReader } from '../event-source-mapping/index.ts';

/** Stops a stream, as a lagging one does, and lets it flow again. */
export interface Dam {
  readonly isHeld: boolean;
  hold(): void;
  release(): void;
  /** Resolves when the stream flows. */
  flowing(): Promise<void>;
}

export function dam(): Dam {
  let held: Promise<void> | undefined;
  let open = (): void => {};
  return {
    get isHeld() {
      return held !== undefined;
    },
    hold() {
      held ??= new Promise((resolve) => {
        open = resolve;
      });
    },
    release() {
      held = undefined;
      open();
    },
    async flowing() {
      while (held) await held;
    },
  };
}

/** A stream behind a dam. `onRecords` sees what passes. A read that waits at the dam gives no answer until the stream flows. */
export function heldReader(reader: StreamReader, dam: Dam, onRecords: (records: readonly StreamRecord[]) => void): StreamReader {
  return {
    shards: () => reader.shards(),
    iterator: (shardId, position) => reader.iterator(shardId, position),
    async records(iterator, limit) {
      await dam.flowing();
      const page = await reader.records(iterator, limit);
      // The dam may have been closed while the read was under way.
      await dam.flowing();
      onRecords(page.records);
      return page;
    },
  };
}
