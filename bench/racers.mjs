import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const RACER = fileURLToPath(new URL('./racer.mjs', import.meta.url));

/**
 * What a racer's run took, µs: by the clock, and of its own CPU time. Of a race that was prepared: whether the contestant can run it.
 *
 * @typedef {{ readonly wall: number, readonly client: number, readonly isReady: boolean }} Run
 */

/**
 * Starts a contestant of racer.mjs in a process of its own.
 *
 * @param {string} name @param {number} port of the server
 * @param {number | 'inherit'} stdout where the contestant prints: a file descriptor, or this process's stdout
 * @param {number} [tablePort] of DynamoDB Local
 */
export async function startRacer(name, port, stdout = 'inherit', tablePort) {
  const child = fork(RACER, [name, String(port), String(tablePort ?? '')], { stdio: ['ignore', stdout, 'inherit', 'ipc'] });
  /** @returns {Promise<Run>} */
  const reply = () =>
    new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the process of ${name} ended`));
      child.once('exit', ended);
      child.once('message', (/** @type {Run & { error?: string }} */ message) => {
        child.off('exit', ended);
        if (message.error) reject(new Error(message.error));
        else resolve(message);
      });
    });
  await reply();
  /** @param {string} command */
  const command = (command) => {
    const answer = reply();
    child.send(command);
    return answer;
  };
  return {
    /** Prepares a race, by its name. */
    prepare: command,
    run: () => command('run'),
    end: () => child.disconnect(),
  };
}
