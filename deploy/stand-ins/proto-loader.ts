/**
 * Stands in for the package `@grpc/proto-loader` in the functions' bundles (see Alias in template.yaml): 137 KiB, with which the Momento
 * client could tell a debugger of its connections.
 */
export function loadSync(): never {
  throw new Error('@grpc/proto-loader is not part of this bundle');
}
