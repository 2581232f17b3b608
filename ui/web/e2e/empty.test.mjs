// A stranger's first minutes: an empty province explains itself, a station is
// added by form, and the very line shown makes its first value appear.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { run } from './lib/field.mjs';
import { timed, until } from './lib/until.mjs';

journey('from an empty province to a first value', 240_000, async ({ browser, step }) => {
  const page = await browser.page();

  await step('the first page says what to do', async () => {
    await page.getByRole('heading', { name: 'Chưa có trạm nào' }).waitFor();
    await page.getByText('Bằng tệp').waitFor();
    assert.equal(await page.getByText(/^(NaN|undefined|null)$/).count(), 0);
    await page.getByRole('link', { name: 'Thêm trạm' }).click();
  });

  await step('what is wrong in the form is said beside its field', async () => {
    await page.getByLabel('Mã', { exact: true }).fill('có dấu');
    await page.getByLabel('Tên', { exact: true }).fill('Cống Xuân Hòa');
    await page.getByLabel('Kinh độ').fill('106,4548');
    await page.getByLabel('Vĩ độ').fill('mười');
    await page.getByRole('button', { name: 'Tạo' }).click();
    await until('the latitude is marked', async () => (await page.getByLabel('Vĩ độ').getAttribute('aria-invalid')) === 'true');
    await page.getByLabel('Vĩ độ').fill('10,3152');
    browser.expected = /status of 422/;
    await page.getByRole('button', { name: 'Tạo' }).click();
    await until('the id is marked', async () => (await page.getByLabel('Mã', { exact: true }).getAttribute('aria-invalid')) === 'true');
    browser.expected = undefined;
    await page.getByLabel('Mã', { exact: true }).fill('xuan-hoa');
  });

  let line;
  await step('the account is shown once, with a line to try it', async () => {
    await page.getByRole('button', { name: 'Tạo' }).click();
    const card = page.getByTestId('credentials');
    await card.waitFor();
    assert.equal(await card.getByTestId('cred-user').innerText(), 'xuan-hoa');
    const password = (await card.getByTestId('cred-pass').innerText()).trim();
    assert.ok(password.length >= 16, 'a password that cannot be guessed');
    assert.match(await card.innerText(), /devices\/xuan-hoa\/telemetry/);
    line = (await card.getByTestId('cred-line').innerText()).trim();
    assert.match(line, /^mosquitto_pub /);
    assert.ok(line.includes(password));
  });

  await step('that very line makes the value appear', async () => {
    const map = await page.context().newPage();
    await map.goto(new URL('/', page.url()).href);
    const marker = map.getByTestId('station-xuan-hoa');
    await marker.locator('span.dot').waitFor();
    assert.equal(await marker.getAttribute('data-value'), null, 'no value before the first');
    await run('bash', ['-c', line]);
    const [ms] = await timed(() => until('the value on the map', async () => (await marker.getAttribute('data-value')) !== null));
    assert.match(await marker.innerText(), /g\/l/);
    await page.getByText(/Đã nhận .*g\/l/).waitFor();
    return `PUBACK to marker ${ms} ms`;
  });

  await step('the password is nowhere to be had again', async () => {
    const password = await page.getByTestId('cred-pass').innerText();
    await page.reload();
    await page.getByRole('heading', { name: 'Thêm thiết bị' }).waitFor();
    await page.goto(new URL('/admin/devices/xuan-hoa', page.url()).href);
    await page.getByRole('heading', { name: 'Sửa thiết bị' }).waitFor();
    assert.ok(!(await page.content()).includes(password));
  });
});
