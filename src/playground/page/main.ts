import 'uplot/dist/uPlot.min.css';
import './main.css';
import { repeat } from 'lit/directives/repeat.js';
import { html, nothing, render, type TemplateResult } from 'lit/html.js';
import type { Answer, CachedEntry, CachedView, Command, Field, Form, HistoryLine, Judgement, StreamRow, TableRow } from '../wire.ts';
import { charts } from './charts.ts';
import { fly } from './flights.ts';
import { ask, follow, type State } from './state.ts';

/** What is open above the page. */
type Open =
  | { readonly type: 'form'; readonly form: Form; readonly item: Readonly<Record<string, unknown>>; readonly isNew: boolean }
  | { readonly type: 'entry'; readonly name: string; readonly history: readonly HistoryLine[]; readonly value?: string | undefined };

const root = document.querySelector('#root') as HTMLElement;
let state: State | undefined;
let connected = true;
let open: Open | undefined;
let said = '';
let failed = false;
let fault = '';
let rate = 5;
let trouble = false;
let drawPoints: ReturnType<typeof charts> | undefined;
let isDue = false;

follow(
  (next, { moves, scene }) => {
    state = next;
    if (scene) ({ rate, trouble } = next.status.evening);
    draw();
    if (moves) requestAnimationFrame(() => fly(moves));
  },
  (now) => {
    connected = now;
    draw();
  },
);

/** Draws with the next frame, however often it is called. */
function draw(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (!state) return;
    if (!drawPoints) root.replaceChildren();
    render(page(state), root);
    drawPoints ??= charts(root.querySelector('#charts') as HTMLElement);
    drawPoints(state.points);
    const dialog = root.querySelector('dialog');
    if (open && dialog && !dialog.open) dialog.showModal();
    if (!open && dialog?.open) dialog.close();
  });
}

async function perform(command: Command): Promise<Answer> {
  const answer = await ask(command);
  failed = 'error' in answer;
  const text = 'error' in answer ? answer.error : answer.text;
  if (text !== '' || command.do === 'trouble') said = text;
  draw();
  return answer;
}

