// A tile that nobody touches, for two minutes, while its camera comes and goes ten
// times: it plays at the end, it was never a black hole, and nothing has grown.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { journey } from './lib/journey.mjs';
import { honest, look, plays, tile } from './lib/tile.mjs';
import { timed, until } from './lib/until.mjs';

const FLAPS = Number(process.env.E2E_FLAPS ?? 10);
const EVERY_MS = 12_000;
/** After every way of failing has been seen once, nothing has a reason to grow. */
const WARM_UP = 3;

const kB = (pid, what) => Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const MB = (n) => (n / 1e6).toFixed(1);

journey('a camera flaps ten times in two minutes: its tile lives', (FLAPS * EVERY_MS) / 1000 * 2000 + 120_000, async ({ ioc, browser, cameras, step }) => {
  const camera = await cameras.simulated();
  await cameras.add({ id: 'cam-1', name: 'Camera Cầu Rạch Miễu', url: camera.url(1), bearing: 200, view_deg: 70 });
  const page = await browser.page();
  await page.getByTestId('camera-cam-1').click();
  const it = tile(page, 'cam-1');
  await plays(it);
  await page.evaluate(() => (globalThis.heapMark = 'never reloaded'));

  // Watched from inside, as an eye would: a picture always, be it the last one; and words whenever it is not live.
  await it.evaluate((el) => {
    globalThis.holes = [];
    const [video, still] = [el.querySelector('video'), el.querySelector('canvas')];
    let shown; // the stream that has had a picture: while it seeks, the last one stays on the screen
    setInterval(() => {
      const said = el.querySelector('.why');
      if (video.readyState >= 2) shown = video.src;
      const picture = (!still.hidden && still.width > 0) || video.readyState >= 2 || (video.seeking && video.src !== '' && video.src === shown);
      const words = said !== null && said.innerText.trim() !== '';
      if (!picture || !el.isConnected || (el.dataset.state !== 'live' && !words)) globalThis.holes.push(`${el.dataset.state}: ${picture ? '' : 'no picture '}${words ? '' : 'no words'} (${video.readyState}${video.seeking ? ', seeks' : ''}${video.src === shown ? '' : ', new stream'})`);
    }, 100);
  });

  const cdp = await page.context().newCDPSession(page);
  const root = await browser.chromium.newBrowserCDPSession();
  await cdp.send('Performance.enable');
  /** How many objects of a class are alive after garbage has been collected. */
  const alive = async (name) => {
    const { result: proto } = await cdp.send('Runtime.evaluate', { expression: `${name}.prototype` });
    const { objects } = await cdp.send('Runtime.queryObjects', { prototypeObjectId: proto.objectId });
    const { result } = await cdp.send('Runtime.callFunctionOn', { objectId: objects.objectId, functionDeclaration: 'function () { return this.length; }' });
    for (const o of [objects, proto]) await cdp.send('Runtime.releaseObject', { objectId: o.objectId });
    return result.value;
  };
  const held = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    await cdp.send('HeapProfiler.collectGarbage');
    const { metrics } = await cdp.send('Performance.getMetrics');
    const of = (name) => metrics.find((m) => m.name === name).value;
    const { processInfo } = await root.send('SystemInfo.getProcessInfo');
    const text = await (await page.request.get(`${ioc.url}/metrics`)).text();
    return {
      heap: of('JSHeapUsedSize'),
      nodes: of('Nodes'),
      listeners: of('JSEventListeners'),
      sources: await alive('MediaSource'),
      buffers: await alive('SourceBuffer'),
      sockets: await alive('WebSocket'),
      chromium: 1024 * processInfo.filter((q) => q.type === 'renderer' || q.type === 'GPU').reduce((sum, q) => sum + kB(q.id, 'RssAnon'), 0),
      server: 1024 * kB(ioc.process.pid, 'VmRSS'),
      goroutines: Number(/^go_goroutines (\d+)/m.exec(text)[1]),
      descriptors: readdirSync(`/proc/${ioc.process.pid}/fd`).length,
    };
  };

  const away = (words) => until('it says so, over the last picture', async () => {
    honest(await look(it), { words });
    return true;
  });
  const ways = [
    ['switched off', async () => {
      await camera.stop();
      await away(/Mất hình từ[\s\S]*Đang thử lại/);
      await camera.up();
    }],
    ['killed and back at once', async () => {
      await camera.kill();
      await camera.up();
      await until('the server has noticed', async () => (await look(it)).state !== 'live', 15_000);
      await away(/Mất hình từ|Đang kết nối|Đứng hình/);
    }],
    ['hung', async () => {
      camera.freeze();
      await away(/Đứng hình \d+/);
      camera.thaw();
    }],
  ];
  const began = performance.now();
  let before;
  for (let i = 0; i < FLAPS; i++) {
    const [what, flap] = ways[i % ways.length];
    await step(`${i + 1}: ${what}`, async () => {
      // The time between is part of the two minutes: the tile is left alone.
      await new Promise((go) => setTimeout(go, Math.max(0, began + i * EVERY_MS - performance.now())));
      await plays(it, 'it plays before');
      await flap();
      const [ms] = await timed(() => plays(it, 'it plays again'));
      if (i === WARM_UP - 1) before = await held();
      return `plays after ${ms} ms`;
    });
  }

  await step('it plays at the end, and nothing has grown', async () => {
    await new Promise((go) => setTimeout(go, Math.max(0, began + FLAPS * EVERY_MS - performance.now())));
    await plays(it, 'it plays at the end');
    assert.equal((await look(it)).said, '');
    const after = await held();
    const words = Object.entries(after).map(([k, v]) => `${k} ${v > 1e6 ? `${MB(before[k])} → ${MB(v)} MB` : `${before[k]} → ${v}`}`).join(', ');
    assert.ok(after.heap < before.heap * 1.1 + 1e6, words);
    assert.ok(after.nodes < before.nodes * 1.1 + 100, words);
    assert.ok(after.listeners < before.listeners * 1.1 + 50, words);
    assert.deepEqual([after.sources, after.buffers, after.sockets], [1, 1, 2], words);
    assert.ok(after.chromium < before.chromium * 1.15 + 32e6, words);
    assert.ok(after.server < before.server * 1.15 + 16e6, words);
    assert.ok(after.goroutines <= before.goroutines + 4, words);
    assert.ok(after.descriptors <= before.descriptors + 2, words);
    assert.deepEqual([...new Set(await page.evaluate(() => globalThis.holes))], [], 'a hole in the tile');
    assert.equal(await page.evaluate(() => globalThis.heapMark), 'never reloaded');
    return `${((performance.now() - began) / 1000).toFixed(0)} s, ${words}`;
  });
});
