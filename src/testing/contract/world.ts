import assert from 'node:assert/strict';
import type { FoundList, Lease, LeaseTarget, ListPosition, Lookup, Page } from '../../cache.ts';
import type { Mutation } from '../../mutation.ts';
import { at, leaseOn, settleOn, type Trial } from './case.ts';
import { DocumentModel } from './document-model.ts';
import { ListModel, type ModelFound, type ModelListLease, newestFirst } from './list-model.ts';
import type { Draft, DraftFound, Operation } from './operations.ts';

/** Names of members, whose order by bytes differs from that by UTF-16. */
const MEMBERS = ['a', 'b', 'é', '\uffff', '\u{10000}', '{a}'] as const;

const SURVEYS = ['survey-1', 'survey-2'] as const;

type Taken = { readonly lease: Lease } & (
  | { readonly document: number; readonly token: symbol }
  | { readonly list: number; readonly token: ModelListLease }
);

/** Documents and lists of a client beside their models. Each step is done to both, and both must give the same answers. */
export class World {
  readonly #trial: Trial;
  readonly #keys: readonly string[];
  readonly #lists: readonly string[];
  readonly #keep: number;
  readonly #documentModels: DocumentModel[];
  readonly #listModels: ListModel[];
  readonly #leases: Taken[] = [];
  readonly #cursors: { readonly list: number; readonly order: 'desc' | 'asc'; readonly cursor: string; readonly place: ListPosition }[] =
    [];
  /** Numbers the values, so that no two values are equal. */
  #values = 0;

  constructor(trial: Trial, keys: readonly string[], lists: readonly string[], keep: number) {
    this.#trial = trial;
    this.#keys = keys;
    this.#lists = lists;
    this.#keep = keep;
    this.#documentModels = keys.map(() => new DocumentModel());
    this.#listModels = lists.map(() => new ListModel());
  }

  async do(step: Operation): Promise<void> {
    switch (step.do) {
      case 'apply':
        return this.#apply(step.mutations);
      case 'page':
        return this.#page(step.list, step.limit, step.order, step.cursor);
      case 'lease':
        return step.of === 'document' && step.onMiss ? this.#getOrLease(step.n) : this.#lease(step.of, step.n);
      case 'settle':
        return this.#settle(step.lease, step.found, step.partly);
      case 'mark':
        return this.#mark(step.n, step.survey);
      case 'fill':
        return this.#fill(step.n, step.survey, step.found);
      case 'seal':
        return this.#seal(step.n, step.survey);
      case 'evict':
        return this.#evict(step.of, step.n);
      case 'evictPart':
        return this.#evictPart(step.n, step.part);
    }
  }

  async #apply(drafts: readonly Draft[]): Promise<void> {
    const mutations = drafts.map((draft) => this.#mutation(draft));
    const expected = drafts.map((draft, i) => this.#applyToModel(draft, mutations[i] as Mutation));
    const outcomes = await this.#trial.client.apply(mutations);
    assert.deepEqual(
      outcomes.map(({ type }) => type),
      expected,
      'outcomes',
    );
    await this.#check(
      drafts.filter(({ list }) => list === undefined).map(({ name }) => name),
      drafts.flatMap(({ list }) => list ?? []),
    );
  }

