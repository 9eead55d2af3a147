'use strict';
// What arrives on a channel was written by strangers: it reaches the page as text nodes only.

const $ = (id) => document.getElementById(id);
/** The relay's address; the page may lie under a path of a proxy. */
const base = location.origin + location.pathname.replace(/\/client\/?$/, '');
const COLOURS = [
  ['Coral', '#cc3f37', '#ff8f84'], ['Indigo', '#4f5bd5', '#a3adff'], ['Moss', '#2c7d4f', '#74d6a0'],
  ['Amber', '#a16207', '#f2bd5c'], ['Plum', '#9c3fa0', '#e49be6'], ['Teal', '#127a86', '#69d2dd'],
  ['Rose', '#bf3a70', '#ff97bf'], ['Slate', '#5b6472', '#b6c0cf'],
];
const REQUEST = '{"type":"request","question":"What time is it?"}';
/** Entries of a log. */
const LOG_LEN_MAX = 500;
/** Characters of a message that are shown; its length is told in any case. */
const SHOWN_LEN_MAX = 4000;
const CLOSES = {
  1000: 'closed as asked', 1002: 'the WebSocket protocol was broken',
  1005: 'closed, and no code was given', 1006: 'the connection broke without a goodbye',
  1007: 'a text was not valid UTF-8', 1008: 'a rule of the relay was broken, such as its rate limit', 1009: 'a message was larger than the relay takes',
  1011: 'the relay had a problem', 1012: 'the relay is shutting down', 4404: 'the channel was deleted', 4408: 'this client read too slowly',
  4410: 'the channel has expired: nobody sent anything for too long',
};

// The channel of this page: { id, token, data }, data as the relay last told it at `toldAt`; null before one is chosen.
let channel = null;
let toldAt = 0;
let gone = false;
let auth = new URLSearchParams(location.search).get('auth') ?? '';
let clients = [];
let connected = 0;

/** Builds an element; strings among the children become text. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function drawing(tag, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function complain(text) {
  $('error').textContent = text;
  $('error').hidden = !text;
  if (text) $('error').scrollIntoView({ block: 'nearest' });
}
let toastTimer = 0;
function toast(text) {
  $('toast').textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($('toast').textContent = ''), 2000);
}
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers offer no clipboard, but the old command.
    const area = element('textarea', { value: text });
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    if (!copied) return complain(`The browser does not let this page copy. Here it is: ${text}`);
  }
  toast(`${what} copied`);
}

/** Asks the relay; throws what it says when it refuses. */
async function rest(method, path, body) {
  const headers = body ? { 'Content-Type': 'application/json' } : {};
  if (auth) headers.Authorization = `Bearer ${auth}`;
  let answer;
  try {
    answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error('The relay does not answer.');
  }
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said;
  throw Object.assign(new Error(said?.error?.message ?? `The relay answered ${answer.status}.`), { status: answer.status });
}
/** Runs what a button does, and shows why it failed. */
async function attempt(button, work) {
  complain('');
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    complain(error.message);
  } finally {
    if (button) button.disabled = false;
  }
}

// Choosing a channel.

const create = $('create');
function fitFields() {
  const isPubSub = create.pattern.value === 'pub-sub';
  create.excludeSender.disabled = !isPubSub;
  if (!isPubSub) create.excludeSender.checked = false;
  create.history.disabled = !isPubSub;
  create.timeout.disabled = create.unit.value === '-1';
}
create.addEventListener('change', fitFields);
create.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(event.submitter, async () => {
    // What is left empty is left to the relay, which also judges the rest.
    const wanted = { pattern: create.pattern.value };
    if (create.elements.id.value) wanted.id = create.elements.id.value;
    if (create.clientLimit.value) wanted.clientLimit = Number(create.clientLimit.value);
    if (create.unit.value === '-1') wanted.timeout = -1;
    else if (create.timeout.value) wanted.timeout = Number(create.timeout.value) * Number(create.unit.value);
    if (!create.history.disabled && create.history.value && create.history.value !== '0') wanted.history = Number(create.history.value);
    if (create.excludeSender.checked) wanted.excludeSender = true;
    const { token, data } = await rest('POST', '/channels', wanted);
    enter(token, data);
    connect();
    connect();
  });
});
$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const { id, token } = $('join').elements;
  attempt(event.submitter, () => join(id.value.trim(), token.value.trim()));
});
async function join(id, token) {
  const { data } = await rest('GET', `/channels/${encodeURIComponent(id)}`);
  enter(token, data);
  connect();
}
/** An invitation stands behind the #, which browsers send nowhere; it leaves the address bar at once. */
function readInvitation() {
  const invitation = new URLSearchParams(location.hash.slice(1));
  const [id, token] = [invitation.get('id'), invitation.get('token')];
  if (!id || !token) return;
  history.replaceState(null, '', location.pathname + location.search);
  leave();
  $('join').elements.id.value = id;
  $('join').token.value = token;
  attempt(null, () => join(id, token));
}

