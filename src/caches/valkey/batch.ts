import { APPLIED, forgetInstead, type Mutation, type Outcome, STALE } from '../../mutation.ts';
import type { Connection } from './client.ts';
import { packStrings } from './msgpack.ts';
import { TOKEN_LENGTH } from './scripts.ts';

/**
 * One script call holds no more than this: the server works on it while the next is prepared, and is free for others in between. Many
 * small calls cost more than few large ones, but the server's time for the last one is waited for: so calls are small until many are under way.
 */
const [FEWEST_MUTATIONS, MOST_MUTATIONS] = [64, 256];
const SHARE_OF_CALL = 1 / 4;
const MAX_CHARACTERS = 262_144;

export interface Keys {
  document(key: string): string;
  /** The three keys of a list. */
  list(list: string): readonly [members: string, scores: string, peaks: string];
}

interface Call {
  readonly outcomes: Outcome[];
  waiting: number;
  readonly resolve: (outcomes: readonly Outcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Where an outcome belongs, and what it is if the mutation is applied. */
interface Slot {
  readonly call: Call;
  readonly index: number;
  readonly ifApplied: Outcome;
}

interface Lane {
  readonly documentKeys: string[];
  readonly bodies: string[];
  readonly documentSlots: Slot[];
  readonly lists: Map<string, { readonly keep: number; readonly rows: string[]; readonly slots: Slot[] }>;
  mutations: number;
  characters: number;
}

const BLANK = ' '.repeat(TOKEN_LENGTH);
const STATES = { put: 'p', delete: 'd', forget: 'f' } as const;

/**
 * Gathers the mutations of all calls of one turn of the event loop into few script calls: the client's work for each command is what
 * costs. On a cluster each document and each list has a lane of its own, for a script call may not span slots.
 */
export function batcher(connection: Connection, keys: Keys, ttls: readonly [entryMs: string, tombstoneMs: string], cluster: boolean) {
  const lanes = new Map<string, Lane>();
  let scheduled = false;
  let underWay = 0;
  /** Mutations, since nothing was under way. */
  let sent = 0;

  /** Leaves the lane without the texts: a large batch has many calls under way, and they are packed. */
  const pack = ({ documentKeys: names, bodies, documentSlots: slots, lists }: Lane): Buffer => {
    const argv = [...ttls, String(bodies.length), ...bodies];
    for (const [list, group] of lists) {
      names.push(...keys.list(list));
      argv.push(String(group.keep), String(group.slots.length), ...group.rows);
      slots.push(...group.slots);
    }
    bodies.length = 0;
    lists.clear();
    return packStrings(argv);
  };

  const send = async (lane: Lane): Promise<void> => {
    const { documentKeys: names, documentSlots: slots } = lane;
    try {
      const packed = pack(lane);
      const outcomes = (await connection.call((commands) => commands.millraceApply(names.length, ...names, packed))) as string;
      for (let i = 0; i < slots.length; i += 1) {
        const { call, index, ifApplied } = slots[i] as Slot;
        call.outcomes[index] = outcomes[i] === '1' ? ifApplied : STALE;
        call.waiting -= 1;
        if (call.waiting === 0) call.resolve(call.outcomes);
      }
    } catch (error) {
      for (const { call } of slots) call.reject(error);
    } finally {
      underWay -= 1;
    }
  };

  const dispatch = (root: string, lane: Lane): void => {
    lanes.delete(root);
    if (underWay === 0) sent = 0;
    underWay += 1;
    sent += lane.mutations;
    void send(lane);
  };

  const flush = (): void => {
    scheduled = false;
    for (const [root, lane] of [...lanes]) dispatch(root, lane);
  };

  const add = (mutation: Mutation, slot: Slot): void => {
    const root = !cluster ? '' : mutation.kind === 'document' ? `d${mutation.key}` : `l${mutation.list}`;
    let lane = lanes.get(root);
    if (!lane) {
      lane = { documentKeys: [], bodies: [], documentSlots: [], lists: new Map(), mutations: 0, characters: 0 };
      lanes.set(root, lane);
    }
    const json = mutation.type === 'put' ? mutation.json : '';
    const header = mutation.version + STATES[mutation.type];
    if (mutation.kind === 'document') {
      lane.documentKeys.push(keys.document(mutation.key));
      lane.bodies.push(header + BLANK + json);
      lane.documentSlots.push(slot);
    } else {
      let group = lane.lists.get(mutation.list);
      if (group && group.keep !== mutation.keep) {
        dispatch(root, lane);
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
    const enough = Math.min(Math.max(FEWEST_MUTATIONS, sent * SHARE_OF_CALL), MOST_MUTATIONS);
    if (lane.mutations >= enough || lane.characters >= MAX_CHARACTERS) dispatch(root, lane);
  };

  /** `rejected` tells why a mutation's value cannot be taken: then its address is forgotten instead. */
  const apply = (mutations: readonly Mutation[], rejected: (json: string) => string | undefined): Promise<readonly Outcome[]> => {
    if (mutations.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const call = { outcomes: new Array(mutations.length), waiting: mutations.length, resolve, reject };
      for (let index = 0; index < mutations.length; index += 1) {
        const mutation = mutations[index] as Mutation;
        const reason = mutation.type === 'put' ? rejected(mutation.json) : undefined;
        if (reason !== undefined && mutation.type === 'put')
          add(forgetInstead(mutation), { call, index, ifApplied: { type: 'rejected', reason } });
        else add(mutation, { call, index, ifApplied: APPLIED });
      }
      if (!scheduled) {
        scheduled = true;
        process.nextTick(flush);
      }
    });
  };

  return { apply, flush };
}
