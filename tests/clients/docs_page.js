// The page that renders the description of the API: a small one that has all it must understand, and the relay's own.
//
// usage: node docs_page.js URL [CHROMIUM]

import assert from 'node:assert/strict';
import { withBrowser, PHONE } from './browser.js';

const [base, chromium = 'chromium'] = process.argv.slice(2);

const HOSTILE = '<img src=x onerror="document.title=1">';
const small = {
  openapi: '3.1.0',
  info: { title: 'small', version: '1.2.3', description: `First **strong**, \`code\`, [a link](https://example.org/), [a trap](javascript:alert(1)).\n\n- one\n- two\n\n${HOSTILE}` },
  security: [{ bearer: [] }],
  tags: [{ name: 'things', description: 'What there is.' }],
  paths: {
    '/things': {
      post: {
        operationId: 'createThing', tags: ['things'], summary: 'Creates a thing',
        requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/NewThing' }, examples: { short: { summary: "A thing with '", value: { kind: "it's" } } } } } },
        responses: {
          201: { description: 'Created', headers: { Location: { description: 'Where it is', schema: { type: 'string' } } }, content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } },
          default: { $ref: '#/components/responses/Refused' },
        },
      },
    },
    '/things/{id}': {
      parameters: [{ $ref: '#/components/parameters/Id' }],
      head: { responses: { 200: { description: 'The same, without a body' } } },
      get: { tags: ['things'], security: [], parameters: [{ name: 'wait', in: 'query', description: 'How long', schema: { type: 'integer', minimum: 0, maximum: 60000, default: 5 } }], responses: { 200: { description: 'All of it', content: { 'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/Thing' } } } } } } },
      delete: { deprecated: true, responses: { 204: { description: 'Gone' } } },
    },
  },
  components: {
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'The API token.' } },
    parameters: { Id: { name: 'id', in: 'path', required: true, example: 'a b', schema: { type: 'string', pattern: '^[a-z ]+$', maxLength: 64 } } },
    responses: { Refused: { description: 'Refused', content: { 'application/json': { schema: { type: 'object', properties: { error: { type: 'object', required: ['code'], properties: { code: { type: 'string' } } } } } } } } },
    schemas: {
      Kind: { type: 'string', enum: ['round', 'flat'] },
      NewThing: { type: 'object', required: ['kind'], additionalProperties: false, properties: {
        kind: { $ref: '#/components/schemas/Kind', description: 'Its shape' },
        limit: { oneOf: [{ type: 'integer', minimum: 0, maximum: 9007199254740992 }, { const: -1 }], default: -1 },
        note: { type: ['string', 'null'] },
      }, anyOf: [{ properties: { note: { const: 'flat' } } }, { properties: { limit: { const: 7 } } }] },
      // Refers to itself.
      Thing: { allOf: [{ $ref: '#/components/schemas/NewThing' }, { type: 'object', properties: { parts: { type: 'array', items: { $ref: '#/components/schemas/Thing' } } } }] },
    },
  },
};

await withBrowser(chromium, async (browser) => {
  await rendersAllOf(browser);
  await tellsWhyThereIsNothing(browser);
  await showsTheRelaysOwn(browser);
});

async function rendersAllOf(browser) {
  const answers = { [`${base}/openapi.json`]: { status: 200, body: JSON.stringify(small) } };
  const page = await browser.open(`${base}/docs#createThing`, { answers });
  await page.untilShown('h1', 'small 1.2.3');
  await page.until(() => document.getElementById('createThing').getBoundingClientRect().top < 400);
  const text = (selector) => page.evaluate((selector) => [...document.querySelectorAll(selector)].map((found) => found.innerText.replace(/\s+/g, ' ').trim()), selector);

  assert.deepEqual(await text('#contents a'), ['POST /things', 'GET /things/{id}', 'DELETE /things/{id}', 'Kind', 'NewThing', 'Thing']);
  assert.deepEqual(await (await text('#createThing > .scroll tr')).slice(1, 4), [
    'kind required Kind Its shape',
    'limit integer | -1 default -1; integer: 0 to 9 007 199 254 740 992',
    'note string | null',
  ]);
  const requests = await text('.panel > h4 + pre');
  assert.ok(requests[0].includes(`curl '${base}/things' \\ -H 'Content-Type: application/json' \\ -d '{"kind":"it'\\''s"}'`), requests[0]);
  assert.ok(requests[1].includes(`/things/a%20b'`), requests[1]);
  const all = (await text('main'))[0];
  for (const phrase of ['no other fields', '"round" | "flat"', 'array of Thing', 'id (path) required', 'matches ^[a-z ]+$', 'at most 64 characters',
    'wait (query) integer 0 to 60 000; default 5', 'Deprecated.', 'GET HEAD /things/{id}', 'And one of these holds:', 'Location', 'Access: bearer', 'Authorization: bearer', HOSTILE]) {
    assert.ok(all.includes(phrase), `no "${phrase}" in: ${all}`);
  }
  await page.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
  assert.ok((await text('main'))[0].includes('error.code required string'));
  assert.deepEqual(await page.evaluate(() => [document.title, document.querySelectorAll('main img').length]), ['small: API', 0]);
  const links = await page.evaluate(() => [...document.querySelectorAll('main p a')].map((link) => link.getAttribute('href')));
  assert.ok(links.includes('https://example.org/') && links.every((href) => /^(https:|#schema-)/.test(href)), links.join());
  for (const width of [360, 390]) {
    await page.resize({ ...PHONE, width });
    await page.assertFits();
  }
  assert.deepEqual(page.problems, []);
  await page.close();
}

async function tellsWhyThereIsNothing(browser) {
  const refusal = { status: 401, body: '{"error":{"code":"auth_wrong","message":"this is not the API token"}}' };
  const page = await browser.open(`${base}/docs?auth=a%26b`, { answers: { [`${base}/openapi.json?auth=a%26b`]: refusal } });
  await page.untilShown('[role=alert]', 'this is not the API token');
  await page.close();
}

async function showsTheRelaysOwn(browser) {
  const answer = await fetch(`${base}/openapi.json`);
  const said = await answer.json();
  const page = await browser.open(`${base}/docs`);
  if (answer.ok) {
    const paths = Object.entries(said.paths).flatMap(([path, item]) => Object.keys(item)
      .filter((key) => ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'].includes(key)).map((method) => `${method.toUpperCase()}${path}`));
    await page.untilShown('h1', said.info.title);
    const shown = await page.evaluate(() => [...document.querySelectorAll('main h3')].flatMap((title) =>
      [...title.querySelectorAll('.method')].map((method) => method.textContent + title.querySelector('a').textContent)));
    assert.deepEqual(shown.sort(), paths.sort());
    assert.deepEqual(page.problems, []);
  } else {
    await page.untilShown('[role=alert]', said.error.message);
  }
  await page.screenshot('docs');
  await page.close();
}
