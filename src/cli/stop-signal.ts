/** npx passes a Ctrl-C on to its child, which has it from the terminal already: within so many ms it is the same one. */
const SAME_MS = 300;

/** Aborted by the first Ctrl-C or SIGTERM; the second ends the process. */
export function stopSignal(): AbortSignal {
  const stopped = new AbortController();
  let asked = 0;
  const stop = () => {
    if (!stopped.signal.aborted) {
      asked = performance.now();
      process.stderr.write('stopping: what was begun is finished first (Ctrl-C again to end at once)\n');
      stopped.abort();
    } else if (performance.now() - asked > SAME_MS) process.exit(130);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return stopped.signal;
}
