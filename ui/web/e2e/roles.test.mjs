// Who may do what, as the pages show it.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU, placeOf } from './lib/field.mjs';
import { login } from './lib/browser.mjs';
import { beside } from './lib/cameras.mjs';
import { fill } from './lib/province.mjs';
import { look, plays, tile } from './lib/tile.mjs';
import { timed, until } from './lib/until.mjs';

journey('a viewer looks, an operator acknowledges, a revoked account leaves', 240_000, async ({ ioc, browser, field, step }) => {
  await fill({ ioc, field });
  await ioc.account('nguoi-xem', 'viewer');
  await ioc.account('truc-ban', 'operator');
  const page = await browser.page({ as: 'nguoi-xem' });
  const asked = [];
  page.on('request', (r) => r.method() !== 'GET' && asked.push(`${r.method()} ${new URL(r.url()).pathname}`));

  await step('a viewer sees everything and is offered nothing', async () => {
    await until('four alarms', async () => (await page.getByTestId('alarm-row').count()) === 4);
    await page.getByTestId('alarm-row').first().getByRole('button').click();
    const open = page.getByTestId('alarm-open');
    await open.waitFor();
    assert.equal(await page.getByTestId('alarm-ack').count(), 0);
    assert.equal(await open.getByRole('textbox').count(), 0, 'nothing to write into');
    assert.equal(await page.getByText('Xác nhận nhiều mục').count(), 0);
  });

  await step('keys that change something do nothing for a viewer', async () => {
    for (const key of ['a', 'Shift+A', 'g']) await page.keyboard.press(key);
    // The page has handled the keys once a later value has come through it.
    await field.publish(CUA_TIEU[0], 9.9);
    await until('a later value', async () => (await page.getByTestId(`station-${CUA_TIEU[0]}`).getAttribute('data-value')) === '9.9');
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.deepEqual(asked, []);
    const { items } = await ioc.api('GET', '/api/v1/alarms');
    assert.deepEqual(items.map((a) => a.state), ['active', 'active', 'active', 'active']);
  });

  await step('the server refuses a viewer who asks all the same', async () => {
    const { items } = await ioc.api('GET', '/api/v1/alarms');
    const res = await page.request.post(`${ioc.url}/api/v1/alarms/${items[0].id}/ack`, { data: {} });
    assert.equal(res.status(), 403);
  });

  await step('the menu leads a viewer to no administration', async () => {
    await page.getByRole('button', { name: /Trình đơn/ }).click();
    assert.equal(await page.locator('a[href^="/admin"]').count(), 0);
    await page.keyboard.press('Escape');
  });

  await step('an operator acknowledges all by key with one comment', async () => {
    const other = await browser.page({ as: 'truc-ban', locale: 'en' });
    await until('four alarms', async () => (await other.getByTestId('alarm-row').count()) === 4);
    await other.keyboard.press('Shift+A');
    const dialog = other.getByRole('dialog');
    await dialog.getByRole('textbox').fill('đã gọi cống');
    await dialog.getByRole('button', { name: /Acknowledge/ }).click();
    await until('the viewer sees all acknowledged', async () => (await page.locator('[data-testid="alarm-row"][data-state="acknowledged"]').count()) === 4);
    await until('the comment is in the journal', async () => /đã gọi cống[\s\S]*truc-ban/.test(await page.getByTestId('alarm-open').innerText()));
  });

  await step('a deleted account is at the log-in at once', async () => {
    const { items } = await ioc.api('GET', '/api/v1/accounts');
    const account = items.find((a) => a.username === 'nguoi-xem');
    await ioc.api('DELETE', `/api/v1/accounts/${account.id ?? account.username}`);
    await page.getByTestId('login-user').waitFor();
    await page.getByText('Phiên đăng nhập đã kết thúc').waitFor();
    await page.getByTestId('login-user').fill('nguoi-xem');
    await page.getByTestId('login-pass').fill('mat-khau-thu-2026');
    await page.getByTestId('login-submit').click();
    await page.getByText('Tên đăng nhập hoặc mật khẩu không đúng').waitFor();
  });
});

