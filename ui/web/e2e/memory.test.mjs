// A page that stays open for days: after any number of updates it holds as much
// as before; and the map does not move under a hand.
import assert from 'node:assert/strict';
import { journey } from './lib/journey.mjs';
import { CUA_TIEU } from './lib/field.mjs';
import { fill } from './lib/province.mjs';
import { until } from './lib/until.mjs';

const SECONDS = Number(process.env.E2E_MEMORY_S ?? 30);
const PER_SECOND = 20;
const WARM_UP_S = 8;

journey('memory is bounded, the map keeps still under a hand', (SECONDS + 210) * 1000, async ({ ioc, browser, field, step }) => {
  await fill({ ioc, field });
  const page = await browser.page();
  await page.getByTestId('alarm-row').first().getByRole('button').click();
  await until('the trend is open', async () => Number(await page.getByTestId('alarm-trend').getAttribute('data-points')) > 0);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  const held = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    await cdp.send('HeapProfiler.collectGarbage');
    const { metrics } = await cdp.send('Performance.getMetrics');
    const of = (name) => metrics.find((m) => m.name === name).value;
    return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  };
  let sent = 0;
  /** PER_SECOND messages a second over the four stations; returns when the page shows the last of them. */
  const talk = async (seconds) => {
    const lines = CUA_TIEU.map((id) => field.stream(id));
    try {
      await new Promise((done) => {
        let left = seconds * PER_SECOND;
        const clock = setInterval(() => {
          if (left-- <= 0) {
            clearInterval(clock);
            return done();
          }
          // Never equal to the one before, and crossing thresholds: alarms come and go too.
          lines[sent % 4].send({ values: { salinity: Math.round((0.3 + 3 * (1 + Math.sin(sent / 40))) * 1000) / 1000 + (sent % 7) / 10_000 } });
          sent++;
        }, 1000 / PER_SECOND);
      });
    } finally {
      await Promise.all(lines.map((l) => l.close()));
    }
    const { items } = await ioc.api('GET', `/api/v1/latest?device=${CUA_TIEU[0]}`);
    await until('the page shows the last value', async () => (await page.getByTestId(`station-${CUA_TIEU[0]}`).getAttribute('data-value')) === String(items[0].value));
  };

  await step(`${PER_SECOND} updates a second for ${SECONDS} s leave nothing behind`, async () => {
    await talk(WARM_UP_S);
    const before = await held();
    await talk(SECONDS);
    const after = await held();
    const words = `heap ${(before.heap / 1e6).toFixed(1)} → ${(after.heap / 1e6).toFixed(1)} MB, nodes ${before.nodes} → ${after.nodes}, listeners ${before.listeners} → ${after.listeners}`;
    assert.ok(after.heap < before.heap * 1.1 + 2e6, words);
    assert.ok(after.nodes < before.nodes * 1.1 + 200, words);
    assert.ok(after.listeners < before.listeners * 1.1 + 100, words);
    return words;
  });

  await step('the map does not move while a pointer is down, nor right after', async () => {
    const box = await page.locator('canvas.maplibregl-canvas').boundingBox();
    const places = () => page.locator('[data-testid^="station-sal"]').evaluateAll((all) => all.map((el) => el.style.transform).join(' '));
    const before = await places();
    await page.mouse.move(box.x + box.width / 2, box.y + 40);
    await page.mouse.down();
    // What might move a map: an alarm far away, a station outside the view.
    await field.register({ id: 'xa', name: 'Trạm ở xa', kind: 'station', position: { lon: 105.98, lat: 9.82 }, metrics: [{ metric: 'salinity', every_s: 60 }] });
    await ioc.api('POST', '/api/v1/rules', { id: 'xa', title: 'Ở xa', metric: 'salinity', scope: { devices: ['xa'] }, on: { above: 1 }, off: { below: 0.5 }, priority: 'urgent' });
    await field.publish('xa', 8);
    await until('the far alarm is listed', () => page.getByTestId('alarm-row').filter({ hasText: 'Trạm ở xa' }).isVisible());
    assert.equal(await places(), before);
    await page.mouse.up();
    await field.publish('xa', 9);
    await until('its next value is listed', async () => /9,0/.test(await page.getByTestId('alarm-row').filter({ hasText: 'Trạm ở xa' }).innerText()));
    assert.equal(await places(), before);
  });
});
