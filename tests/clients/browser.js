// A real browser for tests: headless Chromium, told over its debugging protocol what to do.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';

export const DESKTOP = { width: 1280, height: 800, mobile: false };
export const PHONE = { width: 390, height: 844, mobile: true };
const PATIENCE_MS = 20_000;

/** Starts a browser, lets `task` use it, and ends it, whatever happens. */
export async function withBrowser(chromium, task) {
  const profile = await mkdtemp(join(tmpdir(), 'ringrelay-chromium-'));
  const child = spawn(chromium, [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server',
    // Chromium asks nobody but the system which certificates it may believe.
    '--ignore-certificate-errors',
    '--hide-scrollbars', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
  ], { stdio: ['ignore', 'ignore', 'pipe'] });
  const watchdog = setTimeout(() => {
    console.error('the browser did not finish within a minute');
    child.kill('SIGKILL');
    process.exit(1);
  }, 60_000);
  try {
    const debug = await connectTo(await debuggerUrl(child));
    await task({ open: (url, options) => openPage(debug, url, options) });
    debug.socket.close();
  } finally {
    clearTimeout(watchdog);
    if (child.exitCode === null && child.kill()) await once(child, 'exit');
    // Its children write there for a moment longer.
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** A channel for pages that do not create their own: its id, token and WebSocket URL. */
export async function createChannel(base, spec) {
  const answer = await fetch(`${base}/channels`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(spec),
  });
  assert.equal(answer.status, 201);
  const { token, data } = await answer.json();
  return { id: data.id, token, url: `${base.replace('http', 'ws')}/channels/${data.id}/connect?token=${token}` };
}

/** Opens `url` in a page of its own. `answers` maps URLs to the { status, body } to be given instead of the server's. */
async function openPage(debug, url, { viewport = DESKTOP, answers = {} } = {}) {
  const { targetId } = await debug.send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await debug.send('Target.attachToTarget', { targetId, flatten: true });
  const page = new Page(debug, targetId, sessionId);
  page.collectProblems();
  await page.send('Page.enable');
  await page.send('Runtime.enable');
  await page.send('Log.enable');
  await page.send('Emulation.setFocusEmulationEnabled', { enabled: true });
  const permissions = ['clipboardReadWrite', 'clipboardSanitizedWrite'];
  await debug.send('Browser.grantPermissions', { permissions, origin: new URL(url).origin });
  await page.resize(viewport);
  if (Object.keys(answers).length > 0) await page.intercept(answers);
  await page.navigate(url);
  return page;
}

class Page {
  constructor(debug, targetId, sessionId) {
    this.debug = debug;
    this.targetId = targetId;
    this.sessionId = sessionId;
    /** What the console holds against the page: { source, text }. */
    this.problems = [];
  }

  send(method, params = {}) {
    return this.debug.send(method, params, this.sessionId);
  }

  on(method, happened) {
    this.debug.on(method, this.sessionId, happened);
  }

  collectProblems() {
    this.on('Runtime.exceptionThrown', ({ exceptionDetails: { text, exception } }) =>
      this.problems.push({ source: 'exception', text: exception?.description ?? text }));
    this.on('Runtime.consoleAPICalled', ({ type, args }) => {
      if (type === 'error' || type === 'warning') this.problems.push({ source: 'console', text: JSON.stringify(args) });
    });
    this.on('Log.entryAdded', ({ entry: { level, source, text, url } }) => {
      if (level === 'error' || level === 'warning') this.problems.push({ source, text: `${text} ${url ?? ''}` });
    });
  }

  async intercept(answers) {
    this.on('Fetch.requestPaused', ({ requestId, request }) => {
      const { status, body } = answers[request.url] ?? { status: 404, body: 'not prepared by the test' };
      this.send('Fetch.fulfillRequest', {
        requestId,
        responseCode: status,
        responseHeaders: [{ name: 'Content-Type', value: 'application/json' }],
        body: Buffer.from(body).toString('base64'),
      });
    });
    await this.send('Fetch.enable', { patterns: Object.keys(answers).map((urlPattern) => ({ urlPattern })) });
  }

  /** The same size, colours and stillness on every machine. */
  async resize({ width, height, mobile }) {
    this.width = width;
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, mobile, deviceScaleFactor: 1 });
    await this.colours('light');
  }

  async colours(scheme) {
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  async navigate(url) {
    const loaded = new Promise((resolve) => this.on('Page.loadEventFired', resolve));
    const { errorText } = await this.send('Page.navigate', { url });
    assert.equal(errorText, undefined);
    await loaded;
  }

  /** Runs `task` in the page and gives what it gives. */
  async evaluate(task, ...args) {
    const expression = `(${task})(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
    const params = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', params);
    assert.equal(exceptionDetails, undefined, `${exceptionDetails?.exception?.description} in ${task}`);
    return result.value;
  }

  /** Waits until `condition` holds in the page, and gives what it gave. */
  async until(condition, ...args) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const given = await this.evaluate(condition, ...args);
      if (given) return given;
      if (Date.now() > deadline) {
        const shown = await this.evaluate(() => document.body.innerText);
        assert.fail(`this did not come to hold: ${condition} for ${JSON.stringify(args)}; the page shows:\n${shown}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for an element that holds `text` (any, if none is given). */
  untilShown(selector, text = '') {
    const isShown = (selector, text) => [...document.querySelectorAll(selector)]
      .some((element) => element.checkVisibility() && element.textContent.includes(text));
    return this.until(isShown, selector, text);
  }

  /**
   * Clicks the first element of `selector` that holds `text`, once there is one that can be clicked. If it is a link to
   * another page, that is loaded then: what is asked meanwhile would get the old page's answer, or none.
   */
  async click(selector, text = '') {
    const loaded = new Promise((resolve) => this.on('Page.loadEventFired', resolve));
    const given = await this.until((selector, text) => {
      const found = [...document.querySelectorAll(selector)]
        .find((element) => element.checkVisibility() && !element.disabled && element.textContent.includes(text));
      if (!found) return undefined;
      const path = (url) => url.split('#')[0];
      const leaves = found.matches('a[href]:not([target], [download])') && path(found.href) !== path(location.href);
      // The answer has to be given before there is nobody to give it.
      if (leaves) setTimeout(() => found.click());
      else found.click();
      return { leaves };
    }, selector, text);
    if (given.leaves) await loaded;
  }

  /** Replaces what stands in a field, as a keyboard does. */
  async type(selector, text) {
    await this.until((selector) => {
      const field = document.querySelector(selector);
      field?.focus();
      field?.select();
      return document.activeElement === field;
    }, selector);
    await this.send('Input.insertText', { text });
  }

  async press(key) {
    const windowsVirtualKeyCode = { Enter: 13, ArrowRight: 39 }[key];
    const text = key === 'Enter' ? '\r' : undefined;
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', key, windowsVirtualKeyCode, text });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, windowsVirtualKeyCode });
  }

  /** Neither the page nor what `selector` finds has to be scrolled sideways. */
  async assertFits(selector = 'html') {
    // (The window's own idea of its width grows with a page that does not fit.)
    const wide = await this.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= this.width, `the page is ${wide} px wide in a window of ${this.width} px`);
    const hidden = await this.evaluate((selector) => [...document.querySelectorAll(selector)]
      .filter((found) => found.scrollWidth > found.clientWidth).map((found) => found.outerHTML.slice(0, 200)), selector);
    assert.deepEqual(hidden, [], `cut off in a window of ${this.width} px`);
  }

  /** Into the folder that the environment names as SCREENSHOTS, if it does. */
  async screenshot(name) {
    if (!process.env.SCREENSHOTS) return;
    await mkdir(process.env.SCREENSHOTS, { recursive: true });
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    await writeFile(join(process.env.SCREENSHOTS, `${name}.png`), Buffer.from(data, 'base64'));
  }

  close() {
    return this.debug.send('Target.closeTarget', { targetId: this.targetId });
  }
}

