/**
 * Runs a definition in the Amazon States Language, with a function in this process in place of Lambda. It knows what the definition of
 * `deploy/backfill.yaml` uses, and refuses every other field. Rules: https://states-language.net/spec.html, and for a distributed map and a redrive
 * https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html
 */

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Fields = { readonly [name: string]: Json };

interface Definition {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, Fields>>;
}

export interface StateMachineOptions {
  /** Stands for Lambda. An error's name is what `ErrorEquals` compares. */
  readonly invoke: (functionName: string, payload: unknown) => Promise<unknown>;
  /** Waits of the state Wait and of retries. Default: no wait. */
  readonly wait?: (seconds: number, why: 'state' | 'retry') => Promise<void>;
}

export interface Execution {
  readonly name: string;
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED';
  readonly output: unknown;
  /** Why it failed. */
  readonly error?: Failure;
  /** Events in the longest history: that of the execution, or of a child. */
  readonly events: number;
  /** The most children that ran at the same time. */
  readonly atOnce: number;
  /** Goes on from the failed state. Children of a map that have succeeded do not run again; others go on where they were. */
  redrive(): Promise<Execution>;
}

interface Failure {
  readonly error: string;
  readonly cause: string;
}

/** Bytes of the input or output of a state. */
const MOST_BYTES = 262_144;
const MOST_EVENTS = 25_000;

const STEP = ['Type', 'Comment', 'Next', 'End'];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Task: [...STEP, 'Resource', 'Parameters', 'ResultSelector', 'ResultPath', 'OutputPath', 'Retry'],
  Map: [...STEP, 'Label', 'ItemsPath', 'MaxConcurrencyPath', 'ItemSelector', 'ItemProcessor', 'ResultPath'],
  Choice: ['Type', 'Comment', 'Choices', 'Default'],
  Wait: [...STEP, 'SecondsPath', 'TimestampPath'],
  Pass: [...STEP, 'Result'],
};
const RETRIER = ['ErrorEquals', 'IntervalSeconds', 'BackoffRate', 'MaxDelaySeconds', 'MaxAttempts', 'JitterStrategy'];

/** @throws Error when the definition is not valid, or uses what is not known here */
export function stateMachine(definition: unknown, options: StateMachineOptions) {
  const names = new Set<string>();
  check(definition as Definition & Fields, ['Comment', 'StartAt', 'States'], names);
  return {
    async start(input: unknown, name: string): Promise<Execution> {
      return await executed(new Run(definition as Definition, json(input), { Execution: { Name: name } }, options), name);
    },
  };
}

async function executed(run: Run, name: string): Promise<Execution> {
  await run.advance();
  const { status, data: output, failure: error, longest: events, atOnce } = run;
  if (status !== 'SUCCEEDED' && status !== 'FAILED') throw new Error(`the execution is ${status}`);
  return { name, status, output, ...(error && { error }), events, atOnce, redrive: () => executed(run.redriven(), name) };
}

/** An execution, or a child of a map. */
class Run {
  status: 'NEW' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED' = 'NEW';
  failure: Failure | undefined;
  data: Json;
  atOnce = 0;
  #state: string;
  #events = 0;
  /** Of the map that is the present state. */
  #children: Run[] | undefined;
  #longestChild = 0;
  readonly #definition: Definition;
  readonly #context: Fields;
  readonly #options: StateMachineOptions;

  constructor(definition: Definition, input: Json, context: Fields, options: StateMachineOptions) {
    this.#definition = definition;
    this.#state = definition.StartAt;
    this.data = input;
    this.#context = context;
    this.#options = options;
  }

