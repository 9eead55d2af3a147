// Two players and a spectator: a bounce and a goal, judged by one page, are seen on all three.

import assert from 'node:assert/strict';
import { PHONE } from '../clients/browser.js';
import { invitationOf, picture, visit } from './pages.mjs';

await visit('pong.html', async (open) => {
  const left = await open(undefined, { viewport: { width: 760, height: 640, mobile: false } });
  const invitation = await invitationOf(left);
  await left.untilShown('#role', 'You play on the left');
  await left.untilShown('#state', 'waiting for the right player');
  const right = await open(invitation);
  await right.untilShown('#role', 'You play on the right');
  const spectator = await open(invitation, { viewport: PHONE });
  await spectator.untilShown('#role', 'You watch');
  const pages = [left, right, spectator];
  for (const page of pages) await page.untilShown('#state', 'playing');

  // The first serve comes to the right paddle, which rests in the middle.
  await Promise.all(pages.map((page) => page.until(() => /Rally [1-9]/.test(document.querySelector('#rally').textContent))));
  await picture(left, 'example-pong');
  await spectator.assertFits();
  // The right player leaves its post, and the ball passes sooner or later.
  await right.send('Input.dispatchKeyEvent', { type: 'keyDown', key: 'ArrowUp', windowsVirtualKeyCode: 38 });
  await left.until(() => Number(document.querySelector('#left').textContent) + Number(document.querySelector('#right').textContent) > 0);
  const score = () => ['left', 'right'].map((id) => document.getElementById(id).textContent).join(' : ');
  const reached = await left.evaluate(score);
  assert.match(reached, /^(1 : 0|0 : 1)$/);
  for (const page of pages) await page.until(shows, reached);

  // A left page that was reloaded is told how the game stands, before there is another goal, and goes on.
  await left.navigate('about:blank');
  await left.navigate(invitation);
  await left.until(shows, reached);
  await left.untilShown('#role', 'You play on the left');
  await right.until((reached) => ['left', 'right'].map((id) => document.getElementById(id).textContent).join(' : ') !== reached, reached);
});

function shows(score) {
  return ['left', 'right'].map((id) => document.getElementById(id).textContent).join(' : ') === score;
}