function enter(token, data) {
  channel = { id: data.id, token, data };
  gone = false;
  complain('');
  $('start').hidden = true;
  $('channel').hidden = false;
  for (const name of ['connect', 'invite', 'delete']) $(name).disabled = false;
  scrollTo(0, 0);
  tell(data);
  showCode();
  // What had the focus is hidden now: the keyboard goes on here.
  $('id').focus({ preventScroll: true });
}
function leave() {
  for (const client of clients) client.socket?.close(1000);
  clients = [];
  connected = 0;
  channel = null;
  $('cards').replaceChildren();
  $('reveal').checked = false;
  complain('');
  arrange();
  $('channel').hidden = true;
  $('start').hidden = false;
  document.querySelector('#create :checked').focus({ preventScroll: true });
}

// What the relay tells about the channel.

function tell(data) {
  channel.data = data;
  toldAt = performance.now();
  $('id').textContent = data.id;
  $('pattern').textContent = data.pattern;
  $('clients').textContent = data.clientLimit === -1 ? `${data.clients}, no limit` : `${data.clients} of at most ${data.clientLimit}`;
  $('count').textContent = data.clients;
  $('count-label').textContent = data.clients === 1 ? 'client' : 'clients';
  $('history').textContent = data.history ? `${data.history} messages` : 'none';
  const own = { echo: 'yes', 'pub-sub': data.excludeSender ? 'no' : 'yes', 'push-pull': 'when alone' };
  $('own').textContent = own[data.pattern] ?? 'no';
  countDown();
}
function countDown() {
  const { countdown, timeout } = channel.data;
  const left = Math.max(0, countdown - (performance.now() - toldAt));
  $('left').textContent = gone ? 'over' : countdown === -1 ? 'no timeout' : inWords(left);
  $('left-bar').firstElementChild.style.width = gone ? '0' : countdown === -1 ? '100%' : `${(100 * left) / Math.max(1, timeout)}%`;
}
function inWords(ms) {
  const s = Math.ceil(ms / 1000);
  const [d, h, min] = [s >= 172800 ? Math.floor(s / 86400) : 0, Math.floor(s / 3600), Math.floor(s / 60) % 60];
  if (d) return `${d} d ${h % 24} h`;
  if (h) return `${h} h ${min} min`;
  return min ? `${min} min ${s % 60} s` : `${s} s`;
}
/** What `refresh` last complained of, to be taken back when the relay answers again; empty if it does. */
let unheard = '';
async function refresh() {
  const asked = channel;
  if (!asked || gone) return;
  try {
    const { data } = await rest('GET', `/channels/${asked.id}`);
    if (channel !== asked || gone) return;
    if (unheard && $('error').textContent === unheard) complain('');
    unheard = '';
    tell(data);
  } catch (error) {
    if (channel !== asked || gone) return;
    // Every second, but said once: saying it takes the reader to where it stands.
    if ($('error').textContent !== error.message) complain(error.message);
    unheard = error.message;
    if (error.status === 404) endChannel();
  }
}
function endChannel() {
  gone = true;
  for (const name of ['connect', 'invite', 'delete']) $(name).disabled = true;
  $('clients').textContent = 'none: the channel is gone';
  $('count').textContent = '0';
  countDown();
}
setInterval(() => channel && !document.hidden && countDown(), 250);
setInterval(() => document.hidden || refresh(), 1000);