  get longest(): number {
    return Math.max(this.#events, this.#longestChild);
  }

  redriven(): Run {
    if (this.status !== 'FAILED' && this.status !== 'ABORTED') throw new Error(`an execution that is ${this.status} cannot be redriven`);
    this.status = 'NEW';
    this.failure = undefined;
    return this;
  }

  /** What an invocation that is under way answers is lost; it runs on. */
  abort(): void {
    if (this.status === 'NEW' || this.status === 'RUNNING') this.status = 'ABORTED';
    for (const child of this.#children ?? []) child.abort();
  }

  async advance(): Promise<void> {
    this.status = 'RUNNING';
    try {
      for (;;) {
        const state = this.#definition.States[this.#state] as Fields;
        const { output, next } = await this.#step(state);
        if (this.#isAborted()) return;
        this.data = limited(output, this.#state);
        this.#children = undefined;
        if (next === undefined) {
          this.status = 'SUCCEEDED';
          return;
        }
        this.#state = next;
      }
    } catch (thrown) {
      if (this.#isAborted()) return;
      if (!(thrown instanceof StateFailed)) throw thrown;
      this.status = 'FAILED';
      this.failure = thrown.failure;
    }
  }

  #isAborted(): boolean {
    return this.status === 'ABORTED';
  }

  #count(events: number): void {
    this.#events += events;
    if (this.#events > MOST_EVENTS) throw new StateFailed('States.Runtime', `more than ${MOST_EVENTS} events`);
  }

  async #step(state: Fields): Promise<{ readonly output: Json; readonly next: string | undefined }> {
    const next = state.Next as string | undefined;
    this.#count(2);
    switch (state.Type) {
      case 'Pass':
        return { output: state.Result ?? this.data, next };
      case 'Wait':
        await this.#options.wait?.(this.#seconds(state), 'state');
        return { output: this.data, next };
      case 'Choice': {
        const choices = state.Choices as readonly Fields[];
        const chosen = choices.find(({ Variable, BooleanEquals }) => this.#at(Variable) === BooleanEquals);
        return { output: this.data, next: String((chosen ? chosen.Next : state.Default) ?? '') };
      }
      case 'Task': {
        const answer = await this.#task(state);
        const result = state.ResultSelector === undefined ? answer : filled(state.ResultSelector, answer, this.#context);
        const whole = placed(this.data, state.ResultPath, result);
        return { output: state.OutputPath === undefined ? whole : at(state.OutputPath, whole, this.#context), next };
      }
      default:
        return { output: placed(this.data, state.ResultPath, await this.#map(state)), next };
    }
  }

  #seconds({ SecondsPath: seconds, TimestampPath: until }: Fields): number {
    if (until === undefined) return Number(this.#at(seconds));
    const text = String(this.#at(until));
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text)) throw new StateFailed('States.Runtime', `${text} is no timestamp`);
    return Math.max(0, (Date.parse(text) - Date.now()) / 1_000);
  }

  async #task(state: Fields): Promise<Json> {
    const { FunctionName, Payload } = filled(state.Parameters ?? {}, this.data, this.#context) as Fields;
    const retries = (state.Retry ?? []) as readonly Fields[];
    const attempts = new Map<Fields, number>();
    for (;;) {
      this.#count(3);
      try {
        const answer = await this.#options.invoke(String(FunctionName), json(limited(Payload ?? {}, this.#state)));
        return { Payload: limited(json(answer), this.#state), StatusCode: 200 };
      } catch (thrown) {
        if (thrown instanceof StateFailed) throw thrown;
        const { name: error, message: cause } = thrown as Error;
        const retrier = retries.find(({ ErrorEquals }) => (ErrorEquals as string[]).some((it) => it === error || it === 'States.ALL'));
        const done = retrier ? (attempts.get(retrier) ?? 0) : 0;
        if (!retrier || done >= Number(retrier.MaxAttempts ?? 3)) throw new StateFailed(error, cause);
        attempts.set(retrier, done + 1);
        const { IntervalSeconds: first = 1, BackoffRate: rate = 2, MaxDelaySeconds: most = Infinity } = retrier;
        const seconds = Math.min(Number(first) * Number(rate) ** done, Number(most));
        await this.#options.wait?.(seconds * (retrier.JitterStrategy === 'FULL' ? Math.random() : 1), 'retry');
        if (this.#isAborted()) throw new StateFailed('States.TaskFailed', 'aborted');
      }
    }
  }

  async #map(state: Fields): Promise<Json> {
    const items = this.#at(state.ItemsPath);
    if (!Array.isArray(items)) throw new StateFailed('States.Runtime', `${state.ItemsPath} is no list`);
    const most = Number(this.#at(state.MaxConcurrencyPath));
    if (!Number.isInteger(most) || most < 0) throw new StateFailed('States.Runtime', `${state.MaxConcurrencyPath} is no number`);
    this.#children ??= items.map((item, i) => {
      const context = { ...this.#context, Map: { Item: { Index: i, Value: item } } };
      const input = limited(filled(state.ItemSelector ?? item, this.data, context), this.#state);
      return new Run(state.ItemProcessor as unknown as Definition, input, context, this.#options);
    });
    const children = this.#children;
    const waiting = children
      .filter(({ status }) => status !== 'SUCCEEDED')
      .map((child) => (child.status === 'NEW' ? child : child.redriven()));
    const queue = waiting.values();
    let running = 0;
    let failed: Run | undefined;
    let stop = (): void => {};
    const failing = new Promise<void>((resolve) => {
      stop = resolve;
    });
    const lane = async (): Promise<void> => {
      for (const child of queue) {
        if (failed) return;
        running += 1;
        this.atOnce = Math.max(this.atOnce, running);
        await child.advance();
        running -= 1;
        this.#longestChild = Math.max(this.#longestChild, child.longest);
        if (child.status !== 'FAILED') continue;
        // No failure is tolerated.
        failed ??= child;
        for (const other of children) other.abort();
        stop();
        return;
      }
    };
    await Promise.race([failing, Promise.all(Array.from({ length: most === 0 ? waiting.length : most }, lane))]);
    if (failed) throw new StateFailed('States.ExceedToleratedFailureThreshold', `${failed.failure?.error}: ${failed.failure?.cause}`);
    return limited(
      children.map(({ data }) => data),
      this.#state,
    );
  }

  #at(path: Json | undefined): Json {
    return at(path, this.data, this.#context);
  }
}

class StateFailed extends Error {
  readonly failure: Failure;

  constructor(error: string, cause: string) {
    super(`${error}: ${cause}`);
    this.failure = { error, cause };
  }
}

function json(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null));
}

function limited(data: Json, state: string): Json {
  const bytes = Buffer.byteLength(JSON.stringify(data));
  if (bytes > MOST_BYTES) throw new StateFailed('States.DataLimitExceeded', `${state} has ${bytes} bytes`);
  return data;
}

/** A path: `$`, `$.name.name`, or `$$.name` of the context. */
const PATH = /^\$\$?(\.[A-Za-z]\w*)*$/;

function at(path: Json | undefined, data: Json, context: Fields): Json {
  const [root, ...names] = String(path).split('.');
  return names.reduce(
    (found: Json, name) => {
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
        throw new StateFailed('States.ParameterPathFailure', `${path} is not in ${JSON.stringify(data).slice(0, 200)}`);
      }
      return (found as Fields)[name] as Json;
    },
    root === '$$' ? context : data,
  );
}

/** A payload template. */
function filled(template: Json, data: Json, context: Fields): Json {
  if (Array.isArray(template)) return template.map((it) => filled(it, data, context));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(
    Object.entries(template as Fields).map(([name, value]) =>
      name.endsWith('.$') ? [name.slice(0, -2), at(value, data, context)] : [name, filled(value, data, context)],
    ),
  );
}

function placed(data: Json, path: Json | undefined, result: Json): Json {
  if (path === undefined || path === '$') return result;
  return { ...(data as Fields), [String(path).slice(2)]: result };
}

function check(machine: Definition & Fields, fields: readonly string[], names: Set<string>): void {
  refuseUnknown('a state machine', machine, fields);
  const { StartAt, States } = machine;
  const reached = new Set<string>();
  const go = (from: string, to: Json | undefined): void => {
    const target = States[String(to)];
    if (!target) throw new Error(`${from} leads to ${to}, which is no state beside it`);
    if (reached.has(String(to))) return;
    reached.add(String(to));
    for (const next of nextOf(target)) go(String(to), next);
  };
  go('StartAt', StartAt);
  for (const [name, state] of Object.entries(States)) {
    if (names.has(name)) throw new Error(`two states have the name ${name}`);
    names.add(name);
    if (name.length > 80) throw new Error(`the name ${name} is too long`);
    if (!reached.has(name)) throw new Error(`no state leads to ${name}`);
    checkState(name, state, names);
  }
}

function nextOf({ Type, Next, End, Choices, Default }: Fields): readonly Json[] {
  if (Type === 'Choice') return [...(Choices as readonly Fields[]).map(({ Next }) => Next as Json), Default as Json];
  if ((Next === undefined) === (End !== true)) throw new Error('a state has neither or both of Next and End');
  return Next === undefined ? [] : [Next];
}

function checkState(name: string, state: Fields, names: Set<string>): void {
  const fields = FIELDS[String(state.Type)];
  if (!fields) throw new Error(`${name} has the type ${state.Type}, which is not known here`);
  refuseUnknown(name, state, fields);
  for (const [field, value] of Object.entries(state)) {
    if (field.endsWith('Path') && !PATH.test(String(value)))
      throw new Error(`${field} of ${name} is ${value}, a path that is not known here`);
  }
  if (state.ResultPath !== undefined && !/^\$(\.\w+)?$/.test(String(state.ResultPath)))
    throw new Error(`ResultPath of ${name} is not known here`);
  for (const template of [state.Parameters, state.ItemSelector, state.ResultSelector]) checkTemplate(name, template ?? {});
  switch (state.Type) {
    case 'Task': {
      if (!/^arn:[^:]+:states:::lambda:invoke$/.test(String(state.Resource)))
        throw new Error(`${name} has a Resource that is not known here`);
      refuseUnknown(`${name}.Parameters`, state.Parameters as Fields, ['FunctionName', 'Payload', 'Payload.$']);
      const retries = (state.Retry ?? []) as readonly Fields[];
      for (const [i, retrier] of retries.entries()) {
        refuseUnknown(`${name}.Retry`, retrier, RETRIER);
        const errors = retrier.ErrorEquals as readonly string[];
        if (errors.includes('States.ALL') && (errors.length > 1 || i < retries.length - 1))
          throw new Error(`${name}: States.ALL is not the last`);
      }
      return;
    }
    case 'Choice':
      for (const choice of state.Choices as readonly Fields[])
        refuseUnknown(`${name}.Choices`, choice, ['Variable', 'BooleanEquals', 'Next']);
      return;
    case 'Map': {
      if (!/^[^\s*?[\]{}<>:;,\\|^~$#%&`"]{1,40}$/.test(String(state.Label))) throw new Error(`${name} has no valid Label`);
      const processor = state.ItemProcessor as Definition & Fields;
      const { Mode, ExecutionType, ...rest } = processor.ProcessorConfig as Fields;
      if (Mode !== 'DISTRIBUTED' || ExecutionType !== 'STANDARD' || Object.keys(rest).length > 0) {
        throw new Error(`${name} has a ProcessorConfig that is not known here`);
      }
      check(processor, ['ProcessorConfig', 'StartAt', 'States'], names);
    }
  }
}

function checkTemplate(name: string, template: Json): void {
  if (typeof template !== 'object' || template === null) return;
  for (const [field, value] of Object.entries(template)) {
    if (field.endsWith('.$') && !PATH.test(String(value)))
      throw new Error(`${field} of ${name} is ${value}, a path that is not known here`);
    checkTemplate(name, value as Json);
  }
}

function refuseUnknown(name: string, given: Fields, known: readonly string[]): void {
  const unknown = Object.keys(given).filter((field) => !known.includes(field));
  if (unknown.length > 0) throw new Error(`${name} has ${unknown.join(', ')}, which is not known here`);
}
