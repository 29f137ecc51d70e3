/**
 * Stands in for the package `debug` in the function's bundle (see Alias in template.yaml): the Valkey client's trace, 10 KiB of code that
 * are never on there.
 */
export default function createDebug(): { enabled: false } {
  return { enabled: false };
}