  #mutation({ type, list, name, version: rank, score, from, tooLarge }: Draft): Mutation {
    const version = at(rank);
    const json = this.#json(tooLarge);
    if (list === undefined) {
      const key = this.#keys[name] as string;
      return type === 'put' ? { kind: 'document', type, key, version, json } : { kind: 'document', type, key, version };
    }
    const common = {
      kind: 'member',
      list: this.#lists[list] as string,
      member: MEMBERS[name] as string,
      version,
      score,
      keep: this.#keep,
    } as const;
    return type === 'put' ? { ...common, type, json, ...(from !== undefined && { from }) } : { ...common, type };
  }

  #applyToModel({ list, name, version, score, from, tooLarge }: Draft, mutation: Mutation): string {
    const rejected = mutation.type === 'put' && tooLarge;
    const type = rejected ? 'forget' : mutation.type;
    const json = mutation.type === 'put' ? mutation.json : undefined;
    const outcome =
      list === undefined
        ? this.#documentModel(name).apply({ type, version, json })
        : this.#listModel(list).apply({
            type,
            member: MEMBERS[name] as string,
            version,
            score,
            json,
            // Only a put names the previous score.
            from: mutation.type === 'put' ? from : undefined,
            keep: this.#keep,
          });
    return rejected && outcome === 'applied' ? 'rejected' : outcome;
  }

  async #page(list: number, limit: number, order: 'desc' | 'asc', cursor: number | undefined): Promise<void> {
    const given = cursor === undefined ? undefined : this.#cursors.filter((it) => it.list === list && it.order === order).at(-1 - cursor);
    await this.#comparePage(list, limit, order, given);
  }

  async #comparePage(list: number, limit: number, order: 'desc' | 'asc', after?: { cursor: string; place: ListPosition }): Promise<void> {
    const expected = this.#listModel(list).page({ limit, descending: order === 'desc', after: after?.place });
    const further = this.#listModel(list).page({ limit: limit + 1, descending: order === 'desc', after: after?.place });
    const page = await this.#trial.client.list(this.#lists[list] as string, { limit, order, after: after?.cursor });
    assert.deepEqual(
      { members: page.members, complete: page.complete },
      {
        members: expected.members.map(({ member, score, version, json }) => ({
          member,
          score: score + 0,
          value: JSON.parse(json),
          version: at(version),
        })),
        complete: expected.complete,
      },
      `page of ${limit}, ${order}${after ? `, after ${JSON.stringify(after.place)}` : ''}`,
    );
    this.#checkCursor(list, limit, order, page, further.members.length > limit);
  }

  #checkCursor(list: number, limit: number, order: 'desc' | 'asc', { members, cursor }: Page, more: boolean): void {
    if (more) assert.ok(cursor !== undefined, 'the list has more members, and the page no cursor');
    if (members.length < limit) assert.equal(cursor, undefined, 'a page that is not full has a cursor');
    const place = members.at(-1);
    if (cursor !== undefined && place) this.#cursors.push({ list, order, cursor, place });
  }

  async #lease(of: 'document' | 'list', n: number): Promise<void> {
    const lease = await leaseOn(this.#trial.client, this.#target(of, n));
    if (of === 'document') this.#leases.push({ lease, document: n, token: this.#documentModel(n).lease() });
    else this.#leases.push({ lease, list: n, token: this.#listModel(n).lease() });
    await this.#check(of === 'document' ? [n] : [], of === 'list' ? [n] : []);
  }

  async #getOrLease(n: number): Promise<void> {
    const [answer] = await this.#trial.client.getOrLease([this.#keys[n] as string]);
    const expected = this.#expected(n);
    if (answer?.type !== 'miss') assert.deepEqual(answer, expected, `document ${n}`);
    else {
      assert.equal(expected.type, 'miss', `document ${n}`);
      this.#leases.push({ lease: answer.lease, document: n, token: this.#documentModel(n).lease() });
    }
    await this.#check([n], []);
  }

  async #settle(back: number, drafts: readonly DraftFound[], partly: boolean): Promise<void> {
    const taken = this.#leases.at(-1 - back);
    if (!taken) return;
    const { client } = this.#trial;
    if ('document' in taken) {
      const [first] = drafts;
      const json = first && this.#json(first.tooLarge);
      const expected = this.#documentModel(taken.document).settle(taken.token, json, !first?.tooLarge);
      assert.equal(await settleOn(client, taken.lease, { kind: 'document', json }), expected, 'settle');
      return this.#check([taken.document], []);
    }
    const all = drafts.map(({ name, score, tooLarge }) => ({
      member: MEMBERS[name] as string,
      score,
      tooLarge,
      json: this.#json(tooLarge),
    }));
    all.sort(newestFirst);
    const given = partly ? Math.max(1, this.#keep - 1) : this.#keep;
    const newest = all.slice(0, given);
    const next = all[given]?.score;
    const found: FoundList = { kind: 'list', newest: newest.map(({ member, score, json }) => ({ member, score, json })), next };
    const held: ModelFound[] = newest.map(({ member, score, json, tooLarge }) => (tooLarge ? { member, score } : { member, score, json }));
    const expected = this.#listModel(taken.list).settle(taken.token, held, next ?? -Infinity, this.#keep);
    assert.equal(await settleOn(client, taken.lease, found), expected, 'settle');
    return this.#check([], [taken.list]);
  }

  async #mark(n: number, survey: number): Promise<void> {
    await this.#trial.client.mark([{ list: this.#lists[n] as string, keep: this.#keep }], SURVEYS[survey] as string);
    this.#listModels[n] = this.#listModel(n).mark(SURVEYS[survey] as string, this.#keep);
    await this.#check([], [n]);
  }

  async #fill(n: number, survey: number, drafts: readonly DraftFound[]): Promise<void> {
    const members = drafts.map(({ name, score, tooLarge }) => ({
      member: MEMBERS[name] as string,
      score,
      tooLarge,
      json: this.#json(tooLarge),
    }));
    const held: ModelFound[] = members.map(({ member, score, json, tooLarge }) => (tooLarge ? { member, score } : { member, score, json }));
    const expected = this.#listModel(n).fill(SURVEYS[survey] as string, held, this.#keep);
    const given = {
      list: this.#lists[n] as string,
      keep: this.#keep,
      members: members.map(({ member, score, json }) => ({ member, score, json })),
    };
    assert.deepEqual(await this.#trial.client.fill([given], SURVEYS[survey] as string), [expected], 'fill');
    await this.#check([], [n]);
  }

  async #seal(n: number, survey: number): Promise<void> {
    const expected = this.#listModel(n).seal(SURVEYS[survey] as string);
    assert.deepEqual(await this.#trial.client.seal([this.#lists[n] as string], SURVEYS[survey] as string), [expected], 'seal');
    await this.#check([], [n]);
  }

  async #evict(of: 'document' | 'list', n: number): Promise<void> {
    await this.#trial.evict?.(this.#target(of, n));
    if (of === 'document') this.#documentModel(n).evict();
    else this.#listModels[n] = new ListModel();
    await this.#check(of === 'document' ? [n] : [], of === 'list' ? [n] : []);
  }

  async #evictPart(n: number, part: number): Promise<void> {
    if (await this.#trial.evictPart?.(this.#lists[n] as string, part)) this.#listModels[n] = new ListModel();
    await this.#check([], [n]);
  }

  /** Compares documents and pages of lists with their models. */
  async #check(documents: readonly number[], lists: readonly number[]): Promise<void> {
    const pages = [...new Set(lists)].flatMap((list) => [1, 2, 3, 9].map((limit) => this.#comparePage(list, limit, 'desc')));
    const keys = [...new Set(documents)];
    const found = await this.#trial.client.getMany(keys.map((n) => this.#keys[n] as string));
    for (const [i, n] of keys.entries()) assert.deepEqual(found[i], this.#expected(n), `document ${n}`);
    await Promise.all(pages);
  }

  #expected(n: number): Lookup {
    const found = this.#documentModel(n).get();
    switch (found.type) {
      case 'hit':
        return { type: 'hit', value: JSON.parse(found.json), version: at(found.version) };
      case 'gone':
        return { type: 'gone', version: at(found.version) };
      case 'miss':
        return found;
    }
  }

  #json(tooLarge: boolean): string {
    this.#values += 1;
    const padding = tooLarge ? 'x'.repeat(this.#trial.maxValueBytes) : '';
    return JSON.stringify({ value: this.#values, ...(padding && { padding }) });
  }

  #target(of: 'document' | 'list', n: number): LeaseTarget {
    if (of === 'document') return { kind: 'document', key: this.#keys[n] as string };
    return { kind: 'list', list: this.#lists[n] as string, keep: this.#keep };
  }

  #documentModel(n: number): DocumentModel {
    return this.#documentModels[n] as DocumentModel;
  }

  #listModel(n: number): ListModel {
    return this.#listModels[n] as ListModel;
  }
}
