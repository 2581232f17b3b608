// The main job, from sensor to second screen: a value rises over a rule's
// threshold, is seen, acknowledged, and survives the death of the server; the
// cameras beside it are there whenever its alarm is opened.
import assert from 'node:assert/strict';
import { beside } from './lib/cameras.mjs';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU, placeOf } from './lib/field.mjs';
import { DARK, decodePNG, projection, reachesOf, tones } from './lib/pixels.mjs';
import { honest, look, plays, tile } from './lib/tile.mjs';
import { timed, until } from './lib/until.mjs';

const AT = CUA_TIEU[2]; // Hòa Bình, km 20.2
const station = (page, id = AT) => page.getByTestId(`station-${id}`);
const value = (page, id = AT) => station(page, id).getAttribute('data-value');
/** The accessible twin's words for the water of the Cửa Tiểu, as class:from-to stretches. */
async function stretches(page) {
  const row = page.getByTestId('river-class-cua-tieu');
  if (!(await row.isVisible())) await page.keyboard.press('d');
  const text = await row.getAttribute('data-classes');
  await page.keyboard.press('d');
  await station(page).locator('span.dot').waitFor();
  return text.split(' ').map((s) => { const [c, span] = s.split(':'); const [from, to] = span.split('-').map(Number); return { c, from, to }; });
}
const classAt = (parts, km) => parts.find((s) => km >= s.from && km <= s.to)?.c;
/** The tones of the river's own pixels between two chainages. */
async function water(page, fromKm, toKm) {
  const onPage = await projection(page, [CUA_TIEU[0], placeOf(CUA_TIEU[0])], [CUA_TIEU[3], placeOf(CUA_TIEU[3])]);
  const seen = tones(decodePNG(await page.screenshot()), reachesOf('cua-tieu', fromKm, toKm, onPage), DARK);
  assert.ok(seen.n > 500, `only ${seen.n} pixels of river are on the screen`);
  return seen.share;
}
const said = (share) => Object.entries(share).map(([k, v]) => `${k} ${Math.round(v * 100)} %`).join(' ');

/** Ids of the opened alarm's cameras, as they stand on the page. */
const watching = (page) => page.getByTestId('alarm-cameras').locator('[data-camera]').evaluateAll((all) => all.map((el) => el.dataset.camera));

