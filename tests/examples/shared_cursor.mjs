// A pointer appears on the other's board at its place, with its name, and fades when it rests.

import assert from 'node:assert/strict';
import { invitationOf, picture, visit } from './pages.mjs';

await visit('shared-cursor.html', async (open) => {
  const moveTo = async (page, x, y) => {
    const at = await page.evaluate((x, y) => {
      const board = document.querySelector('#board').getBoundingClientRect();
      return { x: Math.round(board.left + x * board.width), y: Math.round(board.top + y * board.height) };
    }, x, y);
    await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at });
    return at;
  };
  const ada = await open();
  const invitation = await invitationOf(ada);
  // Boards of different sizes: a place is a part of the board.
  const ben = await open(invitation, { viewport: { width: 760, height: 440, mobile: false } });
  const cem = await open(invitation);
  for (const [page, name] of [[ada, 'Ada'], [ben, 'Ben'], [cem, 'Cem']]) {
    await page.untilShown('#state', 'connected');
    await page.type('#name', name);
  }

  await moveTo(cem, 0.3, 0.25);
  await moveTo(ada, 0.5, 0.5);
  await moveTo(ada, 0.75, 0.6);
  await ben.untilShown('.pointer', 'Ada');
  const isNear = (name, x, y) => {
    const pointer = [...document.querySelectorAll('.pointer')].find((pointer) => pointer.textContent.includes(name));
    const board = document.querySelector('#board').getBoundingClientRect();
    const place = pointer?.getBoundingClientRect();
    return place && Math.abs(place.left - board.left - x * board.width) < 4 && Math.abs(place.top - board.top - y * board.height) < 4;
  };
  await ben.until(isNear, 'Ada', 0.75, 0.6);
  await ben.until(isNear, 'Cem', 0.3, 0.25);
  await picture(ben, 'example-shared-cursor');
  // The sender's own board shows no copy of it.
  await ada.untilShown('.pointer', 'Cem');
  assert.equal(await ada.evaluate(() => document.querySelector('#board').textContent.includes('Ada')), false);
  await ben.until(() => document.querySelectorAll('.pointer').length === 0);
  await moveTo(ada, 0.1, 0.9);
  await ben.until(isNear, 'Ada', 0.1, 0.9);
});
