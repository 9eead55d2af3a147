// A browser as a client: pages of the relay's own origin, and of another one, exchange messages.
//
// usage: node chromium.js URL [CHROMIUM] [--deflate]
//
// --deflate: the relay compresses, and does so with a browser.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createChannel, withBrowser } from './browser.js';

const [base, chromium = 'chromium', flag] = process.argv.slice(2);

/** What runs in a page: creates channels if it may, connects, exchanges text and binary. */
async function exchange(base, given) {
  const create = async (spec) => {
    const answer = await fetch('/channels', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(spec),
    });
    if (answer.status !== 201) throw new Error(`creating answered ${answer.status}`);
    const { token, data } = await answer.json();
    return `${base.replace('http', 'ws')}/channels/${data.id}/connect?token=${token}`;
  };
  const connect = (url) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => resolve(socket);
      socket.onerror = () => reject(new Error(`no connection to ${url}`));
    });
  const receive = (socket) =>
    new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(typeof data === 'string' ? data : Array.from(new Uint8Array(data)));
    });
  const close = (socket) =>
    new Promise((resolve) => {
      socket.onclose = ({ code, wasClean }) => resolve(`${code} ${wasClean}`);
      socket.close(1000, 'done');
    });

  const echo = await connect(given?.echo ?? (await create({ pattern: 'echo' })));
  const pubSub = given?.pubSub ?? (await create({ pattern: 'pub-sub' }));
  const [alice, bob] = [await connect(pubSub), await connect(pubSub)];
  const seen = { compresses: echo.extensions.startsWith('permessage-deflate') };

  let next = receive(echo);
  echo.send('hello, zß€😀');
  seen.echoText = await next;
  next = receive(echo);
  echo.send(new Uint8Array([0, 127, 255]));
  seen.echoBinary = await next;
  next = receive(echo);
  echo.send(new Blob(['x'.repeat(1 << 20)]));
  seen.echoLength = (await next).length;

  next = Promise.all([receive(alice), receive(bob)]);
  alice.send('to all');
  seen.pubSubText = await next;
  next = Promise.all([receive(alice), receive(bob)]);
  bob.send(new Uint8Array([1, 2, 3]).buffer);
  seen.pubSubBinary = await next;
  seen.closes = await Promise.all([echo, alice, bob].map(close));
  return seen;
}

const wanted = {
  compresses: flag === '--deflate',
  echoText: 'hello, zß€😀',
  echoBinary: [0, 127, 255],
  echoLength: 1 << 20,
  pubSubText: ['to all', 'to all'],
  pubSubBinary: [[1, 2, 3], [1, 2, 3]],
  closes: ['1000 true', '1000 true', '1000 true'],
};

await withBrowser(chromium, async (browser) => {
  // A page of the relay's own origin creates its channels itself; one of another origin is given them.
  const own = await browser.open(`${base}/channels`);
  assert.deepEqual(await own.evaluate(exchange, base), wanted);
  await own.close();
  const given = { echo: (await createChannel(base, { pattern: 'echo' })).url, pubSub: (await createChannel(base, { pattern: 'pub-sub' })).url };
  // (Served from this host: pages without an address may not connect to it.)
  const elsewhere = createServer((_, answer) => answer.end('<title>elsewhere</title>')).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const foreign = await browser.open(`http://127.0.0.1:${elsewhere.address().port}/`);
  assert.deepEqual(await foreign.evaluate(exchange, base, given), wanted);
  elsewhere.close();
  elsewhere.closeAllConnections();
});
