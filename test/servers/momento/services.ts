import { createHash, randomBytes } from 'node:crypto';
import { cache_client } from '@gomomento/generated-types/dist/cacheclient.js';
import { cache_client as cache_ping } from '@gomomento/generated-types/dist/cacheping.js';
import { control_client } from '@gomomento/generated-types/dist/controlclient.js';
import { type Metadata, Server, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { batches } from './batches.ts';
import type { Caches } from './caches.ts';
import type { Calls } from './calls.ts';
import { conditional } from './conditional.ts';
import { control } from './control.ts';
import type { Counters } from './counters.ts';
import { dictionaries } from './dictionaries.ts';
import { expiry } from './expiry.ts';
import { invalid } from './failure.ts';
import { lists } from './lists.ts';
import { cacheOf, type Message } from './request.ts';
import { scalars } from './scalars.ts';
import type { Scope } from './scope.ts';
import { sets } from './sets.ts';
import { sortedLengths } from './sorted-range.ts';
import { sortedSets } from './sorted-sets.ts';
import { sortedUnion } from './sorted-union.ts';

const unary = {
  ...scalars,
  ...conditional,
  ...expiry,
  ...dictionaries,
  ...sets,
  ...lists,
  ...sortedSets,
  ...sortedLengths,
  ...sortedUnion,
};

type Handlers<Of> = Readonly<Record<string, (of: Of, request: Message) => Message>>;

/** Makes a gRPC server with the cache's data plane, control plane and ping; it does not listen yet. Other rpcs are UNIMPLEMENTED. */
export function momentoServices(caches: Caches, calls: Calls, counters: Counters): Server {
  const { limits } = caches;
  const salt = randomBytes(16);
  const hash = (value: Uint8Array) => createHash('sha256').update(salt).update(value).digest();
  const scope = (metadata: Metadata): Scope => {
    const name = cacheOf(metadata);
    if (name === undefined) throw invalid('the call names no cache');
    return { space: caches.used(name), limits, hash, consistent: metadata.get('read-concern')[0] === 'consistent' };
  };

  const data: UntypedServiceImplementation = {};
  for (const [rpc, handle] of Object.entries(unary as Handlers<Scope>))
    data[rpc] = calls.unary(rpc, (request, metadata) => handle(scope(metadata), request));
  for (const [rpc, handle] of Object.entries(batches as Handlers<Scope>))
    data[rpc] = calls.streaming(rpc, (request, metadata) => handle(scope(metadata), request));
  const plane: UntypedServiceImplementation = {};
  for (const [rpc, handle] of Object.entries(control as Handlers<Caches>))
    plane[rpc] = calls.unary(rpc, (request) => handle(caches, request));

  const server = new Server({ 'grpc.max_receive_message_length': limits.messageBytes, 'grpc.max_send_message_length': -1 });
  server.addService(counters.counting(cache_client.UnimplementedScsService.definition), data);
  server.addService(counters.counting(control_client.UnimplementedScsControlService.definition), plane);
  server.addService(counters.counting(cache_ping.UnimplementedPingService.definition), {
    Ping: calls.unary('Ping', () => new cache_ping._PingResponse()),
  });
  return server;
}
