// A way to the relay that a test can cut and open again: to a page it is a relay that goes away and comes back.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A way to the relay at `base`. `cut` ends what is connected; `block` lets nothing through until `unblock`. */
export async function wayTo(base) {
  const { hostname, port } = new URL(base);
  const sockets = new Set();
  let isBlocked = false;
  const server = createServer((near) => {
    if (isBlocked) return near.destroy();
    const far = connect(port, hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy()).on('close', () => { to.destroy(); sockets.delete(from); });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    cut,
    block: () => { isBlocked = true; cut(); },
    unblock: () => { isBlocked = false; },
    close: () => { server.close(); cut(); },
  };
}
