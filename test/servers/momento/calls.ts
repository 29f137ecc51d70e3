import { type handleServerStreamingCall, type handleUnaryCall, type Metadata, status } from '@grpc/grpc-js';
import type { Counters } from './counters.ts';
import { Failure } from './failure.ts';
import type { Fault, MomentoCall, OnCall } from './faults.ts';
import { HeaderFaults } from './header-faults.ts';
import { cacheOf, keysOf, type Message } from './request.ts';

export interface CallsOptions {
  readonly counters: Counters;
  /** The accepted API keys. `undefined` accepts every call. */
  readonly accepted: () => ReadonlySet<string> | undefined;
  readonly onCall: () => OnCall | undefined;
  /** The delay of every call before it is applied, ms. */
  readonly latencyMs: number;
}

interface Call {
  readonly rpc: string;
  readonly request: Message;
  readonly metadata: Metadata;
}

type Apply = () => Message;
type Answer = (error: Failure | null, reply?: Message) => void;

/** Handles every call: counts it, checks its API key, looks for a fault, applies it, answers it. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #attempts = new Map<string, number>();
  readonly #headerFaults = new HeaderFaults();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  unary(rpc: string, apply: (request: Message, metadata: Metadata) => Message): handleUnaryCall<Message, Message> {
    return ({ request, metadata }, callback) => {
      this.#run({ rpc, request, metadata }, () => apply(request, metadata), callback);
    };
  }

  /** `apply` returns all answers at once. */
  streaming(rpc: string, apply: (request: Message, metadata: Metadata) => Message[]): handleServerStreamingCall<Message, Message> {
    return (call) => {
      const { request, metadata } = call;
      const answer: Answer = (error, replies) => {
        if (error !== null) {
          call.emit('error', error);
          return;
        }
        for (const reply of replies) call.write(reply);
        call.end();
      };
      this.#run({ rpc, request, metadata }, () => apply(request, metadata), answer);
    };
  }

  forgetAttempts(): void {
    this.#attempts.clear();
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Without latency and faults, a call is answered in the same turn of the event loop. */
  #run(call: Call, apply: Apply, answer: Answer): void {
    this.#options.counters.of(call.rpc).calls++;
    this.#later(this.#options.latencyMs, () => this.#arrive(call, apply, answer));
  }

  #arrive({ rpc, request, metadata }: Call, apply: Apply, answer: Answer): void {
    const finish = (act: Apply) => {
      let reply: Message;
      try {
        reply = act();
      } catch (error) {
        answer(error instanceof Failure ? error : new Failure(status.INTERNAL, `fault of the test server: ${(error as Error).stack}`));
        return;
      }
      answer(null, reply);
    };
    if (!this.#letsIn(metadata)) {
      finish(refused);
      return;
    }
    const strike = (fault: Fault | undefined) => this.#strike(fault, apply, finish);
    const fault = this.#options.onCall()?.(this.#describe(rpc, request, metadata)) ?? this.#headerFaults.of(rpc, metadata);
    if (fault instanceof Promise)
      fault.then(strike, (error) =>
        finish(() => {
          throw error;
        }),
      );
    else strike(fault);
  }

  #strike(fault: Fault | undefined, apply: Apply, finish: (act: Apply) => void): void {
    if (fault === undefined) {
      finish(apply);
      return;
    }
    const { when = 'before', delayMs = 0, error, hang = false } = fault;
    let act = when === 'after' ? applied(apply) : apply;
    if (hang) return;
    if (error !== undefined)
      act = () => {
        throw new Failure(error.code, error.details ?? status[error.code]);
      };
    this.#later(delayMs, () => finish(act));
  }

  #later(ms: number, act: () => void): void {
    if (ms === 0) {
      act();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #letsIn(metadata: Metadata): boolean {
    const accepted = this.#options.accepted();
    return accepted === undefined || accepted.has(String(metadata.get('authorization')[0] ?? ''));
  }

  #describe(rpc: string, request: Message, metadata: Metadata): MomentoCall {
    const cache = cacheOf(metadata, request);
    const keys = keysOf(request);
    const subject = JSON.stringify([rpc, cache, keys[0]]);
    const attempt = (this.#attempts.get(subject) ?? 0) + 1;
    this.#attempts.set(subject, attempt);
    return { rpc, cache, key: keys[0], keys, attempt, request };
  }
}

function refused(): never {
  throw new Failure(status.UNAUTHENTICATED, 'Invalid or missing authentication credentials');
}

/** Applies the call now. The result answers it later. */
function applied(apply: Apply): Apply {
  try {
    const reply = apply();
    return () => reply;
  } catch (failure) {
    return () => {
      throw failure;
    };
  }
}
