import { type Metadata, status } from '@grpc/grpc-js';
import type { Fault } from './faults.ts';

/**
 * Faults that a client asks for by the headers of Momento's own local server. `request-id` names the run. `return-error`, `error-rpcs`
 * and `error-count` make calls fail; `delay-rpcs`, `delay-ms` and `delay-count` make calls late. Without a count, every call.
 */
export class HeaderFaults {
  readonly #given = new Map<string, number>();

  of(rpc: string, metadata: Metadata): Fault | undefined {
    const run = header(metadata, 'request-id');
    if (run === undefined) return undefined;
    const delays = this.#strikes('delay', run, rpc, metadata);
    const fails = this.#strikes('error', run, rpc, metadata);
    if (!delays && !fails) return undefined;
    const delayMs = delays ? Number(header(metadata, 'delay-ms') ?? 0) : 0;
    return fails ? { delayMs, error: { code: codeOf(header(metadata, 'return-error')) } } : { delayMs };
  }

  #strikes(what: 'delay' | 'error', run: string, rpc: string, metadata: Metadata): boolean {
    const name = rpc === 'SetIfNotExists' ? 'set-if' : dashed(rpc);
    if (!header(metadata, `${what}-rpcs`)?.split(' ').includes(name)) return false;
    const subject = `${what} ${run} ${rpc}`;
    const given = this.#given.get(subject) ?? 0;
    const count = header(metadata, `${what}-count`);
    if (count !== undefined && given >= Number(count)) return false;
    this.#given.set(subject, given + 1);
    return true;
  }
}

function header(metadata: Metadata, name: string): string | undefined {
  return metadata.get(name)[0]?.toString();
}

function dashed(rpc: string): string {
  return rpc.replaceAll(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

function codeOf(name = 'unavailable'): status {
  const code = status[name.toUpperCase().replaceAll('-', '_') as keyof typeof status];
  return code ?? status.UNKNOWN;
}
