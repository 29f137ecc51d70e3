import type { View } from '../view.ts';
import { type Probe, ProbeTally } from './counts.ts';
import { type Looked, type LookOptions, look, MOST_LOOKS, MOST_MOVES, type Observer, type ToLook } from './look.ts';
import type { Suspect } from './looks.ts';
import type { Observed, Subject } from './observation.ts';
import type { Violation } from './verifier.ts';

/** An address that differed, to be looked at again after the bound. */
export interface Later {
  readonly probe: Probe;
  readonly subject: Subject;
  readonly before: Suspect;
}

/** What is known of an address, after a look at it. */
export type LookedAt = Looked & { readonly subject: Subject };

/** Looks at addresses once, and gives back those that differ, so that another process can look again. */
export class OneLook implements Observer {
  readonly tally: ProbeTally;
  units = 0;
  /** What differed. */
  readonly later: Later[] = [];
  readonly #options: LookOptions;

  constructor(options: LookOptions & { readonly views: readonly View[] }) {
    this.#options = options;
    this.tally = new ProbeTally(options.views, options.boundMs);
  }

  async observe(probe: Probe, observed: readonly Observed[]): Promise<void> {
    this.#options.signal.throwIfAborted();
    for (const { decision, subject } of await this.look(observed)) {
      if (decision.type === 'suspect') this.later.push({ probe, subject, before: decision.suspect });
      else this.tally.add(subject.view, probe, decision);
    }
  }

  /**
   * Looks at addresses, and looks for members where they have moved to. Counts nothing.
   *
   * @returns what is known of each address, in their order; of a member where it was looked for last
   * @throws as `look`
   */
  async look(looks: readonly ToLook[]): Promise<readonly LookedAt[]> {
    const results: LookedAt[] = [];
    let open: readonly { readonly one: ToLook; readonly i: number }[] = looks.map((one, i) => ({ one, i }));
    for (let moves = 0; open.length > 0; moves += 1) {
      const looked = await this.#lookOnce(open.map(({ one }) => one));
      const moved: { readonly one: ToLook; readonly i: number }[] = [];
      for (const [n, { one, i }] of open.entries()) {
        const { claim, decision } = looked[n] as Looked;
        const { subject } = one;
        if (decision.type !== 'moved' || subject.kind !== 'member') results[i] = { claim, decision, subject };
        else if (moves < MOST_MOVES) moved.push({ one: { subject: { ...subject, score: decision.score } }, i });
        else results[i] = { claim, decision: { type: 'undecided' }, subject };
      }
      open = moved;
    }
    return results;
  }

  async #lookOnce(looks: readonly ToLook[]): Promise<readonly Looked[]> {
    const looked: Looked[] = [];
    for (let i = 0; i < looks.length; i += MOST_LOOKS) {
      const result = await look(this.#options, looks.slice(i, i + MOST_LOOKS));
      this.units += result.units;
      looked.push(...result.looked);
    }
    return looked;
  }
}

/** A decision as a violation; `undefined` for any other one. */
export function violationOf(probe: Probe, { claim, decision, subject }: LookedAt): Violation | undefined {
  if (decision.type !== 'violation') return undefined;
  const version = claim.type === 'none' ? undefined : claim.version;
  return { probe, subject, fault: decision.fault, ageMs: decision.ageMs, ...(version !== undefined && { version }) };
}
