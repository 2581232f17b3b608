// The wall: nobody touches it for days. It shows live values, and survives the
// death of the server and of its graphics context.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU, placeOf } from './lib/field.mjs';
import { DARK, decodePNG, projection, reachesOf, tones } from './lib/pixels.mjs';
import { fill } from './lib/province.mjs';
import { until } from './lib/until.mjs';

journey('the wall lives by itself', 240_000, async ({ ioc, browser, field, step }) => {
  await fill({ ioc, field });
  const page = await browser.page({ path: '/wall/main/1', width: 1920, height: 1080 });
  const value = () => page.getByTestId(`station-${CUA_TIEU[1]}`).getAttribute('data-value');
  /** The tone of the Cửa Tiểu's own pixels between its second and third station. */
  const wears = async (tone) => {
    const onPage = await projection(page, [CUA_TIEU[0], placeOf(CUA_TIEU[0])], [CUA_TIEU[3], placeOf(CUA_TIEU[3])]);
    const { share } = tones(decodePNG(await page.screenshot()), reachesOf('cua-tieu', 13, 18, onPage), DARK);
    if (share[tone] < 0.4) throw new Error(JSON.stringify(share));
    return true;
  };

  await step('live values, alarms, profile', async () => {
    await until('the map', async () => (await value()) === '2.4');
    await until('four alarms', async () => (await page.getByTestId('alarm-row').count()) === 4);
    await until('the river wears the middle tone', () => wears('mid'));
    assert.match(await page.locator('main').innerText(), /Cửa Tiểu\s+7,\d\s*km · ranh mặn 4 g\/l/);
    await field.publish(CUA_TIEU[1], 2.7);
    await until('a new value', async () => (await value()) === '2.7');
  });

  await step('the server dies and comes back', async () => {
    await page.evaluate(() => (globalThis.heapMark = 'never reloaded'));
    browser.away = true;
    await ioc.die();
    await until('the banner', () => page.getByTestId('conn-banner').isVisible(), 5000);
    assert.equal(await value(), '2.7');
    await until('values are hatched', () => page.getByTestId('alarm-row').first().locator('.val').evaluate((el) => /repeating-linear-gradient/.test(getComputedStyle(el).backgroundImage)));
    await ioc.up();
    await until('live', async () => ['back', 'live'].includes(await page.getByTestId('live-status').getAttribute('data-state')));
    browser.away = false;
    await field.publish(CUA_TIEU[1], 3.1);
    await until('a new value', async () => (await value()) === '3.1');
    await until('the banner goes by itself', async () => !(await page.getByTestId('conn-banner').isVisible()));
    assert.equal(await page.evaluate(() => globalThis.heapMark), 'never reloaded');
  });

  await step('the graphics context is lost and restored', async () => {
    await page.locator('canvas.maplibregl-canvas').evaluate((canvas) => {
      const gl = canvas.getContext('webgl2');
      globalThis.lost = gl.getExtension('WEBGL_lose_context');
      globalThis.lost.loseContext();
    });
    await page.getByText('Bản đồ mất khung vẽ').waitFor();
    await field.publish(CUA_TIEU[1], 3.3);
    await until('values go on meanwhile', async () => (await value()) === '3.3');
    await page.evaluate(() => globalThis.lost.restoreContext());
    await page.getByText('Bản đồ mất khung vẽ').waitFor({ state: 'detached' });
    await until('the map is drawn again, and knows what it knew', () => wears('mid'));
    await field.publish(CUA_TIEU[1], 8);
    await field.publish(CUA_TIEU[2], 8);
    await until('it follows what comes', () => wears('salt'));
  });

  await step('all of it is in view: nobody is there to scroll', async () => {
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight), true, 'the wall must not scroll');
  });
});
