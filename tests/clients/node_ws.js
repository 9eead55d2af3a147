// npm's `ws` as a client.
//
// usage: node node_ws.js URL [--deflate]
//
// --deflate: the relay compresses, and does so with this client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';

const [base, flag] = process.argv.slice(2);

/** Creates a channel; gives its id and the URL to connect to. */
async function create(spec) {
  const answer = await fetch(`${base}/channels`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(spec),
  });
  assert.equal(answer.status, 201);
  const { token, data } = await answer.json();
  return { id: data.id, url: `${base.replace('http', 'ws')}/channels/${data.id}/connect?token=${token}` };
}

/** A client whose messages can be awaited one by one, those that come early too. */
async function connect(url) {
  const socket = new WebSocket(url, { perMessageDeflate: true });
  const early = [];
  const waiting = [];
  socket.on('message', (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    const next = waiting.shift();
    if (next) next(message);
    else early.push(message);
  });
  await once(socket, 'open');
  assert.equal(socket.extensions, flag === '--deflate' ? 'permessage-deflate' : '');
  const receive = () => (early.length ? early.shift() : new Promise((resolve) => waiting.push(resolve)));
  return { socket, receive };
}

const echo = await connect((await create({ pattern: 'echo' })).url);
const messages = ['hello', '', 'zß€😀', Buffer.alloc(0), Buffer.from([0, 255]), 'x'.repeat(100_000), Buffer.alloc(1 << 20)];
for (const message of messages) {
  echo.socket.send(message);
  assert.deepEqual(await echo.receive(), message);
}
for (const [part, fin] of [['one ', false], ['two ', false], ['three', true]]) echo.socket.send(part, { fin });
assert.equal(await echo.receive(), 'one two three');
echo.socket.ping('are you there?');
assert.equal((await once(echo.socket, 'pong'))[0].toString(), 'are you there?');
echo.socket.close(1000, 'done');
assert.equal((await once(echo.socket, 'close'))[0], 1000);

const channel = await create({ pattern: 'pub-sub', excludeSender: true });
const [alice, bob] = [await connect(channel.url), await connect(channel.url)];
alice.socket.send('to you');
assert.equal(await bob.receive(), 'to you');
bob.socket.send(Buffer.from([1, 2, 3]));
assert.deepEqual(await alice.receive(), Buffer.from([1, 2, 3]));
const closed = [alice, bob].map(({ socket }) => once(socket, 'close'));
assert.equal((await fetch(`${base}/channels/${channel.id}`, { method: 'DELETE' })).status, 200);
for (const [code] of await Promise.all(closed)) assert.equal(code, 4404);