function page(now: State): TemplateResult {
  const { scene, status, counters, workshop, told, caption, letters } = now;
  return html`
    <header>
      <div class="name">
        <h1>Millrace playground</h1>
        <p>A table, its stream, and a cache that must say what the table says. Watch it. Then break it.</p>
      </div>
      <div class="scores">
        <button class="primary" data-story @click=${() => perform({ do: 'demo' })}>Play the story <small>2 minutes</small></button>
        ${score('ours', `Millrace: wrong entries, of ${counters.compared}`, counters.wrong, counters.everWrong)}
        ${workshop.on ? score('theirs', 'The usual worker: wrong entries', counters.workshopWrong, counters.workshopEverWrong) : nothing}
      </div>
    </header>
    ${connected ? nothing : html`<p class="banner bad" role="alert">The playground gives no answer. See whether its command still runs.</p>`}
    ${
      caption
        ? html`<section class="caption" aria-live="polite" aria-label="Story">
            <p class="step">${caption.step} of ${caption.steps}</p>
            <h2>${caption.title}</h2>
            <p>${caption.text}</p>
          </section>`
        : nothing
    }
    <main>
      <div class="stage">
        <div class="bar">
          <div class="buttons">
            <button class="primary" @click=${() => perform({ do: 'create' })}>Write an item</button>
            ${scene.forms.map((form) => html`<button @click=${() => newItem(form)}>New ${form.entity}…</button>`)}
          </div>
          <div class="states">
            ${badge('worker', `worker ${status.worker}`, status.worker === 'running')}
            ${badge('cache', `${scene.cache} cache ${status.cache}`, status.cache === 'up')}
            ${badge('held', status.held ? 'stream held' : 'stream flows', !status.held)}
          </div>
        </div>
        <div class="columns">
          <section class="column" aria-labelledby="h-table" data-place="table">
            <h2 id="h-table">Table <small>${now.table.name}, ${count(now.table.count, 'item')}</small></h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Items of the table">
              <ul>
                ${repeat(now.table.rows, ({ item }) => item, tableRow)}
              </ul>
              ${now.table.count > now.table.rows.length ? html`<p class="more">and ${now.table.count - now.table.rows.length} more</p>` : nothing}
              ${now.table.count === 0 ? html`<p class="more">The table is empty. Write an item.</p>` : nothing}
            </div>
          </section>
          <section class="column" aria-labelledby="h-stream" data-place="stream">
            <h2 id="h-stream">Stream <small>${count(counters.records, 'record')}</small></h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Records of the stream">
              <ol>
                ${repeat(now.stream.rows, ({ number }) => number, streamRow)}
              </ol>
            </div>
          </section>
          <section class="column wide" aria-labelledby="h-cache">
            <h2 id="h-cache">Cache <small>${scene.cache}</small></h2>
            <p class="legend">
              ${LEGEND.map(([verdict, text]) => html`<span><span class="mark ${verdict}" aria-hidden="true">${MARKS[verdict][0]}</span> ${text}</span>`)}
            </p>
            <div class="scroll" tabindex="0" role="region" aria-label="Entries of the cache">
              ${now.views.map(viewBlock)}
            </div>
          </section>
        </div>
      </div>
      <aside>
        <section aria-labelledby="h-trouble">
          <h2 id="h-trouble">Make trouble</h2>
          <ul class="troubles">
            ${scene.troubles.map(
              ({ id, title, before }) => html`<li>
                <button
                  data-trouble=${id}
                  aria-describedby="t-${id}"
                  ?disabled=${told.some((one) => one.id === id && one.after === undefined)}
                  @click=${() => perform({ do: 'trouble', id })}
                >
                  ${title}
                </button>
                <p id="t-${id}">${before}</p>
              </li>`,
            )}
          </ul>
        </section>
      </aside>
      <section class="told" aria-labelledby="h-told">
        <h2 id="h-told">What happened</h2>
        <div class="scroll log" tabindex="0" role="region" aria-label="Log" aria-live="polite">
          ${said === '' ? nothing : html`<p class="said ${failed ? 'bad' : ''}">${said}</p>`}
          ${told.length === 0 && said === '' ? html`<p class="more">Nothing yet. Write an item, or make trouble.</p>` : nothing}
          <ol>
            ${repeat(
              told,
              ({ id }) => id,
              ({ id, title, before, after, failed }) => html`<li data-told=${id} data-done=${after === undefined ? 'no' : 'yes'}>
                <strong>${title}.</strong> ${before}
                ${after === undefined ? html`<em>It goes on …</em>` : html`<span class=${failed ? 'bad' : 'after'}>${after}</span>`}
              </li>`,
            )}
          </ol>
        </div>
        ${letterBlock(now, letters.length > 0 || status.broken)}
      </section>
      <section class="evening" aria-labelledby="h-evening">
        <h2 id="h-evening">Busy evening</h2>
        <p>Customers write and read by themselves.</p>
        <p class="row">
          <button data-evening class=${status.evening.on ? 'on' : 'primary'} aria-pressed=${status.evening.on} @click=${() => evening(!status.evening.on)}>
            ${status.evening.on ? 'End the evening' : 'Begin an evening'}
          </button>
          <label>Writes a second <input id="rate" type="number" min="1" max="500" .value=${String(rate)} @change=${setRate}></label>
          <label><input type="checkbox" .checked=${trouble} @change=${setTrouble}> with random trouble</label>
        </p>
        <p class="row">
          <button @click=${() => perform({ do: 'fill-lists' })}>Fill all lists</button>
          <span>Completes the lists from the table, as <code>millrace backfill</code> does.</span>
        </p>
      </section>
      ${workshopBlock(now)}
      <section class="figures" aria-labelledby="h-charts">
        <h2 id="h-charts">The last two minutes</h2>
        <div id="charts"></div>
        <p class="more">
          ${counters.applied} writes applied, ${counters.stale} found stale. Customers got ${count(counters.reads.cache, 'answer')} from the cache, ${counters.reads.table} from the table.
        </p>
      </section>
    </main>
    ${dialog(now)}
  `;
}

