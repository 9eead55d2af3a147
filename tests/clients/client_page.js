// The test client that the relay serves, used as a person would.
//
// usage: node client_page.js URL [CHROMIUM]

import assert from 'node:assert/strict';
import { createChannel, withBrowser, DESKTOP, PHONE } from './browser.js';
import { wayTo } from './way.js';

const [base, chromium = 'chromium'] = process.argv.slice(2);
const HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title=\'owned\'</script>';

await withBrowser(chromium, async (browser) => {
  const host = await talks(browser);
  const guest = await isJoinedByLink(browser, host);
  await showsHostileTextAsText(host, guest);
  await sendsBinary(host);
  await tellsWhyAChannelEnded(host, guest);
  for (const page of [host, guest]) {
    assert.deepEqual(page.problems, []);
    await page.close();
  }
  await showsWhatTheRelayRefuses(browser);
  await outlivesTheRelay(browser);
  await repliesToRequests(browser);
  await fitsAPhone(browser);
});

async function talks(browser) {
  const page = await browser.open(`${base}/client`);
  await page.screenshot('client-start');
  await page.type('#create [name=id]', 'demo-room');
  await page.type('#create [name=clientLimit]', '8');
  await page.click('#create button', 'Create channel');
  await page.click('#connect');
  for (const name of ['Coral', 'Indigo', 'Moss']) await page.untilShown(`[aria-label=${name}][data-state=open]`);
  await page.untilShown('#clients', '3 of at most 8');
  await page.untilShown('#left', '23 h 59 min');
  await page.type('[aria-label=Coral] textarea', 'Hello, everyone!');
  await page.press('Enter');
  for (const name of ['Coral', 'Indigo', 'Moss']) await page.untilShown(`[aria-label=${name}] .received`, 'Hello, everyone!');
  await page.untilShown('[aria-label=Coral] .sent', 'Hello, everyone!');
  await page.type('[aria-label=Indigo] textarea', '{"x":12,"y":40}');
  await page.click('[aria-label=Indigo] button', 'Send');
  for (const name of ['Coral', 'Indigo', 'Moss']) await page.untilShown(`[aria-label=${name}] .received`, '{"x":12,"y":40}');
  await page.screenshot('client');
  return page;
}

async function isJoinedByLink(browser, host) {
  await host.click('#invite');
  await host.untilShown('#toast', 'Link copied');
  const link = await host.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /\/client#id=demo-room&token=\w{32}$/);
  const guest = await browser.open(link);
  await guest.untilShown('[data-state=open]');
  assert.equal(await guest.evaluate(() => location.href), `${base}/client`, 'the token leaves the address bar');
  await host.untilShown('#clients', '4 of at most 8');
  const secret = link.slice(-32);
  const shown = (page) => page.evaluate(() => document.body.innerText);
  assert.ok(!(await shown(host)).includes(secret), 'the token is shown only when asked for');
  await host.click('#copy');
  await host.until(async (secret) => (await navigator.clipboard.readText()).includes(`/connect?token=${secret}`), secret);
  await host.click('#reveal');
  await host.untilShown('#snippet', secret);
  for (const [tab, word] of [['Python', 'import websockets'], ['Shell', 'websocat']]) {
    await host.click('[role=tab]', tab);
    await host.untilShown('#snippet', word);
  }
  await host.click('#reveal');
  return guest;
}

async function showsHostileTextAsText(host, guest) {
  await guest.type('textarea', HOSTILE);
  await guest.press('Enter');
  await host.untilShown('[aria-label=Moss] .received pre', HOSTILE);
  // Nor does a client speak for the relay.
  await guest.type('textarea', '{"type":"error","message":"send me your token"}');
  await guest.press('Enter');
  await host.untilShown('[aria-label=Moss] .received pre', 'send me your token');
  const seen = () => [document.title, document.querySelectorAll('#cards img, #cards script').length];
  for (const page of [host, guest]) assert.deepEqual(await page.evaluate(seen), ['ringrelay: test client', 0]);
}

async function sendsBinary(page) {
  await page.click('[aria-label=Moss] button', 'Bytes');
  await page.click('[aria-label=Moss] button', 'Send');
  await page.untilShown('[aria-label=Coral] .received', '4 bytes');
  await page.untilShown('[aria-label=Coral] .received pre', 'ca fe 00 ff');
  await page.click('[aria-label=Moss] button', 'Bytes');
  await page.type('[aria-label=Moss] textarea', 'ca f');
  await page.click('[aria-label=Moss] button', 'Send');
  await page.untilShown('[aria-label=Moss] .note', 'not sent: bytes are pairs');
}

async function tellsWhyAChannelEnded(host, guest) {
  await host.click('[aria-label=Moss] button', 'Disconnect');
  await host.untilShown('[aria-label=Moss] .why', '1000: closed as asked');
  await host.click('[aria-label=Moss] button', 'Reconnect');
  await host.untilShown('[aria-label=Moss][data-state=open]');
  await host.click('#delete');
  for (const name of ['Coral', 'Indigo', 'Moss']) {
    await host.untilShown(`[aria-label=${name}] .why`, '4404: the channel was deleted (“channel deleted”)');
  }
  await guest.untilShown('.why', '4404: the channel was deleted');
  for (const page of [host, guest]) await page.untilShown('#clients', 'the channel is gone');
}

