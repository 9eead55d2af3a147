// Jobs go to the workers of two pages evenly, every one of them once, and both pages show the same.

import assert from 'node:assert/strict';
import { invitationOf, picture, visit } from './pages.mjs';

await visit('worker-pool.html', async (open) => {
  const producer = await open(undefined, { viewport: { width: 760, height: 410, mobile: false } });
  const guest = await open(await invitationOf(producer));
  await producer.until(() => document.querySelectorAll('#board li').length === 4);
  assert.equal(await guest.evaluate(() => document.querySelector('#send').checkVisibility()), false);

  await producer.click('#send', 'Send 120 jobs');
  await producer.untilShown('#sum', '120 of 120 jobs done');
  const counts = () => [...document.querySelectorAll('#board b')].map((count) => Number(count.textContent));
  assert.deepEqual(await producer.evaluate(counts), [30, 30, 30, 30]);
  // There are that many primes below 120 × 20 000.
  await producer.untilShown('#sum', '176,302 primes found');
  await guest.untilShown('#sum', '176,302 primes found');

  await producer.click('#add');
  await producer.until(() => document.querySelectorAll('#board li').length === 5);
  await producer.click('#send');
  await producer.untilShown('#sum', '240 of 240 jobs done');
  assert.deepEqual(await producer.evaluate(counts), [54, 54, 54, 54, 24]);
  // The bars have grown to their shares.
  await producer.until(() => {
    const widths = [...document.querySelectorAll('#board i')].map((bar) => bar.offsetWidth);
    return widths.slice(0, 4).every((width) => width === widths[0]) && Math.abs(widths[4] - (widths[0] * 24) / 54) < 3;
  });
  await picture(producer, 'example-worker-pool');
});