function score(id: string, label: string, wrong: number, ever: number): TemplateResult {
  return html`<div class="score ${ever > 0 ? 'bad' : 'good'}" data-score=${id} data-wrong=${wrong} data-ever=${ever}>
    <strong>${wrong}</strong>
    <span>${label}${ever > 0 ? html`<br><small>${ever} were wrong at some time</small>` : nothing}</span>
  </div>`;
}

function badge(id: string, text: string, good: boolean): TemplateResult {
  return html`<span class="badge ${good ? '' : 'warn'}" data-state=${id}>${text}</span>`;
}

function tableRow(row: TableRow): TemplateResult {
  return html`<li class="item" data-item=${row.item}>
    <span class="key">${keyText(row.item)}</span>
    <span class="value">${row.brief}</span>
    ${row.refusedBy.length > 0 ? html`<span class="note warn">the code of ${row.refusedBy.join(', ')} throws on it</span>` : nothing}
    <span class="actions">
      <button aria-label="Edit ${keyText(row.item)}" @click=${() => edit(row)}>Edit</button>
      <button aria-label="Delete ${keyText(row.item)}" @click=${() => perform({ do: 'delete', item: row.item })}>Delete</button>
    </span>
  </li>`;
}

function streamRow({ number, item, kind, state, result }: StreamRow): TemplateResult {
  return html`<li class="record ${state}">
    <span class="number">#${number}</span>
    <span class="key">${kind} ${keyText(item)}</span>
    <span class="note">${result}</span>
  </li>`;
}

const MARKS: Readonly<Record<Judgement, readonly [string, string]>> = {
  equal: ['=', 'equal to the table'],
  late: ['…', 'a record is on its way, or waits in a dead letter'],
  wrong: ['≠', 'wrong'],
  miss: ['?', 'a miss: the reader asks the table'],
};

const LEGEND: readonly (readonly [Judgement, string])[] = [
  ['equal', 'equal'],
  ['late', 'on its way'],
  ['miss', 'ask the table'],
  ['wrong', 'wrong'],
];

function mark(verdict: Judgement): TemplateResult {
  const [sign, text] = MARKS[verdict];
  return html`<span class="mark ${verdict}" title=${text}><span aria-hidden="true">${sign}</span><span class="hidden">${text}</span></span>`;
}

function viewBlock({ name, kind, count: all, entries }: CachedView): TemplateResult {
  return html`<section class="view" data-view=${name}>
    <h3 data-place="view-${name}">${name} <small>${kind === 'list' ? count(all, 'list') : count(all, 'key')}</small></h3>
    <ul>
      ${repeat(entries, (entry) => entry.name, entryRow)}
    </ul>
    ${entries.length < all ? html`<p class="more">and ${all - entries.length} more</p>` : nothing}
    ${all === 0 ? html`<p class="more">nothing yet</p>` : nothing}
  </section>`;
}

