// A camera of somebody else: GStreamer's RTSP server behind digest log-in, added
// by the form, watched, lost, and watched again without anybody touching the page.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { journey } from './lib/journey.mjs';
import { honest, look, plays, tile } from './lib/tile.mjs';
import { timed, until } from './lib/until.mjs';

const USER = 'nguoi-xem';
/** With all that a URL cannot hold as it is. */
const SECRET = String.raw`p:a"s\s/w@rd?#%`;

journey('a camera that is not ours: added by form, tried, played, lost, played again', 180_000, async ({ ioc, browser, cameras, step }) => {
  const camera = await cameras.gstreamer(USER, SECRET);
  const page = await browser.page({ path: '/admin/cameras/new', width: 1600, height: 1000 });
  const form = page.locator('main form');
  const fill = (name, text) => form.locator(`[name="${name}"]`).fill(text);
  const said = page.getByTestId('camera-try-result');
  const answers = (ok) => until('the try has an answer', async () => (await said.getAttribute('data-ok')) === String(ok));

  await step('the form says what is wrong in words', async () => {
    await fill('id', 'cam-gst');
    await fill('name', 'Camera Bến xe');
    await fill('url', `rtsp://127.0.0.1:${camera.port}/cam`);
    await fill('camera-user', USER);
    await fill('camera-password', 'sai');
    await page.getByTestId('camera-try').click();
    await answers(false);
    assert.equal(await said.getAttribute('data-code'), 'unauthorized');
    assert.match(await said.innerText(), /sai tên đăng nhập hoặc mật khẩu/);
    await fill('camera-password', SECRET);
    await fill('url', `rtsp://127.0.0.1:${camera.port}/khong-co`);
    await page.getByTestId('camera-try').click();
    await until('no such path', async () => (await said.getAttribute('data-code')) === 'not_found');
    assert.match(await said.innerText(), /không có luồng hình ở đường dẫn này/);
  });

  await step('the right words: tried, kept, played', async () => {
    await fill('url', `rtsp://127.0.0.1:${camera.port}/cam`);
    const [tried] = await timed(async () => {
      await page.getByTestId('camera-try').click();
      await answers(true);
    });
    assert.match(await said.innerText(), /H\.264[\s\S]*320\s*×\s*240/);
    for (const [name, text] of [['lon', '106,35'], ['lat', '10,36'], ['bearing', '135'], ['view_deg', '70']]) await fill(name, text);
    await form.locator('button.main').click();
    await page.getByTestId('camera-kept').waitFor();
    const ms = await plays(tile(page, 'cam-gst'), 'the tile of the form');
    return `tried in ${tried} ms, live ${ms} ms after it was kept`;
  });

  await step('opened from the map it plays, with sound', async () => {
    await page.goto(ioc.url);
    const mark = page.getByTestId('camera-cam-gst');
    await until('its mark is live', async () => (await mark.getAttribute('data-state')) === 'live');
    await mark.click();
    await page.getByTestId('camera-open').waitFor();
    const ms = await plays(tile(page, 'cam-gst'));
    const { width, height } = await look(tile(page, 'cam-gst'));
    assert.deepEqual([width, height], [320, 240]);
    const sound = tile(page, 'cam-gst').getByRole('button', { name: 'Bật tiếng' });
    await sound.click();
    assert.equal(await tile(page, 'cam-gst').locator('video').evaluate((v) => v.muted), false);
    await plays(tile(page, 'cam-gst'), 'it plays on with sound');
    await page.evaluate(() => (globalThis.heapMark = 'never reloaded'));
    return `live ${ms} ms after it was opened`;
  });

  const open = tile(page, 'cam-gst');
  for (const [round, away, reason] of [['stopped', () => camera.stop(), /cổng này không mở/], ['killed', () => camera.kill(), /ngắt kết nối|cổng này không mở/]]) {
    await step(`the camera is ${round}: the tile says so over the last picture`, async () => {
      const [ms] = await timed(async () => {
        await away();
        await until('it is lost', async () => (await look(open)).state === 'lost');
      });
      await until('it tells since when, why, and what happens next', async () => {
        const seen = await look(open);
        honest(seen, { words: /Mất hình từ \d\d:\d\d[\s\S]*Đang thử lại/ });
        return reason.test(seen.said);
      });
      await until('its mark too', async () => (await page.getByTestId('camera-cam-gst').getAttribute('data-state')) === 'retrying');
      return `said after ${ms} ms`;
    });

    await step('it is back on the same port: plays again without reload', async () => {
      await camera.up();
      const ms = await plays(open, 'it plays again');
      assert.equal(await page.evaluate(() => globalThis.heapMark), 'never reloaded');
      assert.equal((await look(open)).said, '');
      return `live ${ms} ms after it listened`;
    });
  }

  await step('its password is nowhere', async () => {
    const planted = [SECRET, encodeURIComponent(SECRET), JSON.stringify(SECRET).slice(1, -1), Buffer.from(SECRET).toString('base64').replace(/=+$/, '')];
    const clean = (where, text) => planted.forEach((form) => assert.ok(!text.includes(form), `${where} holds ${form}`));
    clean('the page', await page.content());
    clean('the list', JSON.stringify(await ioc.api('GET', '/api/v1/cameras')));
    clean('the log', ioc.log.join(''));
    clean('the metrics', await (await page.request.get(`${ioc.url}/metrics`)).text());
    await page.goto(`${ioc.url}/admin/cameras/cam-gst`);
    await page.locator('[name="camera-password"]').waitFor();
    assert.equal(await page.locator('[name="camera-password"]').inputValue(), '');
    clean('the form', await page.content());
    const data = join(ioc.dir, 'data');
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
    assert.ok(files.length > 3, 'the data folder has files');
    for (const f of files) clean(f.name, readFileSync(join(f.parentPath, f.name), 'latin1'));
  });
});
