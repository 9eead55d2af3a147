// What is written in one page is read in the other, by one who comes late, and by one whose connection was cut; a channel
// that is gone is named as such.

import assert from 'node:assert/strict';
import { PHONE } from '../clients/browser.js';
import { wayTo } from '../clients/way.js';
import { invitationOf, picture, relay, visit } from './pages.mjs';

await visit('chat.html', async (open) => {
  const write = async (page, name, text) => {
    await page.type('#name', name);
    await page.type('#text', text);
    await page.click('#send');
  };
  const ada = await open(undefined, { viewport: { width: 680, height: 500, mobile: false } });
  const invitation = await invitationOf(ada);
  const ben = await open(invitation);
  await ben.untilShown('#state', 'connected');

  await write(ada, 'Ada', 'Hello! Who brings the cake?');
  await ben.untilShown('li', 'Hello! Who brings the cake?');
  await write(ben, 'Ben', 'I do <3 & <b>candles</b>');
  await ada.untilShown('li', 'I do <3 & <b>candles</b>');

  const late = await open(invitation, { viewport: { ...PHONE, height: 500 } });
  await late.untilShown('li', 'Hello! Who brings the cake?');
  await late.untilShown('li', 'I do <3 & <b>candles</b>');
  assert.equal(await late.evaluate(() => document.querySelectorAll('li').length), 2);
  await write(late, 'Cem', 'I am late, but I can read all of it.');
  await ada.untilShown('li', 'I am late');
  await late.assertFits();
  await picture(ada, 'example-chat');
  await picture(late, 'example-chat-phone');

  // One page's way to the relay is cut. It finds back by itself, and shows what comes again out of the history once.
  const { address, cut, close } = await wayTo(relay);
  const far = await open(invitation.replace(encodeURIComponent(relay), encodeURIComponent(address)));
  await far.untilShown('li', 'I am late');
  cut();
  await write(ada, 'Ada', 'Are you still there?');
  await far.untilShown('li', 'Are you still there?');
  assert.equal(await far.evaluate(() => document.querySelectorAll('li').length), 4);

  const id = new URLSearchParams(new URL(invitation).hash.slice(1)).get('channel');
  await fetch(`${relay}/channels/${id}`, { method: 'DELETE' });
  await ada.untilShown('#state', 'This channel was deleted.');
  await far.untilShown('#state', 'This channel was deleted.');
  close();
}, { areRefusalsFine: true });
