// The pages of a relay that guards everything: with the API token in the address they work, and lead to each other.
//
// usage: node guarded_pages.js URL API_TOKEN [CHROMIUM]

import assert from 'node:assert/strict';
import { withBrowser } from './browser.js';

const [base, auth, chromium = 'chromium'] = process.argv.slice(2);
const query = `?${new URLSearchParams({ auth })}`;

await withBrowser(chromium, async (browser) => {
  const page = await browser.open(`${base}/${query}`);
  await page.click('#begin', 'Connect both');
  await page.untilShown('#status', 'Both are connected to channel');

  await page.click('header a', 'Test client');
  await page.click('#create button', 'Create channel');
  for (const name of ['Coral', 'Indigo']) await page.untilShown(`[aria-label=${name}][data-state=open]`);
  await page.type('[aria-label=Coral] textarea', 'guarded');
  await page.press('Enter');
  await page.untilShown('[aria-label=Indigo] .received', 'guarded');
  assert.ok(!(await page.evaluate(() => document.body.innerText)).includes(auth), 'the API token is shown only when asked for');
  await page.click('#reveal');
  await page.untilShown('#snippet', `auth=${auth}`);
  await page.click('#invite');
  await page.untilShown('#toast', 'Link copied');
  assert.ok(!(await page.evaluate(() => navigator.clipboard.readText())).includes(auth), 'an invitation does not hold the API token');

  await page.click('header a', 'API');
  await page.untilShown('h1', 'ringrelay');
  for (const [name, found] of [['openapi.json', '"openapi":'], ['Guide', 'The guide to ringrelay']]) {
    await page.click('header a', name);
    await page.untilShown('body', found);
    await page.navigate(`${base}/docs${query}`);
  }
  await page.navigate(`${base}/readme${query}`);
  await page.click('main a[href*="/docs"]', '/docs');
  await page.untilShown('h1', 'ringrelay');
  assert.deepEqual(page.problems.filter(({ text }) => !text.includes('/favicon.ico')), []);
  await page.close();

  const wrong = await browser.open(`${base}/client${query}`);
  await wrong.type('#auth', 'wrong');
  await wrong.click('#create button', 'Create channel');
  await wrong.untilShown('#error', 'this is not the API token');
  await wrong.close();
});
