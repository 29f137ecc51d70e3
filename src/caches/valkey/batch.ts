import { type Mutation, type Outcome, STALE } from '../../mutation.ts';
import { admit, overLimit } from '../checks.ts';
import type { ValkeyConnection } from './client.ts';
import { LEASE_LENGTH, STATES, type ValkeyKeys } from './layout.ts';
import { packStrings } from './msgpack.ts';

/**
 * A script call takes a quarter of the mutations sent before it without a pause, but at least 64 and at most 256. Large calls cost the
 * client less per mutation. Between small calls the server serves other clients, and it works on one while the client prepares the next.
 */
const [FEWEST_MUTATIONS, MOST_MUTATIONS] = [64, 256];
const SHARE_OF_SENT = 1 / 4;
/** A script call takes no further value once its values have this many characters. */
export const ENOUGH_CHARACTERS = 262_144;

export interface BatchOptions {
  readonly entryTtlMs: number;
  readonly tombstoneTtlMs: number;
  readonly maxValueBytes: number;
  readonly cluster: boolean;
}

/** One call of `apply` that waits for its outcomes. */
interface Call {
  readonly outcomes: Outcome[];
  waiting: number;
  failure: unknown;
  readonly resolve: (outcomes: readonly Outcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** The place of one outcome, and what it is if the mutation is applied. */
interface Slot {
  readonly call: Call;
  readonly index: number;
  readonly ifApplied: Outcome;
}

/** The mutations of the next script call. */
interface Lane {
  readonly documentKeys: string[];
  readonly documents: string[];
  readonly documentSlots: Slot[];
  readonly lists: Map<string, { readonly keep: number; readonly rows: string[]; readonly slots: Slot[] }>;
  mutations: number;
  characters: number;
}

const NO_LEASE = ' '.repeat(LEASE_LENGTH);

/**
 * Gathers the mutations of all calls in one turn of the event loop into few script calls, because the client's work per command is the main
 * cost. On a cluster each document and each list has a lane of its own, because a script call may not span slots.
 */
export function batcher(connection: ValkeyConnection, keys: ValkeyKeys, options: BatchOptions) {
  const { entryTtlMs, tombstoneTtlMs, maxValueBytes, cluster } = options;
  const lanes = new Map<string, Lane>();
  let scheduled = false;
  /** Script calls that wait for their answer. */
  let underWay = 0;
  /** Mutations sent since no script call was under way; reset by the first call after that. */
  let sent = 0;

  /** Empties the lane's texts: a large batch has many calls under way, and their packed form is enough. */
  const pack = ({ documentKeys: names, documents, documentSlots: slots, lists }: Lane): Buffer => {
    const argv = [String(entryTtlMs), String(tombstoneTtlMs), String(documents.length), ...documents];
    for (const [list, group] of lists) {
      names.push(...keys.list(list));
      argv.push(String(group.keep), String(group.slots.length), ...group.rows);
      slots.push(...group.slots);
    }
    documents.length = 0;
    lists.clear();
    return packStrings(argv);
  };

  const send = async (lane: Lane): Promise<void> => {
    const { documentKeys: names, documentSlots: slots } = lane;
    // Answers a call when none of its script calls is under way: what it sent can then no longer take effect.
    const finish = (call: Call): void => {
      call.waiting -= 1;
      if (call.waiting > 0) return;
      if (call.failure === undefined) call.resolve(call.outcomes);
      else call.reject(call.failure);
    };
    try {
      const packed = pack(lane);
      const outcomes = (await connection.call((commands) => commands.millraceApply(names.length, ...names, packed))) as string;
      for (let i = 0; i < slots.length; i += 1) {
        const { call, index, ifApplied } = slots[i] as Slot;
        call.outcomes[index] = outcomes[i] === '1' ? ifApplied : STALE;
        finish(call);
      }
    } catch (error) {
      for (const { call } of slots) {
        call.failure ??= error;
        finish(call);
      }
    } finally {
      underWay -= 1;
    }
  };

  const dispatch = (name: string, lane: Lane): void => {
    lanes.delete(name);
    if (underWay === 0) sent = 0;
    underWay += 1;
    sent += lane.mutations;
    void send(lane);
  };

  const flush = (): void => {
    scheduled = false;
    for (const [name, lane] of [...lanes]) dispatch(name, lane);
  };

  const add = (mutation: Mutation, slot: Slot): void => {
    const name = !cluster ? '' : mutation.kind === 'document' ? `d${mutation.key}` : `l${mutation.list}`;
    let lane = lanes.get(name);
    if (!lane) {
      lane = { documentKeys: [], documents: [], documentSlots: [], lists: new Map(), mutations: 0, characters: 0 };
      lanes.set(name, lane);
    }
    const json = mutation.type === 'put' ? mutation.json : '';
    const header = mutation.version + STATES[mutation.type];
    if (mutation.kind === 'document') {
      lane.documentKeys.push(keys.document(mutation.key));
      lane.documents.push(header + NO_LEASE + json);
      lane.documentSlots.push(slot);
    } else {
      let group = lane.lists.get(mutation.list);
      if (group && group.keep !== mutation.keep) {
        dispatch(name, lane);
        add(mutation, slot);
        return;
      }
      if (!group) {
        group = { keep: mutation.keep, rows: [], slots: [] };
        lane.lists.set(mutation.list, group);
      }
      const from = mutation.type === 'put' && mutation.from !== undefined ? String(mutation.from) : '';
      group.rows.push(header + json, mutation.member, String(mutation.score), from);
      group.slots.push(slot);
    }
    lane.mutations += 1;
    lane.characters += json.length;
    const enough = Math.min(Math.max(FEWEST_MUTATIONS, sent * SHARE_OF_SENT), MOST_MUTATIONS);
    if (lane.mutations >= enough || lane.characters >= ENOUGH_CHARACTERS) dispatch(name, lane);
  };

  const apply = (mutations: readonly Mutation[]): Promise<readonly Outcome[]> => {
    if (mutations.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const call: Call = { outcomes: new Array(mutations.length), waiting: mutations.length, failure: undefined, resolve, reject };
      for (let index = 0; index < mutations.length; index += 1) {
        const { mutation, ifApplied } = admit(mutations[index] as Mutation, ({ json }) => overLimit(json, maxValueBytes));
        add(mutation, { call, index, ifApplied });
      }
      if (!scheduled) {
        scheduled = true;
        process.nextTick(flush);
      }
    });
  };

  return { apply, flush };
}
