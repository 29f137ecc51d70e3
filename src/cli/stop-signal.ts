/** A second signal within this time is the same Ctrl-C, ms: the terminal sends it to this process, and npx sends it once more. */
const SAME_SIGNAL_MS = 300;

/** Returns a signal that the first Ctrl-C or SIGTERM aborts. The second one ends the process. */
export function stopSignal(): AbortSignal {
  const stopped = new AbortController();
  let stoppedAt = 0;
  const stop = () => {
    if (!stopped.signal.aborted) {
      stoppedAt = performance.now();
      process.stderr.write('stopping: finishing the work in progress (Ctrl-C again to end at once)\n');
      stopped.abort();
    } else if (performance.now() - stoppedAt > SAME_SIGNAL_MS) process.exit(130);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return stopped.signal;
}
