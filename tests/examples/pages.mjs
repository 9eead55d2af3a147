// The examples as a visitor opens them: from disk, by file://, with the relay in the address.

import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { withBrowser } from '../clients/browser.js';

const examples = join(import.meta.dirname, '../../examples');
export const [relay, chromium = 'chromium'] = process.argv.slice(2);

/**
 * Runs `task` with a function that opens an example in a page of its own: new, by the invitation of another page, or at
 * what a function makes of its address.
 */
export function visit(example, task, { areRefusalsFine = false } = {}) {
  const url = `${pathToFileURL(join(examples, example))}?relay=${encodeURIComponent(relay)}`;
  const opened = [];
  return withBrowser(chromium, async ({ open }) => {
    const openExample = async (invitation, options) => {
      // First a page of the relay: a page from disk has no origin that could be given permissions.
      const page = await open(`${relay}/channels`, options);
      await page.navigate(typeof invitation === 'function' ? invitation(url) : invitation ?? url);
      opened.push(page);
      return page;
    };
    await task(openExample);
    // What the relay's own page asked for, before the example was there, is no problem of the example.
    // (The browser itself notes each refusal as one of the network.)
    const problems = opened.flatMap((page) => page.problems)
      .filter(({ source, text }) => !text.includes('/favicon.ico') && !(areRefusalsFine && source === 'network'));
    if (problems.length > 0) throw new Error(`the console says: ${JSON.stringify(problems)}`);
  });
}

/** The address of a page once it holds an invitation. */
export function invitationOf(page) {
  return page.until(() => (location.hash.length > 1 ? location.href : null));
}

/** Takes a picture, if pictures are wanted. Chromium draws small pages only while they are in front. */
export async function picture(page, name) {
  await page.send('Page.bringToFront');
  await page.screenshot(name);
}
