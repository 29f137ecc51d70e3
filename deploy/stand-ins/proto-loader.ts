/**
 * Replaces the package `@grpc/proto-loader` in the functions' bundles (see Alias in template.yaml). It saves 137 KiB: gRPC needs the package
 * only to describe the Momento client's connections to a debugger (channelz).
 */
export function loadSync(): never {
  throw new Error('@grpc/proto-loader is not part of this bundle: remove its Alias in template.yaml');
}
