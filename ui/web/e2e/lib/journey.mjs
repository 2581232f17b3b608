// A journey: one server, one Chromium, steps in order; a failure says where it
// happened and leaves pictures, and nothing outlives it.
import { test } from 'node:test';
import { Browser } from './browser.mjs';
import { Cameras } from './cameras.mjs';
import { Field } from './field.mjs';
import { Ioc } from './ioc.mjs';

export function journey(name, timeout, walk) {
  test(name, { timeout }, async (t) => {
    const ioc = await Ioc.start();
    const cameras = new Cameras(ioc);
    let browser;
    let at = 'start';
    const step = async (what, act) => {
      at = what;
      const from = performance.now();
      const said = await act();
      t.diagnostic(`${what}: ${said === undefined ? '' : `${said}, `}${((performance.now() - from) / 1000).toFixed(1)} s`);
    };
    try {
      browser = await Browser.launch(ioc);
      await walk({ t, ioc, browser, field: new Field(ioc), cameras, step });
      at = 'quiet pages';
      browser.check();
    } catch (e) {
      const files = browser ? await browser.pictures() : [];
      e.message = `${at}: ${e.message}${browser?.faults.length ? `\nalso: ${browser.faults.join('\n  ')}` : ''}${files.length ? `\npictures:\n  ${files.join('\n  ')}` : ''}\nthe server's last words:\n${ioc.log.slice(-12).join('')}`;
      console.error(e.message);
      throw e;
    } finally {
      await browser?.close();
      await cameras.end();
      await ioc.stop();
    }
  });
}
