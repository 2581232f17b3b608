// What could not be stored is not lost from sight: a device publishes badly, and
// an administrator sees what came, why it was set aside, and from where.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU } from './lib/field.mjs';
import { until } from './lib/until.mjs';
import { strangers, visibleTexts } from './lib/words.mjs';

const [ONE, TWO] = CUA_TIEU;
const HOSTILE = '<img src=x onerror="document.title=1">\u202e{"values"';

journey('a bad message is set aside and seen by an administrator', 240_000, async ({ ioc, browser, field, step }) => {
  await field.salinity([ONE, TWO]);
  await field.register({ id: 'tap-trung', name: 'Bộ tập trung Gò Công', kind: 'gateway' });
  await ioc.account('truc-ban', 'operator');
  const page = await browser.page({ width: 1600, height: 900 });
  const rows = page.getByTestId('set-aside');
  const ofReason = (reason) => page.locator(`[data-testid="set-aside"][data-reason="${reason}"]`);
  const reload = () => page.getByRole('button', { name: 'Tải lại' }).click();
  const count = (n) => until(`${n} rows`, async () => { const seen = await rows.count(); if (seen !== n) throw new Error(`${seen} rows`); return true; });

  await step('the menu leads there; nothing is in it', async () => {
    await page.getByRole('button', { name: /Trình đơn/ }).click();
    await page.getByRole('link', { name: 'Dữ liệu bị giữ lại' }).click();
    await page.getByRole('heading', { name: 'Dữ liệu bị giữ lại' }).waitFor();
    await page.getByText('Không có dữ liệu nào bị giữ lại').waitFor();
  });

  await step('what a device published badly appears, as it came', async () => {
    await field.publishRaw(ONE, HOSTILE);
    await reload();
    await count(1);
    const row = rows.first();
    assert.match(await row.innerText(), /Không đọc được JSON[\s\S]*Vàm Kênh[\s\S]*không phải JSON, ở byte/);
    assert.equal(await row.getByRole('link').getAttribute('href'), `/admin/devices/${ONE}`);
    assert.equal(await row.locator('code').innerText(), HOSTILE.replace('\u202e', '\\u202e'));
    assert.equal(await page.locator('img').count(), 0);
    await row.getByRole('button', { name: 'Chi tiết' }).focus();
    await page.keyboard.press('Enter');
    await row.getByText('Kiểm tra định dạng bản tin').waitFor();
    assert.match(await row.innerText(), new RegExp(`devices/${ONE}/telemetry from ${ONE}[\\s\\S]*bad_json`));
  });

  await step('the good values of the same message are stored, the others counted', async () => {
    await field.publishRaw(TWO, JSON.stringify([{ ts: Date.now() + 86_400_000, values: { salinity: 1, level: 2, ph: 7 } }, { values: { salinity: 0.4 } }]));
    await field.publishRaw(TWO, Buffer.from([0xff, 0x00, 0x10]));
    await field.publishRaw('tap-trung', JSON.stringify({ [ONE]: [{ values: { salinity: 3 } }] }), 'gateways/tap-trung/telemetry');
    const { items } = await ioc.api('GET', `/api/v1/latest?device=${TWO}`);
    assert.deepEqual(items.map((i) => [i.metric, i.value]), [['salinity', 0.4]]);
    await reload();
    await count(4);
    assert.match(await ofReason('bad_time').innerText(), /Thời điểm đo không hợp lệ · 3 giá trị/);
    assert.equal(await rows.nth(1).locator('code').innerText(), 'ff 00 10');
    assert.equal(await ofReason('not_child').getByRole('link').innerText(), 'Bộ tập trung Gò Công');
  });

  await step('by reason, by source, in either language', async () => {
    await page.getByLabel('Lý do').selectOption({ label: 'Không đọc được JSON' });
    await count(2);
    await page.getByLabel('Nơi gửi').fill(ONE);
    await count(1);
    for (const [button, locale] of [['EN English', 'en'], ['VI Tiếng Việt', 'vi']]) {
      await page.getByRole('button', { name: button }).click();
      await until(locale, async () => {
        const found = strangers(await visibleTexts(page), locale);
        if (found.length) throw new Error(JSON.stringify(found));
        return true;
      });
    }
    await page.getByLabel('Lý do').selectOption({ label: 'Giá trị không phải số hữu hạn' });
    await page.getByText('Không có dữ liệu bị giữ lại nào khớp bộ lọc').waitFor();
    await page.getByRole('button', { name: 'Xoá bộ lọc' }).click();
    await count(4);
  });

  await step('older ones come when asked for', async () => {
    const many = field.stream(TWO);
    for (let i = 0; i < 60; i++) many.send({ values: { salinity: [i] } });
    await many.close();
    await until('all have come', async () => (await ioc.api('GET', '/api/v1/quarantine?reason=bad_value')).items.length === 60);
    await reload();
    await count(50);
    await page.getByTestId('set-aside-older').click();
    await count(64);
    assert.equal(await page.getByTestId('set-aside-older').count(), 0);
    await page.getByText('64 mục').waitFor();
  });

  await step('the file has what the filter asks for', async () => {
    await page.getByLabel('Lý do').selectOption({ label: 'Thời điểm đo không hợp lệ' });
    await count(1);
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Tải tệp CSV' }).click()]);
    assert.equal(file.suggestedFilename(), 'quarantine.csv');
    const lines = readFileSync(await file.path(), 'utf8').trim().split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[1], new RegExp(`devices/${TWO}/telemetry from ${TWO},bad_time,.*,3,`));
  });

  await step('the server away: it is said, and tried again by hand', async () => {
    browser.away = true;
    await ioc.die();
    await reload();
    await page.getByRole('alert').getByText('Không nối được máy chủ').waitFor();
    await ioc.up();
    await page.getByRole('button', { name: 'Thử lại' }).click();
    await count(1);
    await until('live', async () => ['back', 'live'].includes(await page.getByTestId('live-status').getAttribute('data-state')));
    browser.away = false;
  });

  await step('it is nothing for an operator', async () => {
    const other = await browser.page({ as: 'truc-ban' });
    await other.getByRole('button', { name: /Trình đơn/ }).click();
    await other.getByRole('button', { name: 'Đăng xuất' }).waitFor();
    assert.equal(await other.getByText('Dữ liệu bị giữ lại').count(), 0);
    await other.goto(`${ioc.url}/admin/quarantine`);
    await other.getByText('Tài khoản này không có quyền đó').waitFor();
    assert.equal(await other.getByTestId('set-aside').count(), 0);
    assert.equal((await other.request.get(`${ioc.url}/api/v1/quarantine`)).status(), 403);
  });
});
