// Daily comfort: search without accents, two languages, two themes, and choices that last.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU } from './lib/field.mjs';
import { DARK_CAMERA, film, fill, ROAD } from './lib/province.mjs';
import { until } from './lib/until.mjs';
import { strangers, visibleTexts, words } from './lib/words.mjs';

const ADMIN = ['devices', 'devices/new', 'devices/import', 'cameras', 'cameras/new', 'cameras/import', `cameras/${DARK_CAMERA}`, 'zones', 'rules', 'accounts', 'tokens', 'quarantine'];

journey('search, language, theme', 240_000, async ({ ioc, browser, field, cameras, step }) => {
  assert.ok(words.length > 250, `the dictionary has ${words.length} words`);
  await fill({ ioc, field });
  await film({ cameras });
  const page = await browser.page();
  await until('the map', async () => (await page.getByTestId(`station-${CUA_TIEU[0]}`).getAttribute('data-value')) === '9.4');
  const choose = async (name) => {
    await page.locator('.menu-button').click();
    await page.getByRole('radio', { name }).check();
    await page.locator('.menu-button').click();
  };
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

  await step('search folds accents and đ', async () => {
    await page.keyboard.press('/');
    const search = page.getByTestId('list-search');
    await until('the field has the focus', () => search.evaluate((el) => el === document.activeElement));
    const rows = async () => (await page.locator('[data-testid^="row-"]').evaluateAll((all) => all.map((el) => el.dataset.testid.slice(4)))).sort();
    const finds = async (query, ids) => {
      await search.fill(query);
      await until(`“${query}” finds ${ids}`, async () => {
        const seen = await rows();
        if (JSON.stringify(seen) !== JSON.stringify([...ids].sort())) throw new Error(`found ${seen}`);
        return true;
      });
    };
    await finds('hoa binh', [CUA_TIEU[2]]);
    await finds('HÒA BÌNH', [CUA_TIEU[2]]);
    await finds('hoà bình', [CUA_TIEU[2]]);
    await finds('duong', [ROAD.id]);
    await finds('đường moi', [ROAD.id]);
    await finds('my tho', ['air-my-tho', 'wifi-cho-my-tho']);
    await finds('ben do', [DARK_CAMERA]);
    await search.fill('xyz');
    await page.getByText('Không tìm thấy “xyz”').waitFor();
    await search.fill('');
  });

  const marks = {};
  await step('every word is of the chosen language', async () => {
    await page.getByTestId('alarm-row').first().getByRole('button').click();
    await until('the trend', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
    for (const [locale, button] of [['vi', 'VI Tiếng Việt'], ['en', 'EN English']]) {
      await page.getByRole('button', { name: button }).click();
      await until('the document says so', () => page.evaluate((l) => document.documentElement.lang === l, locale));
      const texts = (marks[locale] = await visibleTexts(page));
      assert.deepEqual(strangers(texts, locale), []);
    }
    await page.keyboard.press('d');
    for (const key of ['?', 'Shift+A']) {
      await page.keyboard.press(key);
      await page.getByRole('dialog').waitFor();
      assert.deepEqual(strangers(await visibleTexts(page), 'en'), []);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    const same = marks.vi.filter((s) => marks.en.includes(s) && /[a-zà-ỹ]{4,} [a-zà-ỹ]{2,}/.test(s));
    const names = /Vàm Kênh|Hòa Bình|Trạm|Quần đảo|Gò Công|Mặn vượt|Sông|OpenStreetMap|Không khí|Chợ|Cống/;
    assert.deepEqual(same.filter((s) => !names.test(s)), [], 'only names are the same in both languages');
  });

  await step('numbers and dates are in the reader’s form', async () => {
    const row = page.getByTestId('alarm-row').filter({ hasText: 'km 11' });
    const clock = page.locator('header').first();
    await until('2.4 in English', async () => /2\.4\s*g\/l/.test(await row.innerText()));
    assert.match(await clock.innerText(), /\d{1,2} [A-Z][a-z]{2} 20\d\d/);
    assert.match(await page.getByTestId('station-air-my-tho').innerText(), /1,284/);
    await page.getByRole('button', { name: 'VI Tiếng Việt' }).click();
    await until('2,4 in Vietnamese', async () => /2,4\s*g\/l/.test(await row.innerText()));
    assert.match(await clock.innerText(), /\d\d\/\d\d\/20\d\d/);
    assert.match(await page.getByTestId('station-air-my-tho').innerText(), /1\.284/);
    assert.match(await page.getByTestId(`station-${ROAD.id}`).innerText(), /−1,2/, 'a true minus');
  });

  await step('theme and language last', async () => {
    await page.getByRole('button', { name: 'EN English' }).click();
    assert.equal(await background(), 'rgb(13, 15, 16)');
    await choose('Light');
    await until('light', async () => (await background()) === 'rgb(236, 238, 235)');
    await page.reload();
    await page.getByTestId('live-status').waitFor();
    assert.equal(await background(), 'rgb(236, 238, 235)');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    await choose('System');
    await until('dark, as the system is', async () => (await background()) === 'rgb(13, 15, 16)');
    await page.emulateMedia({ colorScheme: 'light' });
    await until('light, as the system is', async () => (await background()) === 'rgb(236, 238, 235)');
  });

  await step('the administrator’s pages too', async () => {
    for (const locale of ['en', 'vi']) {
      for (const path of ADMIN) {
        await page.goto(`${ioc.url}/admin/${path}`);
        await page.locator('main h1').waitFor();
        if (path === ADMIN[0]) await page.getByRole('button', { name: locale === 'en' ? 'EN English' : 'VI Tiếng Việt' }).click();
        await until(`${path} in ${locale}`, async () => {
          const found = strangers(await visibleTexts(page), locale);
          if (found.length) throw new Error(JSON.stringify(found));
          return true;
        }, 5000);
      }
    }
  });

  await step('single keys can be turned off', async () => {
    await page.goto(ioc.url);
    await page.getByTestId('alarm-row').first().waitFor();
    await page.locator('.menu-button').click();
    await page.getByRole('checkbox', { name: 'Phím tắt một phím' }).uncheck();
    await page.locator('.menu-button').click();
    await page.keyboard.press('?');
    await page.keyboard.press('n');
    await field.publish(CUA_TIEU[0], 9.1);
    await until('a later value', async () => (await page.getByTestId(`station-${CUA_TIEU[0]}`).getAttribute('data-value')) === '9.1');
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.equal(await page.getByTestId('alarm-open').count(), 0);
  });
});
