// Whoever holds a token can send anything, and an invitation can be wrong or old: every page takes the first as it comes,
// and says the second, in place of trying again for ever.

import assert from 'node:assert/strict';
import WebSocket from '../clients/node_modules/ws/wrapper.mjs';
import { createChannel } from '../clients/browser.js';
import { invitationOf, relay, visit } from './pages.mjs';

const MARKUP = '<img src=x onerror="document.title=1">';
const MESSAGES = [
  '', 'null', '5', '[]', 'no JSON', MARKUP, Buffer.from([1, 2, 255]),
  // For Pong.
  { type: 'seats' }, { type: 'ball', ball: 5 }, { type: 'ball', ball: { x: 'a' } }, { type: 'goal', score: null }, { type: 'paddle', side: 'right', y: MARKUP },
  // For the quiz.
  { type: 'question', question: { number: 1, text: MARKUP, choices: [null, {}, MARKUP] } },
  { type: 'question', question: { number: 1, text: MARKUP, choices: ['a', 'b'], counts: 5 } },
  { type: 'hello', student: MARKUP.repeat(99) }, { type: 'vote', student: 'a', number: 1, choice: 99 },
  // For the others.
  { id: 'x', x: 1e300, y: 1, name: MARKUP, hue: 'red' }, { id: '1', text: MARKUP, from: MARKUP.repeat(99), at: 'x' }, { id: '2', text: MARKUP, at: 9e15 },
  { worker: MARKUP, primes: 1 }, { job: 1, from: 0, to: 9e15 },
].map((message) => (typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)));

/** Sends it all into a channel, and returns once the relay has passed it on. */
async function disturb(path) {
  const socket = new WebSocket(relay.replace('http', 'ws') + path);
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  for (const message of MESSAGES) socket.send(message);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.close(1000);
  await closed;
}

for (const example of ['chat', 'pong', 'quiz', 'shared-cursor', 'worker-pool']) {
  await visit(`${example}.html`, async (open) => {
    const page = await open();
    if (example === 'quiz') await page.click('#teach');
    const invitation = await invitationOf(page);
    const guest = await open(invitation);
    await guest.untilShown('#state', { pong: 'playing', 'worker-pool': 'threads of this page' }[example] ?? 'connected');
    const given = new URLSearchParams(new URL(invitation).hash.slice(1));
    const ways = example === 'worker-pool' ? [given.get('jobs'), given.get('results')] : [`/channels/${given.get('channel')}/connect?token=${given.get('token')}`];
    for (const way of ways) await disturb(way);

    // What was sent after it all arrives, so all of it has been taken. (Problems of the console fail the visit.)
    if (example === 'chat') {
      await guest.type('#name', 'Ben');
      await guest.type('#text', 'still here');
      await guest.click('#send');
      await page.untilShown('li', 'still here');
    } else if (example === 'pong') {
      await page.until(() => /Rally [1-9]/.test(document.querySelector('#rally').textContent));
    } else if (example === 'quiz') {
      await page.click('button', 'Ask');
      await guest.untilShown('#question', 'Which planet has the shortest day?');
    } else if (example === 'shared-cursor') {
      await guest.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: 300, y: 300 });
      await page.untilShown('.pointer', 'somebody');
    } else {
      await page.click('#send');
      await page.untilShown('#sum', '121 of 120 jobs done'); // one of them is the stranger's
    }
    for (const each of [page, guest]) {
      assert.match(await each.evaluate(() => document.title), /over ringrelay$/);
      assert.equal(await each.evaluate(() => document.querySelectorAll('body img').length), 0);
    }
  });

  await visit(`${example}.html`, async (open) => {
    const { id } = await createChannel(relay, { pattern: 'pub-sub' });
    for (const [channel, why] of [[id, 'right'], ['no-such', 'gone']]) {
      const way = `/channels/${channel}/connect?token=wrong`;
      const hash = example === 'worker-pool' ? { jobs: way, results: way } : { channel, token: 'wrong' };
      const page = await open((own) => `${own}#${new URLSearchParams(hash)}`);
      await page.untilShown('#state', example === 'quiz' ? 'This class is over, or the link is not right.' : why);
    }
  }, { areRefusalsFine: true });
}