journey('from sensor to wall: raise, see, acknowledge, lose the server, live again', 240_000, async ({ ioc, browser, field, cameras, step }) => {
  await field.salinity(CUA_TIEU);
  const filmed = await cameras.simulated();
  // The nearer one looks away from the station; the one that sees it comes first all the same.
  await cameras.add({ id: 'quay-lung', name: 'Camera Bến đò', url: filmed.url(1), position: beside(placeOf(AT), 0, 150), bearing: 90, view_deg: 60 });
  await cameras.add({ id: 'nhin-thay', name: 'Camera Cống Hòa Bình', url: filmed.url(3), position: beside(placeOf(AT), 500, 0), bearing: 180, view_deg: 60 });
  await cameras.add({ id: 'o-xa', name: 'Camera Ngã tư', url: filmed.url(2), position: beside(placeOf(AT), 2000, 0), bearing: 180, view_deg: 60 });
  await ioc.api('POST', '/api/v1/rules', { id: 'man-cao', title: 'Độ mặn vượt ngưỡng lấy nước', metric: 'salinity', scope: {}, on: { above: 2 }, off: { below: 1.5 }, priority: 'high' });
  await ioc.account('truc-ban-2', 'operator');
  let one, two;

  await step('log in, two browsers, two accounts, two languages', async () => {
    one = await browser.page({ locale: 'vi' });
    two = await browser.page({ as: 'truc-ban-2', locale: 'en', width: 1366, height: 768 });
    await one.getByText('Không có cảnh báo nào đang mở').waitFor();
    await two.getByText('No alarms are open').waitFor();
    for (const page of [one, two]) await station(page).locator('span.dot').waitFor();
  });

  await step('a first value shows on its marker', async () => {
    const now = Date.now();
    await field.publish(CUA_TIEU[0], 1.9);
    await field.publish(CUA_TIEU[1], 1.6);
    await field.publish(CUA_TIEU[3], 0.3);
    // A past, so that the trend has one, and the present.
    await field.publish(AT, Array.from({ length: 36 }, (_, i) => ({ ts: now - (36 - i) * 600_000, values: { salinity: 0.4 + i / 200 } })));
    await field.publish(AT, 0.6);
    const [ms] = await timed(() => until('the marker shows 0.6', async () => (await value(one)) === '0.6'));
    await until('the other screen too', async () => (await value(two)) === '0.6');
    assert.equal(await station(one).getAttribute('data-state'), 'normal');
    assert.match(await station(one).innerText(), /0,60\s*g\/l/);
    assert.match(await station(two).innerText(), /0\.60\s*g\/l/);
    return `PUBACK to marker ${ms} ms`;
  });

  await step('the river is fresh at the station', async () => {
    assert.equal(classAt(await stretches(one), 20), 'fresh');
    await until('the canvas wears the fresh tone', async () => { const s = await water(one, 18, 21); if (s.fresh < 0.5) throw new Error(said(s)); return true; });
    return said(await water(one, 18, 21));
  });

  await step('salinity rises over the threshold: marker, river, alarm', async () => {
    await field.publish(AT, 6);
    const [ms] = await timed(() => until('the marker is in alarm', async () => (await station(one).getAttribute('data-alarm-state')) === 'active'));
    assert.equal(await station(one).getAttribute('data-alarm'), 'high');
    await until('the marker tells the value, which is coalesced and may follow the alarm', async () => (await value(one)) === '6');
    const row = one.getByTestId('alarm-row');
    await until('one alarm in the list', async () => (await row.count()) === 1 && (await row.getAttribute('data-state')) === 'active');
    assert.match(await row.innerText(), /Hòa Bình[\s\S]*Độ mặn vượt ngưỡng lấy nước[\s\S]*6,0\s*g\/l/);
    await until('the twin calls the river salt', async () => classAt(await stretches(one), 20) === 'salt');
    await until('the canvas wears the sea’s tone', async () => { const s = await water(one, 18, 21); if (s.salt < 0.5 || s.fresh > 0.05) throw new Error(said(s)); return true; });
    return `PUBACK to marker ${ms} ms, ${said(await water(one, 18, 21))}`;
  });

  await step('opening the alarm shows the trend', async () => {
    await one.getByTestId('alarm-row').getByRole('button').click();
    const trend = one.getByTestId('alarm-trend');
    await trend.waitFor();
    await until('the trend has its past', async () => Number(await trend.getAttribute('data-points')) >= 30);
    await until('something is drawn', () => trend.locator('canvas').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let drawn = 0;
      for (let i = 3; i < data.length; i += 4) if (data[i] > 0) drawn++;
      return drawn > 1000;
    }));
    await one.getByTestId('alarm-ack').waitFor();
  });

  await step('and the two cameras beside it, the one that sees it first', async () => {
    await until('two tiles', async () => (await watching(one)).length === 2);
    assert.deepEqual(await watching(one), ['nhin-thay', 'quay-lung']);
    const inAlarm = one.getByTestId('alarm-cameras');
    assert.match(await tile(inAlarm, 'nhin-thay').innerText(), /nhìn thấy điểm này · 500\s*m/);
    assert.match(await tile(inAlarm, 'quay-lung').innerText(), /150\s*m/);
    assert.doesNotMatch(await tile(inAlarm, 'quay-lung').innerText(), /nhìn thấy/);
    const ms = await Promise.all(['nhin-thay', 'quay-lung'].map((id) => plays(tile(inAlarm, id), id)));
    return `live after ${ms.join(' and ')} ms`;
  });

  await step('acknowledged by key, seen in the second browser', async () => {
    await until('the second browser has the alarm', async () => (await two.getByTestId('alarm-row').getAttribute('data-state')) === 'active');
    const [ms] = await timed(async () => {
      await one.keyboard.press('a');
      await until('the second browser sees the acknowledgement', async () => (await two.getByTestId('alarm-row').getAttribute('data-state')) === 'acknowledged');
    });
    await until('the first too', async () => (await one.getByTestId('alarm-open').getAttribute('data-state')) === 'acknowledged');
    assert.equal(await station(two).getAttribute('data-alarm-state'), 'acknowledged');
    await one.getByTestId('alarm-ack').waitFor({ state: 'detached' });
    await two.getByTestId('alarm-row').getByRole('button').click();
    await until('its journal names who did it', async () => /acknowledged[\s\S]*admin/i.test(await two.getByTestId('alarm-open').innerText()));
    return `key to second screen ${ms} ms`;
  });

  await step('the server dies: banner, values kept and marked', async () => {
    for (const page of [one, two]) await page.evaluate(() => (globalThis.heapMark = 'never reloaded'));
    browser.away = true;
    await ioc.die();
    const [ms] = await timed(() => until('the banner', async () => (await one.getByTestId('conn-banner').isVisible()) && (await two.getByTestId('conn-banner').isVisible()), 5000));
    assert.equal(await value(one), '6', 'the last value stays on screen');
    await until('values are hatched', () => one.getByTestId('alarm-open').locator('.big').evaluate((el) => /repeating-linear-gradient/.test(getComputedStyle(el).backgroundImage)));
    assert.match(await two.getByTestId('conn-banner').innerText(), /Reconnecting|No connection/);
    await until('the tile says so, over the last picture', async () => {
      honest(await look(tile(one, 'nhin-thay')), { words: /Mất hình từ[\s\S]*Không nối được máy chủ/ });
      return true;
    });
    await until('it is called lost', async () => (await one.getByTestId('conn-banner').getAttribute('data-state')) === 'lost');
    return `kill to banner ${ms} ms`;
  });

  await step('the server is back: live again without reload', async () => {
    await ioc.up();
    for (const page of [one, two]) await until('live', async () => ['back', 'live'].includes(await page.getByTestId('live-status').getAttribute('data-state')));
    browser.away = false;
    await until('values no longer hatched', () => one.getByTestId('alarm-open').locator('.big').evaluate((el) => !/gradient/.test(getComputedStyle(el).backgroundImage)));
    assert.equal(await one.getByTestId('alarm-row').getAttribute('data-state'), 'acknowledged', 'the alarm kept its state');
    await field.publish(AT, 7.5);
    for (const page of [one, two]) {
      await until('a new value arrives', async () => (await value(page)) === '7.5');
      assert.equal(await page.evaluate(() => globalThis.heapMark), 'never reloaded');
    }
  });

  await step('back to normal: the acknowledged alarm closes', async () => {
    await field.publish(AT, 0.7);
    for (const page of [one, two]) await until('no alarm open', async () => (await page.getByTestId('alarm-row').count()) === 0);
    // Closed, so that the cones of its cameras do not lie over the water.
    await one.keyboard.press('Escape');
    await until('the river is fresh again', async () => { const s = await water(one, 18, 21); if (s.fresh < 0.5 || s.salt > 0.05) throw new Error(said(s)); return true; });
  });

  await step('it rises again: the opened alarm ends with pictures that move', async () => {
    await field.publish(AT, 8);
    await until('one alarm in the list', async () => (await one.getByTestId('alarm-row').count()) === 1);
    await one.getByTestId('alarm-row').getByRole('button').click();
    const inAlarm = one.getByTestId('alarm-cameras');
    await until('the one that sees it first', async () => (await watching(one))[0] === 'nhin-thay');
    const ms = await Promise.all(['nhin-thay', 'quay-lung'].map((id) => plays(tile(inAlarm, id), id)));
    const picture = await look(tile(inAlarm, 'nhin-thay'));
    assert.deepEqual([picture.width, picture.height], [640, 360]);
    assert.ok(picture.spread > 5, 'there is something to see');
    assert.equal(await one.evaluate(() => globalThis.heapMark), 'never reloaded');
    return `live after ${ms.join(' and ')} ms, currentTime ${picture.at.toFixed(1)} s`;
  });

  assert.deepEqual([...browser.hosts], [new URL(ioc.url).host]);
});