journey('pictures are for those who may see them', 240_000, async ({ ioc, browser, field, cameras, step }) => {
  await fill({ ioc, field });
  const server = await cameras.simulated();
  for (const [i, name] of ['Camera Vàm Kênh', 'Camera Bến đò'].entries()) await cameras.add({ id: `cam-${i + 1}`, name, url: server.url(i + 1), position: beside(placeOf(CUA_TIEU[0]), 300 * (i + 1), 0), bearing: 180, view_deg: 60 });
  const { id } = await ioc.account('nguoi-xem', 'viewer');
  const may = (yes) => ioc.api('PATCH', `/api/v1/accounts/${id ?? 'nguoi-xem'}`, { cameras: yes });
  const page = await browser.page({ as: null });
  /** Paths the page asks for by itself that have to do with cameras. */
  const asked = [];
  page.on('request', (r) => /\/cameras/.test(new URL(r.url()).pathname) && asked.push(`${r.method()} ${new URL(r.url()).pathname}`));
  // How its sockets end is told to nobody but the page.
  await page.addInitScript(() => {
    globalThis.ends = [];
    const Plain = globalThis.WebSocket;
    globalThis.WebSocket = class extends Plain {
      constructor(url, protocols) {
        super(url, protocols);
        this.addEventListener('close', (e) => globalThis.ends.push({ path: new URL(url, location.href).pathname, code: e.code }));
      }
    };
  });
  await page.reload();
  await login(page, 'nguoi-xem');
  const openWorst = async () => {
    await page.getByTestId('alarm-row').first().getByRole('button').click();
    await page.getByTestId('alarm-open').waitFor();
  };

  const nothing = async (where) => assert.equal(await page.locator('video, [data-testid^="camera-"], [data-camera], [data-box], [data-testid^="row-cam-"], a[href*="camera"]').count(), 0, where);

  await step('without the right: no picture, tile, mark, layer, tab, or search result', async () => {
    await until('four alarms', async () => (await page.getByTestId('alarm-row').count()) === 4);
    await until('the map', () => page.getByTestId(`station-${CUA_TIEU[0]}`).isVisible());
    await openWorst();
    await until('the trend', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
    await nothing('opened alarm and map');
    assert.doesNotMatch(await page.locator('fieldset').filter({ hasText: 'Độ mặn' }).innerText(), /camera/i, 'no layer');
    await page.keyboard.press('c');
    await page.keyboard.press('/');
    await page.getByTestId('list-search').fill('cam');
    await page.getByText('Không tìm thấy “cam”').waitFor();
    await page.getByTestId('list-search').fill('ben do');
    await page.getByText('Không tìm thấy “ben do”').waitFor();
    await nothing('search');
    await page.goto(`${ioc.url}/wall/main/1`);
    await until('the wall lives', async () => (await page.getByTestId('alarm-row').count()) > 0);
    await nothing('wall');
    await page.goto(`${ioc.url}/admin/cameras`);
    await page.getByTestId('live-status').waitFor();
    await nothing('administration');
    assert.deepEqual(asked.filter((a) => !a.endsWith('/admin/cameras')), []);
  });

  await step('the server refuses who asks all the same, known ids and unknown alike', async () => {
    for (const path of ['', '/cam-1', '/khong-co', '/near?lon=106.7&lat=10.3', '/cam-1/live', '/khong-co/live']) {
      const res = await page.request.get(`${ioc.url}/api/v1/cameras${path}`);
      assert.equal(res.status(), 403, path);
      assert.doesNotMatch(await res.text(), /Bến đò|Vàm Kênh|rtsp/);
    }
    assert.doesNotMatch(await (await page.request.get(`${ioc.url}/metrics`)).text(), /ioc_camera_/);
    browser.expected = /WebSocket connection to .*\/cameras\//;
    const ends = await page.evaluate(() => Promise.all(['cam-1', 'khong-co'].map((camera) => new Promise((done) => {
      const ws = new WebSocket(`ws://${location.host}/api/v1/cameras/${camera}/live`);
      const got = [];
      ws.onmessage = (m) => got.push(m.data);
      ws.onclose = () => done(got.length);
    }))));
    assert.deepEqual(ends, [0, 0], 'nothing comes by the live socket');
    const said = await page.evaluate(() => new Promise((done, fail) => {
      const ws = new WebSocket(`ws://${location.host}/live`, 'ioc.v1');
      ws.onopen = () => ws.send(JSON.stringify({ op: 'sub', id: 'x', topic: 'cameras' }));
      ws.onmessage = (m) => { const d = JSON.parse(m.data); if (d.id === 'x') { done(d); ws.close(); } };
      ws.onclose = () => fail(new Error('closed'));
    }));
    assert.deepEqual([said.op, said.code], ['err', 'forbidden']);
  });

  await step('granted: the live connections end, and after log-in the pictures are there', async () => {
    await page.goto(ioc.url);
    await page.getByTestId('alarm-row').first().waitFor();
    await may(true);
    await until('its live connection has ended', async () => (await page.evaluate(() => globalThis.ends)).some((e) => e.path === '/live' && e.code === 4001));
    await page.getByText('Phiên đăng nhập đã kết thúc').waitFor();
    await login(page, 'nguoi-xem');
    await until('two marks', async () => (await page.locator('[data-box]').evaluateAll((all) => all.reduce((sum, el) => sum + Number(el.dataset.count ?? 1), 0))) === 2);
    await openWorst();
    for (const camera of ['cam-1', 'cam-2']) await plays(tile(page, camera), camera);
    await page.keyboard.press('/');
    await page.getByTestId('list-search').fill('ben do');
    await page.getByTestId('row-cam-2').waitFor();
    assert.equal((await page.request.get(`${ioc.url}/api/v1/cameras/khong-co`)).status(), 404);
  });

  await step('taken away while it plays: the picture stops at once', async () => {
    // Another page, which does not hear that its log-in has ended: there the tile itself must say it.
    const deaf = await browser.page({ as: null });
    await deaf.routeWebSocket(/:\d+\/live$/, (ws) => ws.connectToServer().onClose(() => {}));
    await deaf.reload();
    await login(deaf, 'nguoi-xem');
    await deaf.getByTestId('alarm-row').first().getByRole('button').click();
    for (const camera of ['cam-1', 'cam-2']) await plays(tile(deaf, camera), camera);
    await page.evaluate(() => globalThis.ends.splice(0));
    browser.expected = /status of 403.*\/api\/v1\/cameras|WebSocket connection to .*\/cameras\//;
    const [ms] = await timed(async () => {
      await may(false);
      await until('both pictures are cut off with 4001', async () => {
        const ends = await page.evaluate(() => globalThis.ends);
        return ['cam-1', 'cam-2'].every((camera) => ends.some((e) => e.path.includes(camera) && e.code === 4001));
      });
    });
    await page.getByText('Phiên đăng nhập đã kết thúc').waitFor();
    assert.equal(await page.locator('video').count(), 0);
    await until('the tiles say so, without a picture', async () => {
      for (const camera of ['cam-1', 'cam-2']) {
        const seen = await look(tile(deaf, camera));
        if (seen.state !== 'forbidden' || seen.spread > 0 || !/Bạn không có quyền xem[\s\S]*người quản trị cấp/.test(seen.said)) throw new Error(JSON.stringify(seen));
      }
      return true;
    });
    assert.equal((await page.request.get(`${ioc.url}/api/v1/cameras/cam-1`)).status(), 403);
    await login(page, 'nguoi-xem');
    await openWorst();
    await until('the trend', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
    await nothing('after the right was taken away');
    return `cut off ${ms} ms after it was asked`;
  });
});
