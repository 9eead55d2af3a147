// Replies find their questions whatever their order; a failure, a timeout and an absent service are told apart.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket as Client } from '../clients/node_modules/ws/wrapper.mjs';

const script = join(import.meta.dirname, '../../examples/request-reply.mjs');
const [relay] = process.argv.slice(2);

function run(...args) {
  // Node has a WebSocket by itself from version 22 on.
  const flags = typeof WebSocket === 'undefined' ? ['--experimental-websocket', '--no-warnings'] : [];
  const child = spawn(process.execPath, [...flags, script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  return child;
}

async function call(url, ...questions) {
  const child = run('call', url, ...questions);
  let said = '';
  child.stdout.on('data', (text) => { said += text; });
  const [status] = await once(child, 'close');
  return { status, said: said.trim().split('\n') };
}

/** Where a service can be called: it says so when it is ready. */
function served(service) {
  let said = '';
  return new Promise((resolve, reject) => {
    service.on('exit', () => reject(new Error(`the service ended, and said: ${said}`)));
    service.stdout.on('data', (text) => {
      said += text;
      const url = said.match(/'(ws:[^']*)'/);
      if (url) resolve(url[1]);
    });
  });
}

const service = run('serve', relay);
try {
  const url = await served(service);
  assert.deepEqual(await call(url, 'nap:300', 'factorial:20', 'primes:100000'), {
    status: 0,
    said: ['factorial:20 = 2432902008176640000', 'primes:100000 = 9592 primes', 'nap:300 = slept 300 ms'],
  });
  assert.deepEqual(await call(url, 'nap:9000', 'sing:1', 'factorial:3'), {
    status: 1,
    said: [
      'sing:1 failed: no such method; there are factorial, primes, nap',
      'factorial:3 = 6',
      'nap:9000 failed: no reply within 2000 ms',
    ],
  });
  // A request in bytes is one like any other.
  const client = new Client(url);
  await once(client, 'open');
  client.send(Buffer.from('{"type":"request","id":7,"method":"factorial","number":3}'));
  const [reply] = await once(client, 'message');
  assert.equal(JSON.parse(reply).result, '6');
  client.close();
  service.kill();
  await once(service, 'exit');
  const alone = await call(url, 'factorial:20');
  assert.equal(alone.status, 1);
  assert.match(alone.said[0], /^factorial:20 failed: no_responders: /);
} finally {
  service.kill();
}