// Clients.

function connectUrl(token = channel.token, key = auth) {
  const url = `${base.replace(/^http/, 'ws')}/channels/${channel.id}/connect?token=${encodeURIComponent(token)}`;
  return key ? `${url}&auth=${encodeURIComponent(key)}` : url;
}
function connect() {
  const [name, light, dark] = COLOURS[connected % COLOURS.length];
  const round = Math.floor(connected / COLOURS.length);
  connected += 1;
  const client = { name: round ? `${name} ${round + 1}` : name, colour: `light-dark(${light}, ${dark})`, socket: null };
  buildCard(client);
  clients.push(client);
  $('cards').append(client.card);
  open(client);
}
function setState(client, state, text, why = '') {
  client.card.dataset.state = state;
  client.state.textContent = text;
  client.why.textContent = why;
  client.why.hidden = !why;
  client.send.disabled = state !== 'open';
  client.toggle.textContent = state === 'closed' ? 'Reconnect' : 'Disconnect';
  arrange();
}
function open(client) {
  const { id } = channel;
  const socket = new WebSocket(connectUrl());
  let wasOpen = false;
  socket.binaryType = 'arraybuffer';
  client.socket = socket;
  setState(client, 'connecting', 'connecting');
  socket.onopen = () => {
    wasOpen = true;
    setState(client, 'open', 'connected');
    note(client, 'connected');
    refresh();
  };
  socket.onmessage = ({ data }) => receive(client, data);
  socket.onclose = async ({ code, reason }) => {
    if (!wasOpen) {
      setState(client, 'closed', 'refused', await whyRefused(id));
      return;
    }
    const words = `${code}: ${CLOSES[code] ?? 'closed with a code of its own'}`;
    setState(client, 'closed', 'closed', reason ? `${words} (“${reason}”)` : words);
    note(client, `closed with ${code}`);
    if (code !== 4404 && code !== 4410) return refresh();
    if (channel?.id === id && !gone) endChannel();
  };
}
/** A refused WebSocket hides the answer from the page; the same request without the upgrade shows it. */
async function whyRefused(id) {
  if (channel?.id !== id) return '';
  try {
    await rest('GET', `/channels/${id}/connect?token=${encodeURIComponent(channel.token)}`);
  } catch (error) {
    if (error.status !== 426) return error.message;
  }
  return 'The connection could not be opened. Try again.';
}
/** Whether messages of this channel are requests and replies. */
const asks = () => ['req-repl', 'fan-in-out'].includes(channel.data.pattern);
function buildCard(client) {
  client.asks = asks();
  client.state = element('span', { className: 'state' });
  client.why = element('p', { className: 'why', hidden: true });
  client.log = element('ol', { className: 'log', tabIndex: 0 });
  client.log.setAttribute('role', 'log');
  client.log.setAttribute('aria-label', `What ${client.name} sent and got`);
  client.text = element('textarea', { rows: 1, placeholder: 'A message. Enter sends it.', spellcheck: false });
  client.text.setAttribute('aria-label', `Message of ${client.name}`);
  client.kind = element('select', {}, element('option', { value: 'text' }, 'text'), element('option', { value: 'hex' }, 'binary (hex)'));
  client.kind.setAttribute('aria-label', 'Kind of message');
  client.send = element('button', { className: 'primary', type: 'submit' }, 'Send');
  client.toggle = element('button', { className: 'small', type: 'button' });
  const remove = element('button', { className: 'small', type: 'button', title: `Remove ${client.name}` }, '✕');
  remove.setAttribute('aria-label', `Remove ${client.name}`);
  const examples = client.asks ? [['Request', REQUEST, 'text']]
    : [['Hello', `Hello from ${client.name}`, 'text'], ['JSON', `{"x":${connected},"y":2}`, 'text'], ['Bytes', 'ca fe 00 ff', 'hex']];
  const fill = ([label, text, kind]) => element('button', { className: 'small', type: 'button', onclick: () => write(client, text, kind) }, label);
  const form = element('form', { className: 'compose' }, client.text, element('div', { className: 'row' }, ...examples.map(fill), client.kind, client.send));
  client.card = element('article', { className: 'card' },
    element('header', {}, element('h3', {}, client.name), client.state, element('span', { className: 'actions' }, client.toggle, remove)),
    client.why, client.log, form);
  client.card.setAttribute('aria-label', client.name);
  client.card.style.setProperty('--own', client.colour);
  form.onsubmit = (event) => {
    event.preventDefault();
    submit(client);
  };
  client.text.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(client);
  };
  client.toggle.onclick = () => {
    if (client.socket.readyState === WebSocket.CLOSED) return open(client);
    client.socket.close(1000, 'done');
    setState(client, 'connecting', 'closing');
  };
  remove.onclick = () => {
    client.socket.close(1000, 'done');
    clients = clients.filter((other) => other !== client);
    client.card.remove();
    arrange();
  };
}
function write(client, text, kind) {
  client.text.value = text;
  client.kind.value = kind;
  client.text.focus();
}
function submit(client) {
  const text = client.text.value;
  if (client.socket.readyState !== WebSocket.OPEN || text === '') return;
  let message = text;
  if (client.kind.value === 'hex') {
    const digits = text.replace(/\s/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(digits)) return note(client, 'not sent: bytes are pairs of the digits 0-9 and a-f');
    message = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer;
  }
  client.socket.send(message);
  client.text.value = '';
  record(client, 'sent', message);
  fly(client, true);
}
function receive(client, message) {
  let said = null;
  try {
    // Where nobody asks, these words are not the relay's, but some client's.
    said = client.asks && typeof message === 'string' ? JSON.parse(message) : null;
  } catch { /* Only what is JSON is looked into. */ }
  const entry = record(client, said?.type === 'error' ? 'error' : 'received', message);
  if (said?.type === 'request' && said.origin !== undefined) {
    const reply = JSON.stringify({ type: 'reply', origin: said.origin, answer: '…' });
    entry.append(element('button', { className: 'small', type: 'button', onclick: () => write(client, reply, 'text') }, 'Reply'));
    client.log.scrollTop = client.log.scrollHeight;
  }
  fly(client, false);
}

