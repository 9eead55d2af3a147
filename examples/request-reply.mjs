// A service that answers questions, and a caller. Shows req-repl: the relay writes into each request who asks (`origin`),
// and a reply that carries that `origin` goes to the asker alone. Neither side has to be reachable from outside.
//
// Start a relay (ringrelay serve), then a service; it prints how to call it:
//
//   node request-reply.mjs serve [http://127.0.0.1:8080]
//   node request-reply.mjs call CHANNEL_URL factorial:20 primes:100000 nap:500 nap:9000
//
// It needs Node 22; with Node 20 say `node --experimental-websocket request-reply.mjs …`.

const TIMEOUT_MS = 2000; // how long the caller waits for a reply
const [role, address, ...questions] = process.argv.slice(2);

if (typeof WebSocket === 'undefined') exit('This Node has no WebSocket: use Node 22, or node --experimental-websocket');
if (role === 'serve') await serve(address ?? 'http://127.0.0.1:8080');
else if (role === 'call' && questions.length > 0) await call(address, questions);
else exit('usage: node request-reply.mjs serve [RELAY]\n       node request-reply.mjs call CHANNEL_URL METHOD:NUMBER…');

// ---- the service

/** What can be asked. A method may take its time: others are answered meanwhile. */
function methods() {
  return {
    factorial: (n) => {
      if (n > 1000) throw new Error('factorial takes at most 1000');
      let product = 1n;
      for (let factor = 2n; factor <= n; factor += 1n) product *= factor;
      return String(product);
    },
    primes: (n) => {
      if (n > 10_000_000) throw new Error('primes takes at most 10000000');
      const isComposite = new Uint8Array(n + 1);
      let count = 0;
      for (let i = 2; i <= n; i += 1) {
        if (isComposite[i]) continue;
        count += 1;
        for (let multiple = i * i; multiple <= n; multiple += i) isComposite[multiple] = 1;
      }
      return `${count} primes`;
    },
    nap: (n) => {
      if (n > 60_000) throw new Error('nap takes at most 60000');
      return new Promise((resolve) => setTimeout(resolve, n, `slept ${n} ms`));
    },
  };
}

async function serve(relay) {
  const answer = await fetch(`${relay}/channels`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ pattern: 'req-repl' }),
  }).catch(() => exit(`There is no relay at ${relay}; start one with: ringrelay serve`));
  const body = await answer.json();
  if (!answer.ok) exit(body.error.message);
  const url = `${relay.replace(/^http/, 'ws')}/channels/${body.data.id}/connect?token=${body.token}`;

  const known = methods();
  const socket = new WebSocket(url);
  socket.onopen = () => console.log(`ready; call it with:\nnode request-reply.mjs call '${url}' factorial:20`);
  socket.onclose = ({ code, reason }) => exit(`The channel was closed: ${code} ${reason}`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = async ({ data }) => {
    const { type, origin, id, method, number } = read(data);
    // With req-repl a request goes to every other client: a caller ignores those of other callers in the same way.
    if (type !== 'request') return;
    console.log(`${origin} asks for ${method}(${number})`);
    const reply = { type: 'reply', origin, id };
    try {
      if (!Object.hasOwn(known, method)) throw new Error(`no such method; there are ${Object.keys(known).join(', ')}`);
      if (!Number.isSafeInteger(number) || number < 0) throw new Error('the number has to be an integer from 0 on');
      reply.result = await known[method](number);
    } catch (error) {
      reply.failure = error.message;
    }
    socket.send(JSON.stringify(reply));
  };
}

// ---- the caller

async function call(url, questions) {
  const socket = new WebSocket(url);
  const isOpen = await new Promise((resolve) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  if (!isOpen) exit('No connection: is the channel still there, and is its token right?');
  const ask = asker(socket);
  // All at once: replies come in the order in which they are ready, and find their question by its id.
  const outcomes = await Promise.all(questions.map(async (question) => {
    const [method, number] = question.split(':');
    try {
      console.log(`${question} = ${await ask(method, Number(number))}`);
      return true;
    } catch (error) {
      console.log(`${question} failed: ${error.message}`);
      return false;
    }
  }));
  socket.onclose = () => process.exit(outcomes.every(Boolean) ? 0 : 1);
  socket.close(1000);
}

/** Gives a function that asks over `socket` and promises the result. */
function asker(socket) {
  const pending = new Map(); // id → { resolve, reject, timer }
  let count = 0;

  const settle = (id, outcome) => {
    const question = pending.get(id);
    if (!question) return; // a reply after its timeout, or a second one: another service was faster
    pending.delete(id);
    clearTimeout(question.timer);
    outcome(question);
  };
  const fail = (id, why) => settle(id, ({ reject }) => reject(new Error(why)));

  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => {
    const message = read(data);
    if (message.type === 'reply' && 'failure' in message) fail(message.id, message.failure);
    else if (message.type === 'reply') settle(message.id, ({ resolve }) => resolve(message.result));
    // The relay's own errors name no request. Nobody else is there: so no question will be answered any more.
    else if (message.type === 'error') [...pending.keys()].forEach((id) => fail(id, `${message.error}: ${message.message}`));
  };
  socket.onclose = ({ code, reason }) => [...pending.keys()].forEach((id) => fail(id, `the channel was closed: ${code} ${reason}`));

  return (method, number) => new Promise((resolve, reject) => {
    const id = count++;
    const timer = setTimeout(() => fail(id, `no reply within ${TIMEOUT_MS} ms`), TIMEOUT_MS);
    pending.set(id, { resolve, reject, timer });
    socket.send(JSON.stringify({ type: 'request', id, method, number }));
  });
}

/** The object of a message: the relay passes on nothing else, but both as text and as bytes. */
function read(data) {
  return JSON.parse(typeof data === 'string' ? data : new TextDecoder().decode(data));
}

function exit(why) {
  console.error(why);
  process.exit(1);
}
