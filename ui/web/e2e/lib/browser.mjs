// Debian's Chromium, and what is true of every page in it: nothing leaves the
// host, nothing breaks the content security policy, nothing is said on the console.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PASSWORD } from './ioc.mjs';

const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--force-color-profile=srgb',
  '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
/** What Chromium says by itself of a server that is away; expected only while it is. */
const AWAY = /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|ERR_SOCKET_NOT_CONNECTED|WebSocket connection to .* failed/;

export class Browser {
  static async launch(ioc) {
    const b = new Browser();
    b.ioc = ioc;
    // What it leaves in its temporary folder goes with the server's.
    b.chromium = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS, timeout: 60_000, env: { ...process.env, TMPDIR: ioc.dir } });
    b.contexts = [];
    b.faults = [];
    b.away = false;
    b.hosts = new Set();
    return b;
  }

  /** A browser of its own: cookies, storage, language are not shared. */
  async context({ width = 1920, height = 1080, locale, theme, ...more } = {}) {
    const context = await this.chromium.newContext({ viewport: { width, height }, colorScheme: 'dark', ...more });
    context.setDefaultTimeout(45_000);
    this.contexts.push(context);
    await context.addInitScript(
      ([choices]) => {
        if (location.protocol !== 'http:') return; // about:blank has no storage
        // The choices of a reader who was here before; later choices stay.
        for (const [key, value] of Object.entries(choices)) if (value && !localStorage.getItem(key)) localStorage.setItem(key, value);
        addEventListener('securitypolicyviolation', (e) => console.error(`content security policy: ${e.violatedDirective} ${e.blockedURI}`));
      },
      [{ 'ioc.locale': locale, 'ioc.theme': theme }],
    );
    const own = new URL(this.ioc.url).host;
    const look = (url) => {
      const u = new URL(url);
      if (u.protocol === 'data:' || u.protocol === 'blob:' || u.protocol === 'about:') return;
      this.hosts.add(u.host);
      if (u.host !== own) this.faults.push(`request to another host: ${url}`);
    };
    context.on('request', (r) => look(r.url()));
    context.on('page', (page) => {
      page.on('websocket', (ws) => look(ws.url()));
      page.on('pageerror', (e) => this.faults.push(`uncaught: ${e.stack ?? e}`));
      page.on('console', (m) => {
        if (m.type() !== 'error' && !/content security policy/i.test(m.text())) return;
        if (this.away && AWAY.test(m.text())) return;
        // Asking who is logged in is how a page learns that nobody is.
        if (/status of 401/.test(m.text()) && /\/api\/v1\/(me|session)$/.test(m.location().url)) return;
        if (this.expected?.test(`${m.text()} ${m.location().url}`)) return;
        this.faults.push(`console ${m.type()}: ${m.text()} (${m.location().url})`);
      });
    });
    return context;
  }

  /** A page of a new browser, logged in by the form unless `as` is null. */
  async page({ as = 'admin', path = '/', ...options } = {}) {
    const context = await this.context(options);
    const page = await context.newPage();
    await page.goto(this.ioc.url + path);
    if (as !== null) await login(page, as);
    return page;
  }

  /** Throws with all that should not have happened. */
  check() {
    if (this.faults.length) throw new Error(`the pages were not quiet:\n  ${[...new Set(this.faults)].join('\n  ')}`);
  }

  /** Pictures of all open pages, for whoever reads the failure. */
  async pictures() {
    const dir = mkdtempSync(join(tmpdir(), 'ioc-e2e-failed-'));
    const files = [];
    for (const page of this.contexts.flatMap((c) => c.pages())) {
      const path = join(dir, `${files.length + 1}.png`);
      await page.screenshot({ path, timeout: 10_000 }).then(() => files.push(`${path} ${page.url()}`), () => {});
    }
    return files;
  }

  async close() {
    await this.chromium.close();
  }
}

export async function login(page, username, password = PASSWORD) {
  await page.getByTestId('login-user').fill(username);
  await page.getByTestId('login-pass').fill(password);
  await page.getByTestId('login-submit').click();
  await page.getByTestId('live-status').waitFor();
}