/** Where the browser listens for its debugger: it says so on stderr. */
function debuggerUrl(browser) {
  let said = '';
  return new Promise((resolve, reject) => {
    browser.on('error', reject);
    browser.on('exit', () => reject(new Error(`the browser did not start: ${said}`)));
    browser.stderr.on('data', (chunk) => {
      said += chunk;
      const url = said.match(/ws:\/\/\S+(?=\s)/);
      if (url) resolve(url[0]);
    });
  });
}

/** The debugging protocol: numbered commands, answers by the same number, and events. */
async function connectTo(url) {
  const socket = new WebSocket(url, { maxPayload: 0 });
  const answers = new Map();
  const listeners = [];
  let number = 0;
  socket.on('message', (data) => {
    const { id, method, params, sessionId, error, result } = JSON.parse(data);
    if (id) {
      answers.get(id)(error ? Promise.reject(new Error(error.message)) : result);
      answers.delete(id);
      return;
    }
    for (const listener of listeners) {
      if (listener.method === method && listener.sessionId === sessionId) listener.happened(params);
    }
  });
  await once(socket, 'open');
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve) => {
      number += 1;
      answers.set(number, resolve);
      socket.send(JSON.stringify({ id: number, method, params, sessionId }));
    });
  const on = (method, sessionId, happened) => listeners.push({ method, sessionId, happened });
  return { socket, send, on };
}