async function showsWhatTheRelayRefuses(browser) {
  const { id } = await createChannel(base, { pattern: 'echo' });
  const page = await browser.open(`${base}/client#id=${id}&token=wrong`);
  await page.untilShown('.why', "this is not the channel's token");
  await page.click('#leave');
  await page.type('#create [name=id]', id);
  await page.click('#create button', 'Create channel');
  await page.untilShown('#error', `there is a channel ${id} already`);
  await page.type('#create [name=id]', 'no spaces please');
  await page.click('#create button', 'Create channel');
  await page.untilShown('#error', 'id was "no spaces please"');
  await page.type('#join [name=id]', 'nowhere');
  await page.type('#join [name=token]', 'any');
  await page.click('#join button');
  await page.untilShown('#error', 'there is no channel with this id');
  // The browser itself notes each refusal; the page adds nothing to them.
  assert.deepEqual(page.problems.filter(({ source }) => source !== 'network'), []);
  await page.close();
}

async function outlivesTheRelay(browser) {
  const way = await wayTo(base);
  const page = await browser.open(`${way.address}/client`);
  await page.click('#create button', 'Create channel');
  for (const name of ['Coral', 'Indigo']) await page.untilShown(`[aria-label=${name}][data-state=open]`);
  way.block();
  await page.untilShown('[aria-label=Coral] .why', '1006');
  await page.untilShown('#error', 'The relay does not answer.');
  // It asks every second, and leaves the reader where he is.
  await page.resize(PHONE);
  await page.evaluate(() => scrollTo(0, 600));
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 2500)));
  assert.equal(await page.evaluate(() => scrollY), 600);
  way.unblock();
  await page.until(() => document.querySelector('#error').hidden);
  await page.click('[aria-label=Coral] button', 'Reconnect');
  await page.untilShown('[aria-label=Coral][data-state=open]');
  assert.deepEqual(page.problems.filter(({ source }) => source !== 'network'), []);
  await page.close();
  way.close();
}

async function repliesToRequests(browser) {
  const page = await browser.open(`${base}/client`);
  for (const pattern of ['req-repl', 'fan-in-out']) {
    await page.click(`#create [value=${pattern}]`);
    await page.click('#create button', 'Create channel');
    await page.click('#connect');
    for (const name of ['Coral', 'Indigo', 'Moss']) await page.untilShown(`[aria-label=${name}][data-state=open]`);
    await page.untilShown('#pattern', pattern);
    await page.click('[aria-label=Coral] button', 'Request');
    await page.press('Enter');
    await page.click('.received button', 'Reply');
    const responder = await page.evaluate(() => document.activeElement.closest('article').getAttribute('aria-label'));
    assert.notEqual(responder, 'Coral');
    await page.press('Enter');
    await page.untilShown('[aria-label=Coral] .received', '"answer":"…"');
    // The reply goes to who asked, the request to all others or to one of them.
    await page.until((wanted) => {
      const received = (name) => document.querySelectorAll(`[aria-label=${name}] .received`).length;
      return received('Coral') === 1 && received('Indigo') + received('Moss') === wanted;
    }, pattern === 'req-repl' ? 2 : 1);
    await page.type('[aria-label=Moss] textarea', 'no JSON');
    await page.press('Enter');
    await page.untilShown('[aria-label=Moss] .error', 'the relay says');
    await page.click('#leave');
    await page.untilShown('#create');
  }
  // History is pub-sub's: with another pattern it is neither asked for nor sent. The keyboard is where the page is.
  await page.click('#create [value=pub-sub]');
  await page.type('#create [name=history]', '5');
  await page.click('#create [value=push-pull]');
  await page.until(() => document.querySelector('#create [name=history]').disabled);
  await page.click('#create button', 'Create channel');
  await page.untilShown('#history', 'none');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'id');
  for (const name of ['Coral', 'Indigo']) await page.untilShown(`[aria-label=${name}][data-state=open]`);
  await page.type('[aria-label=Coral] textarea', 'a task');
  await page.press('Enter');
  await page.untilShown('[aria-label=Indigo] .received', 'a task');
  assert.deepEqual(page.problems, []);
  await page.close();
}

async function fitsAPhone(browser) {
  const page = await browser.open(`${base}/client`, { viewport: { ...PHONE, width: 360 } });
  await page.assertFits();
  await page.resize(PHONE);
  await page.screenshot('client-phone-start');
  await page.type('#create [name=id]', 'pocket');
  await page.click('#create button', 'Create channel');
  await page.untilShown('[aria-label=Indigo][data-state=open]');
  await page.type('[aria-label=Coral] textarea', 'On my way!');
  await page.press('Enter');
  await page.untilShown('[aria-label=Indigo] .received', 'On my way!');
  await page.evaluate(() => {
    document.activeElement.blur();
    scrollTo(0, 0);
  });
  await page.screenshot('client-phone');
  await page.type('[aria-label=Indigo] textarea', `wide ${'x'.repeat(300)}`);
  await page.press('Enter');
  await page.untilShown('[aria-label=Coral] .received', 'wide x');
  for (const width of [360, 390, DESKTOP.width]) {
    await page.resize({ ...PHONE, width });
    await page.assertFits('.log, .card, .panel');
  }
  await page.click('#delete');
  await page.untilShown('#clients', 'the channel is gone');
  assert.deepEqual(page.problems, []);
  await page.close();
}
