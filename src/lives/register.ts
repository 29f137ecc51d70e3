import { randomBytes } from 'node:crypto';

/** The key of the register in the cache. No view has this key, because it has no revision. */
export const REGISTER_KEY = 'lives';

/** The time in which a view is contained in all code that handles changes. Its id is part of the keys. */
export interface Life {
  /** Letters and digits. */
  readonly life: string;
  /** When the life becomes usable, ms since 1970. Absent: the life was announced, and a worker has yet to say when. */
  readonly from?: number;
}

/** Which views have a life, by their names: `detail@1`. */
export interface Register {
  readonly lives: ReadonlyMap<string, Life>;
  /** ms since 1970 */
  readonly written: number;
}

/** A life that begins later than this counts as none: a clock was wrong, ms. */
export const LONGEST_WAIT_MS = 3_600_000;

/** The last time that a `Date` can have, ms since 1970. */
const LAST_TIME = 8_640_000_000_000_000;
const LIFE_LENGTH = 10;

function newLife(): Life {
  return { life: randomBytes(6).readUIntBE(0, 6).toString(36).padStart(LIFE_LENGTH, '0') };
}

/**
 * The life of a view after the next change of the register: a new life is announced first, and an announced one gets its time.
 *
 * @param at ms since 1970
 */
export function nextLife(held: Life | undefined, at: number, waitMs: number): Life {
  if (!held || (held.from ?? 0) > at + LONGEST_WAIT_MS) return newLife();
  // Only an announced life gets a time, because a process that is slow or frozen may write its text much later.
  return held.from === undefined ? { ...held, from: at + waitMs } : held;
}

/** The register as its document has it: `{"written":1796000000000,"detail@1":{"life":"k3f9x0a1b2","from":1796000090000}}`. */
export function registerText({ lives, written }: Register): string {
  return JSON.stringify({ written, ...Object.fromEntries(lives) });
}

/** What the value of a document says of lives. What another program wrote counts as nothing. */
export function registerIn(value: unknown): Register {
  const lives = new Map<string, Life>();
  if (typeof value !== 'object' || value === null) return { lives, written: 0 };
  const { written, ...entries } = value as Readonly<Record<string, unknown>>;
  for (const [view, entry] of Object.entries(entries)) {
    if (/^[\w-]+@[1-9]\d*$/.test(view) && isLife(entry)) lives.set(view, entry);
  }
  return { lives, written: typeof written === 'number' ? written : 0 };
}

function isLife(entry: unknown): entry is Life {
  if (typeof entry !== 'object' || entry === null) return false;
  const { life, from } = entry as Readonly<Record<string, unknown>>;
  const isTime = typeof from === 'number' && from >= 0 && from <= LAST_TIME;
  return typeof life === 'string' && /^[a-z\d]{1,32}$/.test(life) && (from === undefined || isTime);
}
