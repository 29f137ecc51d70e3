import { connect, createServer } from 'node:net';
import { RespCounter } from './resp.mjs';

/**
 * What a client has sent since the last reset.
 *
 * @typedef {object} Traffic
 * @property {number} commands
 * @property {number} roundTrips sends after the server had answered all earlier commands
 * @property {readonly Buffer[]} sent the bytes
 */

/**
 * @typedef {object} Proxy
 * @property {string} url
 * @property {() => void} reset sets the traffic to none
 * @property {() => Traffic} traffic
 * @property {() => Promise<void>} close
 */

/** Starts a proxy that counts the traffic between a client and the server. @param {number} serverPort @returns {Promise<Proxy>} */
export async function startProxy(serverPort) {
  let [commands, roundTrips] = [0, 0];
  /** @type {Buffer[]} */
  let sent = [];
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();

  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ port: serverPort, host: '127.0.0.1', noDelay: true });
    const [requests, replies] = [new RespCounter(), new RespCounter()];
    for (const [from, to] of /** @type {const} */ ([
      [client, server],
      [server, client],
    ])) {
      sockets.add(from);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    }
    let answered = true;
    client.on('data', (data) => {
      if (answered) roundTrips += 1;
      answered = false;
      const before = requests.count;
      requests.push(data);
      commands += requests.count - before;
      sent.push(data);
      server.write(data);
    });
    server.on('data', (data) => {
      replies.push(data);
      answered = replies.count >= requests.count;
      client.write(data);
    });
  });
  listener.listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = /** @type {import('node:net').AddressInfo} */ (listener.address());
  return {
    url: `redis://127.0.0.1:${port}`,
    reset() {
      [commands, roundTrips, sent] = [0, 0, []];
    },
    traffic: () => ({ commands, roundTrips, sent }),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