function entryRow(entry: CachedEntry): TemplateResult {
  const { name, key, state, number, value, verdict, complete, size, members } = entry;
  return html`<li class="entry">
    <button class="line" data-entry=${name} @click=${() => history(name)}>
      ${mark(verdict)}
      <span class="key">${key}</span>
      ${
        state === 'list'
          ? html`<span class="note ${complete ? '' : 'warn'}">${count(size ?? 0, 'member')}, ${complete ? 'complete' : 'not complete: a reader asks the table'}</span>`
          : html`<span class="note">${state === 'hit' ? value : state}</span>`
      }
      ${number === undefined ? nothing : html`<span class="number" title="written by record ${number}">#${number}</span>`}
    </button>
    ${
      members && members.length > 0
        ? html`<ul class="members">
            ${repeat(
              members,
              ({ member }) => member,
              (member) =>
                html`<li>${mark(member.verdict)} <span class="note">${member.value}</span>${member.number === undefined ? nothing : html`<span class="number">#${member.number}</span>`}</li>`,
            )}
            ${(size ?? 0) > members.length ? html`<li class="more">and ${(size ?? 0) - members.length} more</li>` : nothing}
          </ul>`
        : nothing
    }
  </li>`;
}

function letterBlock({ letters, status }: State, isShown: boolean): TemplateResult | typeof nothing {
  if (!isShown) return nothing;
  return html`<section class="letters" aria-labelledby="h-letters">
    <h3 id="h-letters">Dead letters</h3>
    <ul>
      ${letters.map(({ item, causes }) => html`<li><span class="key">${keyText(item)}</span> <span class="note">${causes.join(': ')}</span></li>`)}
    </ul>
    <p class="row">
      <button data-do="mend" ?disabled=${!status.broken} @click=${() => perform({ do: 'mend' })}>1. Mend the code</button>
      <button data-do="redrive" ?disabled=${letters.length === 0} @click=${() => perform({ do: 'redrive' })}>2. Redrive the letters</button>
    </p>
  </section>`;
}

function workshopBlock({ workshop, counters }: State): TemplateResult {
  return html`<section class="compare" aria-labelledby="h-compare">
    <h2 id="h-compare">The usual worker, beside it</h2>
    <p>
      A worker as a well-known workshop teaches it can follow the same stream, into a cache of its own. It overwrites an entry with whatever comes.
      ${workshop.possible ? nothing : "It knows only the sample's orders, so it is off with your views."}
    </p>
    <p>
      <button role="switch" data-workshop aria-checked=${workshop.on} ?disabled=${!workshop.possible} @click=${() => perform({ do: 'workshop', on: !workshop.on })}>
        ${workshop.on ? 'On: it follows the same stream' : 'Off: let it follow the same stream'}
      </button>
    </p>
    ${
      workshop.on
        ? html`<div class="scroll" tabindex="0" role="region" aria-label="Wrong entries of the usual worker">
            <table>
              <caption>${count(counters.workshopWrong, 'wrong entry', 'wrong entries')} of the usual worker</caption>
              <thead><tr><th scope="col">Entry</th><th scope="col">Its cache says</th><th scope="col">The table says</th></tr></thead>
              <tbody>
                ${workshop.wrong.map(({ place, fault, cache, table }) => html`<tr><td>${place}<br><small>${fault}</small></td><td class="wrong">${cache}</td><td>${table}</td></tr>`)}
              </tbody>
            </table>
            ${counters.workshopWrong === 0 ? html`<p class="more">None yet.</p>` : nothing}
          </div>`
        : nothing
    }
  </section>`;
}

function dialog({ scene }: State): TemplateResult {
  return html`<dialog aria-labelledby="h-dialog" @close=${closed} @cancel=${closed}>
    ${open?.type === 'form' ? itemForm(open.form, open.item, open.isNew, scene.table) : nothing}
    ${open?.type === 'entry' ? entryHistory(open.name, open.history, open.value) : nothing}
  </dialog>`;
}

function itemForm(form: Form, item: Readonly<Record<string, unknown>>, isNew: boolean, table: string): TemplateResult {
  return html`<form method="dialog" @submit=${(event: SubmitEvent) => submit(event, form, item)}>
    <h2 id="h-dialog">${isNew ? 'New' : 'Edit'} ${form.entity}</h2>
    <p>The item goes to the table ${table}. The form also takes what the views cannot: the record then becomes a dead letter.</p>
    ${fault === '' ? nothing : html`<p class="bad" role="alert">${fault}</p>`}
    ${form.fields.map((field) => fieldRow(field, item[field.name], isNew))}
    <p class="row">
      <button class="primary" type="submit">Write to the table</button>
      <button type="button" @click=${closed}>Cancel</button>
    </p>
  </form>`;
}

function fieldRow({ name, type, required, hint }: Field, value: unknown, isNew: boolean): TemplateResult {
  const text = value === undefined ? '' : type === 'json' || typeof value === 'object' ? JSON.stringify(value) : String(value);
  const isKey = !isNew && (state?.table.keys.includes(name) ?? false);
  const label = html`<span>${name}${required ? '' : ' (optional)'}${hint === '' ? nothing : html` <small>${hint}</small>`}</span>`;
  if (type === 'boolean') return html`<label class="field"><input type="checkbox" name=${name} ?checked=${value === true}>${label}</label>`;
  if (type === 'json') return html`<label class="field">${label}<textarea name=${name} rows="3" .value=${text}></textarea></label>`;
  return html`<label class="field">${label}<input name=${name} autocomplete="off" ?readonly=${isKey} inputmode=${type === 'number' ? 'decimal' : 'text'} .value=${text}></label>`;
}

function entryHistory(name: string, lines: readonly HistoryLine[], value: string | undefined): TemplateResult {
  return html`<div>
    <h2 id="h-dialog">History of ${name}</h2>
    ${value === undefined ? nothing : html`<p class="said">${value}</p>`}
    ${lines.length === 0 ? html`<p>No record has come to this entry while the playground runs.</p>` : nothing}
    <ol class="history">
      ${lines.map(
        ({ at, number, type, outcome }) => html`<li class=${outcome}>
          <span class="number">${number === undefined ? 'older' : `#${number}`}</span>
          <span class="key">${type}</span>
          <span class="note">${outcome === 'stale' ? 'stale: the entry holds a newer version, so nothing changed' : outcome}</span>
          <time>${new Date(at).toTimeString().slice(0, 8)}</time>
        </li>`,
      )}
    </ol>
    ${said === '' ? nothing : html`<p class="said" aria-live="polite">${said}</p>`}
    <p class="row">
      <button @click=${() => onEntry({ do: 'read', name })}>Read it</button>
      <button @click=${() => onEntry({ do: 'evict', name })}>Evict it</button>
      <button @click=${closed}>Close</button>
    </p>
  </div>`;
}

function closed(): void {
  open = undefined;
  fault = '';
  draw();
}

async function newItem(form: Form): Promise<void> {
  const answer = await perform({ do: 'example', entity: form.entity });
  open = { type: 'form', form, item: ('item' in answer && answer.item) || {}, isNew: true };
  draw();
}

function edit({ entity, attributes }: TableRow): void {
  const known = state?.scene.forms.find((form) => form.entity === entity);
  const fields = Object.keys(attributes).map(
    (name): Field => ({ name, type: typeof attributes[name] === 'object' ? 'json' : 'text', required: false, hint: '' }),
  );
  open = { type: 'form', form: known ?? { entity: 'item', fields }, item: attributes, isNew: false };
  draw();
}

async function submit(event: SubmitEvent, form: Form, item: Readonly<Record<string, unknown>>): Promise<void> {
  event.preventDefault();
  const data = new FormData(event.target as HTMLFormElement);
  const written: Record<string, unknown> = { ...item };
  for (const { name, type } of form.fields) {
    const text = String(data.get(name) ?? '');
    if (type === 'boolean') written[name] = data.has(name);
    else if (text === '') delete written[name];
    else if (type === 'number' && Number.isFinite(Number(text))) written[name] = Number(text);
    else if (type === 'json') {
      try {
        written[name] = JSON.parse(text);
      } catch {
        fault = `${name} is not JSON: write it as [...] or {...}`;
        return draw();
      }
    } else written[name] = text;
  }
  const answer = await perform({ do: 'write', item: written });
  if ('error' in answer) {
    fault = answer.error;
    return draw();
  }
  closed();
}

async function history(name: string): Promise<void> {
  const answer = await perform({ do: 'history', name });
  said = '';
  if ('history' in answer) open = { type: 'entry', name, history: answer.history ?? [], value: answer.value };
  draw();
}

async function onEntry(command: Command & { readonly name: string }): Promise<void> {
  await perform(command);
  const answer = await ask({ do: 'history', name: command.name });
  if ('history' in answer && open?.type === 'entry') open = { ...open, history: answer.history ?? [], value: answer.value };
  draw();
}

function setRate(event: Event): void {
  rate = Math.min(500, Math.max(1, Number((event.target as HTMLInputElement).value) || 1));
  if (state?.status.evening.on) void evening(true);
}

function setTrouble(event: Event): void {
  trouble = (event.target as HTMLInputElement).checked;
  if (state?.status.evening.on) void evening(true);
}

async function evening(on: boolean): Promise<void> {
  await perform({ do: 'evening', on, rate, trouble });
}

/** The name of an item is its key as JSON. */
function keyText(item: string): string {
  try {
    const parts: unknown = JSON.parse(item);
    return Array.isArray(parts) ? parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' ') : item;
  } catch {
    return item;
  }
}

function count(n: number, noun: string, nouns = `${noun}s`): string {
  return `${n} ${n === 1 ? noun : nouns}`;
}
