// Who may do what, as the pages show it.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU } from './lib/field.mjs';
import { fill } from './lib/province.mjs';
import { until } from './lib/until.mjs';

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
