// Everybody can use it: axe finds no serious fault on any page, dark and light,
// desk and phone; and both archipelagos are named wherever there is a map.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { journey } from './lib/journey.mjs';
import { login } from './lib/browser.mjs';
import { DARK_CAMERA, film, fill } from './lib/province.mjs';
import { plays, tile } from './lib/tile.mjs';
import { until } from './lib/until.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Serious and critical faults of the page as it stands. */
async function faults(page, where) {
  // By the debugger, since the content security policy rightly refuses a script element.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .flatMap((v) => v.nodes.map((n) => `${where}: ${v.id} (${v.impact}) ${n.target.join(' ')} – ${n.failureSummary?.split('\n').slice(1).join(' ').trim()}`));
}

const ISLES = ['Quần đảo Hoàng Sa (Việt Nam)', 'Quần đảo Trường Sa (Việt Nam)'];
/** Both names of the inset are there to be read: exact, in the window, and nothing lies over them. */
async function archipelagos(page) {
  const seen = await page.getByTestId('inset-archipelagos').evaluate((inset) => {
    const frame = inset.getBoundingClientRect();
    return [...inset.querySelectorAll('p')].map((p) => {
      const r = p.getBoundingClientRect();
      // Every word is on top where it stands, not the middle alone.
      const spans = p.children.length ? [...p.children] : [p];
      const free = spans.every((s) => [...s.getClientRects()].every((q) => [0.05, 0.5, 0.95].every((f) => inset.contains(document.elementFromPoint(q.left + q.width * f, q.top + q.height / 2)))));
      return {
        text: p.innerText.replace(/\s+/g, ' ').trim(),
        free,
        shown: p.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && r.width > 0 && r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight,
        within: r.left >= frame.left - 1 && r.right <= frame.right + 1 && r.top >= frame.top - 1 && r.bottom <= frame.bottom + 1,
        size: parseFloat(getComputedStyle(p).fontSize),
      };
    });
  });
  for (const name of ISLES) {
    const label = seen.find((s) => s.text === name);
    assert.ok(label, `“${name}” is not among ${JSON.stringify(seen.map((s) => s.text))}`);
    assert.deepEqual({ free: label.free, shown: label.shown, within: label.within }, { free: true, shown: true, within: true }, name);
    assert.ok(label.size >= 10, `${name} is written in ${label.size} px`);
  }
  return true;
}

journey('no serious fault by axe; both archipelagos are named', 300_000, async ({ ioc, browser, field, cameras, step }) => {
  const found = [];
  const look = async (page, where) => found.push(...(await faults(page, where)));
  const settled = async (page) => {
    await page.getByTestId('alarm-row').first().waitFor();
    await until('the map has its inset', archipelagos.bind(null, page));
  };
  // Light is looked at after dark on the same page: only colours differ.
  const both = async (page, where) => {
    await look(page, `${where}, dark`);
    await page.emulateMedia({ colorScheme: 'light' });
    await look(page, `${where}, light`);
    await page.emulateMedia({ colorScheme: 'dark' });
  };
  const ADMIN = ['devices', 'devices/new', 'devices/import', 'cameras', 'cameras/new', 'cameras/import', `cameras/${DARK_CAMERA}`, 'zones', 'rules', 'accounts', 'tokens', 'quarantine'];

  await step('log-in and the empty province', async () => {
    const page = await browser.page({ as: null });
    await page.getByTestId('login-user').waitFor();
    await both(page, 'log-in');
    await page.getByTestId('login-user').fill('admin');
    await page.getByTestId('login-pass').fill('sai');
    await page.getByTestId('login-submit').click();
    await page.getByText('không đúng').waitFor();
    await look(page, 'log-in refused');
    await login(page, 'admin');
    await page.getByRole('heading', { name: 'Chưa có trạm nào' }).waitFor();
    await until('the map has its inset', archipelagos.bind(null, page));
    await both(page, 'empty province');
    await page.context().close();
  });

  await fill({ ioc, field });
  await film({ cameras });

  await step('operator, opened alarm, twin, station, dialogs', async () => {
    const page = await browser.page();
    await settled(page);
    await both(page, 'operator');
    await page.getByTestId('alarm-row').first().getByRole('button').click();
    await until('the trend', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
    await archipelagos(page);
    await plays(tile(page, 'cam-1'));
    await until('one tile without a picture', async () => (await tile(page, DARK_CAMERA).getAttribute('data-state')) === 'lost');
    await both(page, 'opened alarm');
    await page.getByRole('button', { name: 'EN English' }).click();
    await both(page, 'opened alarm, in English');
    await page.getByRole('button', { name: 'VI Tiếng Việt' }).click();
    for (const width of [1366, 1100]) {
      await page.setViewportSize({ width, height: 768 });
      await until(`both names beside an opened alarm, ${width} wide`, archipelagos.bind(null, page));
    }
    await page.setViewportSize({ width: 1920, height: 1080 });
    await page.keyboard.press('d');
    await page.getByTestId('list-search').waitFor();
    await both(page, 'list twin');
    await page.getByTestId('row-cam-1').getByRole('button').click();
    await plays(tile(page, 'cam-1'));
    await both(page, 'camera');
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await look(page, 'keys');
    await page.keyboard.press('Escape');
    await page.locator('.menu-button').click();
    await look(page, 'menu');
    await page.context().close();
  });

  await step('the wall', async () => {
    const page = await browser.page({ path: '/wall/main/1' });
    await settled(page);
    await plays(tile(page, 'cam-1'));
    await look(page, 'wall');
    await page.setViewportSize({ width: 3840, height: 1080 });
    await until('both names on the double wall', archipelagos.bind(null, page));
    await page.context().close();
  });

  await step('administration', async () => {
    const page = await browser.page({ path: '/admin/devices', width: 1366, height: 768 });
    for (const path of ADMIN) {
      await page.goto(`${ioc.url}/admin/${path}`);
      await page.locator('main h1').waitFor();
      await both(page, `admin ${path}`);
    }
    await page.getByTestId('set-aside').first().getByRole('button').click();
    await both(page, 'admin quarantine, opened');
    await page.context().close();
  });

  await step('a phone', async () => {
    const page = await browser.page(PHONE);
    await page.getByTestId('alarm-row').first().waitFor();
    const narrow = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth + 1);
    assert.ok(await narrow(), 'the phone scrolls sideways');
    await both(page, 'phone, alarms');
    await page.getByTestId('alarm-row').first().getByRole('button').click();
    await until('the trend', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
    await plays(tile(page, 'cam-1'));
    await look(page, 'phone, opened alarm');
    assert.ok(await narrow(), 'the opened alarm scrolls sideways');
    await page.getByTestId('alarm-open').getByRole('button', { name: 'Đóng' }).click();
    await page.getByRole('navigation').getByRole('button', { name: 'Bản đồ' }).click();
    await until('both names on the phone', archipelagos.bind(null, page));
    await look(page, 'phone, map');
    await page.getByRole('navigation').getByRole('button', { name: 'Trạm' }).click();
    await page.getByTestId('list-search').waitFor();
    await look(page, 'phone, list');
    await page.goto(`${ioc.url}/admin/devices/new`);
    await page.locator('main h1').waitFor();
    await look(page, 'phone, form');
    await page.context().close();
  });

  assert.deepEqual([...new Set(found)], []);
});
