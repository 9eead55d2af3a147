// A browser as a client: headless Chromium, told over its debugging protocol what to run in its pages.
//
// usage: node chromium.js URL [CHROMIUM]

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';

const [base, chromium = 'chromium'] = process.argv.slice(2);

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
  const seen = {};

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
  echoText: 'hello, zß€😀',
  echoBinary: [0, 127, 255],
  echoLength: 1 << 20,
  pubSubText: ['to all', 'to all'],
  pubSubBinary: [[1, 2, 3], [1, 2, 3]],
  closes: ['1000 true', '1000 true', '1000 true'],
};

const profile = await mkdtemp(join(tmpdir(), 'ringrelay-chromium-'));
const browser = spawn(chromium, [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server',
  '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
], { stdio: ['ignore', 'ignore', 'pipe'] });
const watchdog = setTimeout(() => {
  console.error('the browser did not finish within a minute');
  browser.kill('SIGKILL');
  process.exit(1);
}, 60_000);

try {
  const debug = await connectTo(await debuggerUrl(browser));
  // A page of the relay's own origin creates its channels itself; one of another origin is given them.
  assert.deepEqual(await inPage(debug, `${base}/channels`, exchange, base), wanted);
  const given = { echo: await channel('echo'), pubSub: await channel('pub-sub') };
  // (Served from this host: pages without an address may not connect to it.)
  const elsewhere = createServer((_, answer) => answer.end('<title>elsewhere</title>')).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const page = `http://127.0.0.1:${elsewhere.address().port}/`;
  assert.deepEqual(await inPage(debug, page, exchange, base, given), wanted);
  elsewhere.close();
  elsewhere.closeAllConnections();
  debug.socket.close();
} finally {
  clearTimeout(watchdog);
  if (browser.exitCode === null && browser.kill()) await once(browser, 'exit');
  // Its children write there for a moment longer.
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** Where the browser listens for its debugger: it says so on stderr. */
function debuggerUrl(browser) {
  let said = '';
  return new Promise((resolve, reject) => {
    browser.on('error', reject);
    browser.on('exit', () => reject(new Error(`the browser did not start: ${said}`)));
    browser.stderr.on('data', (chunk) => {
      said += chunk;
      const url = said.match(/ws:\/\/\S+(?=\s)/);
      if (url) resolve(url[0]);
    });
  });
}

/** The debugging protocol: numbered commands, answers by the same number, and events. */
async function connectTo(url) {
  const socket = new WebSocket(url, { maxPayload: 0 });
  const answers = new Map();
  const events = [];
  let number = 0;
  socket.on('message', (data) => {
    const { id, method, sessionId, error, result } = JSON.parse(data);
    if (id) answers.get(id)(error ? Promise.reject(new Error(error.message)) : result);
    else events.filter((event) => event.method === method && event.sessionId === sessionId).forEach((event) => event.happened());
  });
  await once(socket, 'open');
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve) => {
      number += 1;
      answers.set(number, resolve);
      socket.send(JSON.stringify({ id: number, method, params, sessionId }));
    });
  const event = (method, sessionId) => new Promise((happened) => events.push({ method, sessionId, happened }));
  return { socket, send, event };
}

/** Opens `url` in a page of its own, runs `task` there and gives what it gives. */
async function inPage(debug, url, task, ...args) {
  const { targetId } = await debug.send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await debug.send('Target.attachToTarget', { targetId, flatten: true });
  await debug.send('Page.enable', {}, sessionId);
  const loaded = debug.event('Page.loadEventFired', sessionId);
  const { errorText } = await debug.send('Page.navigate', { url }, sessionId);
  assert.equal(errorText, undefined);
  await loaded;
  const expression = `(${task})(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
  const params = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await debug.send('Runtime.evaluate', params, sessionId);
  assert.equal(exceptionDetails, undefined, `in ${url}: ${exceptionDetails?.exception?.description}`);
  await debug.send('Target.closeTarget', { targetId });
  return result.value;
}

async function channel(pattern) {
  const answer = await fetch(`${base}/channels`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ pattern }),
  });
  const { token, data } = await answer.json();
  return `${base.replace('http', 'ws')}/channels/${data.id}/connect?token=${token}`;
}