// Logs.

function record(client, way, message) {
  const isText = typeof message === 'string';
  const bytes = isText ? null : new Uint8Array(message);
  const length = isText ? message.length : bytes.length;
  let shown = isText ? message.slice(0, SHOWN_LEN_MAX)
    : Array.from(bytes.subarray(0, SHOWN_LEN_MAX / 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  if (length > SHOWN_LEN_MAX || (!isText && length > SHOWN_LEN_MAX / 4)) shown += ' …';
  const label = way === 'sent' ? 'sent' : way === 'error' ? 'the relay says' : 'received';
  const detail = isText ? (length > SHOWN_LEN_MAX ? `, ${length} characters` : '') : `, ${length} bytes`;
  return append(client, element('li', { className: way }, element('small', {}, `${now()} ${label}${detail}`), element('pre', {}, shown)));
}
function note(client, text) {
  append(client, element('li', { className: 'note' }, `${now()} ${text}`));
}
function append(client, entry) {
  const atEnd = client.log.scrollHeight - client.log.scrollTop - client.log.clientHeight < 40;
  client.log.append(entry);
  while (client.log.childElementCount > LOG_LEN_MAX) client.log.firstElementChild.remove();
  if (atEnd) client.log.scrollTop = client.log.scrollHeight;
  return entry;
}
function now() {
  const time = new Date();
  const pad = (number, length) => String(number).padStart(length, '0');
  return `${pad(time.getHours(), 2)}:${pad(time.getMinutes(), 2)}:${pad(time.getSeconds(), 2)}.${pad(time.getMilliseconds(), 3)}`;
}

// The ring: clients of this page around the relay, and messages on their way.

const HUB = [150, 125];
function seatOf(client) {
  const angle = (2 * Math.PI * clients.indexOf(client)) / clients.length - Math.PI / 2;
  return [HUB[0] + 100 * Math.cos(angle), HUB[1] + 100 * Math.sin(angle)];
}
function arrange() {
  const spokes = clients.filter((client) => client.card.dataset.state === 'open').map((client) => {
    const [x, y] = seatOf(client);
    return drawing('line', { x1: HUB[0], y1: HUB[1], x2: x, y2: y });
  });
  $('wires').replaceChildren(...spokes);
  const seats = clients.map((client) => {
    const [x, y] = seatOf(client);
    const isOpen = client.card.dataset.state === 'open';
    const seat = drawing('circle', { cx: x, cy: y, r: 15, 'stroke-width': 3 });
    seat.style.stroke = client.colour;
    seat.style.fill = isOpen ? client.colour : 'var(--panel)';
    return seat;
  });
  $('seats').replaceChildren(...seats);
}
const still = matchMedia('(prefers-reduced-motion: reduce)');
function fly(client, isOut) {
  if (still.matches || document.hidden || $('flights').childElementCount > 60 || !clients.includes(client)) return;
  const [from, to] = isOut ? [seatOf(client), HUB] : [HUB, seatOf(client)];
  const dot = drawing('circle', { r: 6 });
  dot.style.fill = isOut ? client.colour : 'var(--accent)';
  $('flights').append(dot);
  const at = ([x, y]) => `translate(${x}px, ${y}px)`;
  const timing = { duration: 380, delay: isOut ? 0 : 260, easing: 'ease-in-out', fill: 'both' };
  dot.animate([{ transform: at(from) }, { transform: at(to) }], timing).onfinish = () => dot.remove();
}

// Code.

const LANGUAGES = {
  JavaScript: (url) => `const socket = new WebSocket('${url}');
socket.onmessage = ({ data }) => console.log(data);
socket.onclose = ({ code, reason }) => console.log('closed', code, reason);
socket.onopen = () => socket.send(${example()});`,
  Python: (url) => `# pip install websockets
import asyncio
import websockets

async def main():
    async with websockets.connect('${url}') as socket:
        await socket.send(${example()})
        async for message in socket:
            print(message)

asyncio.run(main())`,
  Shell: (url, key) => `curl ${key ? `-H 'Authorization: Bearer ${key}' ` : ''}'${base}/channels/${channel.id}'
websocat '${url}'`,
};
const example = () => (asks() ? `'${REQUEST}'` : "'hello'");
const HIDDEN = '••••••••';
let language = 'JavaScript';
/** The code with its secrets, to be copied; or as it is shown. */
function code(isOpen) {
  if (isOpen) return LANGUAGES[language](connectUrl().replaceAll("'", '%27'), auth.replaceAll("'", "'\\''"));
  const url = connectUrl('', '') + HIDDEN + (auth ? `&auth=${HIDDEN}` : '');
  return LANGUAGES[language](url, auth && HIDDEN);
}
function showCode() {
  if (channel) $('snippet').textContent = code($('reveal').checked);
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', tab.textContent === language);
    tab.tabIndex = tab.textContent === language ? 0 : -1;
  }
}
function choose(tab) {
  language = tab.textContent;
  showCode();
}
const tabs = Object.keys(LANGUAGES).map((name) => {
  const tab = element('button', { className: 'small', type: 'button', onclick: () => choose(tab) }, name);
  tab.setAttribute('role', 'tab');
  tab.setAttribute('aria-controls', 'snippet');
  tab.onkeydown = ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  };
  return tab;
});
document.querySelector('[role=tablist]').append(...tabs);
$('reveal').onchange = showCode;
$('copy').onclick = () => copy(code(true), 'Code');

$('connect').onclick = () => connect();
$('invite').onclick = () => copy(`${base}/client#${new URLSearchParams({ id: channel.id, token: channel.token })}`, 'Link');
$('leave').onclick = leave;
$('delete').onclick = () => attempt($('delete'), async () => {
  await rest('DELETE', `/channels/${channel.id}`);
  endChannel();
}).then(() => ($('delete').disabled = gone));
// Where everything is guarded, the address holds the API token, and the other pages need it as well.
for (const link of auth ? document.querySelectorAll('header a') : []) link.search = new URLSearchParams({ auth });
$('auth').value = auth;
$('auth').oninput = () => (auth = $('auth').value.trim());
addEventListener('hashchange', readInvitation);
fitFields();
showCode();
readInvitation();
