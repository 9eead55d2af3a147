// The page at /, and the two clients that it shows.
//
// usage: node landing_page.js URL [CHROMIUM]

import assert from 'node:assert/strict';
import { withBrowser, PHONE } from './browser.js';

const [base, chromium = 'chromium'] = process.argv.slice(2);

await withBrowser(chromium, async (browser) => {
  const page = await browser.open(`${base}/`);
  for (const link of ['client', 'readme', 'docs', 'openapi.json']) await page.untilShown(`a[href="${link}"]`);
  await page.screenshot('landing');
  const channels = async () => (await (await fetch(`${base}/channels`)).json()).data.map(({ id }) => id);
  const before = await channels();
  await page.click('#begin', 'Connect both');
  await page.untilShown('#status', 'Both are connected to channel');
  const created = (await channels()).filter((id) => !before.includes(id));
  assert.equal(created.length, 1);

  await page.type('[aria-label="Message of Alice"]', 'hello, <b onmouseover=alert(1)>Bob</b>');
  await page.press('Enter');
  for (const name of ['Alice', 'Bob']) await page.untilShown(`[aria-label="What ${name} sees"] li`, 'hello, <b onmouseover=alert(1)>Bob</b>');
  await page.type('[aria-label="Message of Bob"]', 'hello, Alice');
  await page.click('.box + .box button', 'Send');
  await page.untilShown('[aria-label="What Alice sees"] li:not(.mine)', 'hello, Alice');
  await page.untilShown('[aria-label="What Bob sees"] li.mine', 'hello, Alice');
  assert.equal(await page.evaluate(() => document.querySelectorAll('.box li b').length), 0);

  await page.click('[data-copies=javascript]');
  await page.untilShown('[data-copies=javascript]', 'Copied');
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.includes(`fetch('${base}/channels'`), copied);
  // What the page offers to be copied runs as it stands.
  const said = await page.evaluate((code) => {
    const run = Object.getPrototypeOf(async () => {}).constructor('console', code);
    return new Promise((log, failed) => run({ log }).catch(failed));
  }, copied);
  assert.equal(said, 'hello, everyone');

  for (const id of created) await fetch(`${base}/channels/${id}`, { method: 'DELETE' });
  await page.untilShown('#status', '4404, channel deleted');
  await page.click('#begin', 'Connect both');
  await page.untilShown('#status', 'Both are connected to channel');

  await page.resize(PHONE);
  await page.assertFits();
  await page.resize({ ...PHONE, width: 360 });
  await page.assertFits();
  assert.deepEqual(page.problems, []);
  await page.close();

  const phone = await browser.open(`${base}/`, { viewport: PHONE });
  await phone.screenshot('landing-phone');
  assert.deepEqual(phone.problems, []);
  await phone.close();
});
