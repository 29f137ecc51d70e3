import type { Metadata } from '@grpc/grpc-js';

// biome-ignore lint/suspicious/noExplicitAny: a message of any rpc
export type Message = any;

/** Reads the cache's name: from the headers in the data plane, from the message in the control plane. */
export function cacheOf(metadata: Metadata, request?: Message): string | undefined {
  return metadata.get('cache')[0]?.toString() ?? request?.cache_name;
}

/** The keys of a request, as text. */
export function keysOf(request: Message): string[] {
  const key = request.cache_key ?? request.dictionary_name ?? request.set_name ?? request.list_name;
  if (key !== undefined) return [textOf(key)];
  if (request.cache_keys !== undefined) return request.cache_keys.map(textOf);
  return request.items?.map((item: Message) => textOf(item.cache_key)) ?? [];
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString();
}
