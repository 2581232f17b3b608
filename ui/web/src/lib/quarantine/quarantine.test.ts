// @vitest-environment node
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { said } from '../api/problem.svelte';
import type { SetAside } from '../api/types';
import { prefs } from '../i18n/locale.svelte';
import { reasons } from '../i18n/quarantine';
import { shown } from './payload';
import { Reading, type Page } from './reading.svelte';
import { sourceOf } from './source';
import { detailText, reasonTitle } from './words.svelte';

describe('reasons', () => {
  const source = (path: string) => readFileSync(fileURLToPath(new URL(`../../../../../${path}`, import.meta.url)), 'utf8');
  it('are those that the server gives, no more and no fewer', () => {
    const given = [
      ...source('telemetry/observation.go').matchAll(/^\t[A-Z]\w+ += "([a-z_]+)" +\/\//gm),
      ...source('telemetry/influx/write.go').matchAll(/^\tStore\w+ += "([a-z_]+)"/gm),
      ...source('devices/mqtt/external_session.go').matchAll(/msg\.Refused = "([a-z_]+)"/g),
      ...source('cmd/ioc/intake.go').matchAll(/Reason: "([a-z_]+)"/g),
    ].map((m) => m[1]);
    expect(given.length).toBeGreaterThan(15);
    expect(Object.keys(reasons).sort()).toEqual([...new Set(given)].sort());
  });
});

describe('words', () => {
  it('leave a reason that is not known as it is', () => expect(reasonTitle('of_tomorrow')).toBe('of_tomorrow'));
  it('tell a doubted time as a date too', async () => {
    await expect.poll(() => said('ts is no time')).toBe('ts không phải thời điểm'); // the sentences come later
    const seconds = 'ts 1.774e+09 is before 2000 or ahead of now';
    expect(detailText(seconds)).toBe('ts 1774000000 (21/01/1970 19:46:40) trước năm 2000 hoặc nhanh hơn giờ máy chủ');
    prefs.locale = 'en';
    expect(detailText(seconds)).toBe('ts 1774000000 (21 Jan 1970 19:46:40) is before 2000 or ahead of now');
    expect(detailText('ts 1e+300 is before 2000 or ahead of now')).toBe('ts 1e+300 is before 2000 or ahead of now');
    prefs.locale = 'vi';
  });
});

describe('a source', () => {
  it.each([
    ['devices/sal-1/telemetry from sal-1', { at: 'devices/sal-1/telemetry', device: 'sal-1', via: '' }],
    ['devices/sal-1/netjson from cau-noi', { at: 'devices/sal-1/netjson', device: 'sal-1', via: 'cau-noi' }],
    ['gateways/g/telemetry from g', { at: 'gateways/g/telemetry', device: 'g', via: '' }],
    ['a/b from c/d from ', { at: 'a/b from c/d', device: '', via: '' }],
    ['sal-1', { at: '', device: 'sal-1', via: '' }],
    ['influx observation,device=sal-1,metric=level', { at: 'influx observation,device=sal-1,metric=level', device: 'sal-1', via: '' }],
    ['something else', { at: 'something else', device: '', via: '' }],
    ['', { at: '', device: '', via: '' }],
  ])('%s', (text, want) => expect(sourceOf(text)).toEqual(want));
});

describe('a payload', () => {
  it('is shown as it came, with nothing hidden in it', () => {
    expect(shown('{"values":\n  {}}')).toEqual({ text: '{"values":\n  {}}', preview: '{"values": {}}', bytes: 16, hex: false, cut: false });
    expect(shown('a\0b\u202ec\u200b').text).toBe('a␀b\\u202ec\\u200b');
    expect(shown('mặn').bytes).toBe(5);
    expect(shown('')).toMatchObject({ text: '', preview: '', bytes: 0 });
  });
  it('is hexadecimal where it is no text', () => {
    expect(shown('/xg=', 'base64')).toEqual({ text: 'ff 18', preview: 'ff 18', bytes: 2, hex: true, cut: false });
    const long = shown(btoa('\xff'.repeat(5000)), 'base64');
    expect([long.bytes, long.text.split(' ').length, long.cut]).toEqual([5000, 1024, true]);
  });
  it('is cut, but not within a character', () => {
    const long = shown('x'.repeat(3999) + '😀'.repeat(10));
    expect(long.text).toBe('x'.repeat(3999));
    expect([long.cut, long.bytes]).toEqual([true, 4039]);
  });
});

describe('a reading', () => {
  const item = (id: string): SetAside => ({ id, seen: '2026-03-20T07:21:00Z', source: 'd', reason: 'bad_json', detail: '', count: 1, payload: '' });
  const ids = (r: Reading) => r.items.map((i) => i.id).join('');
  /** Pages by their cursor, and what was asked for. */
  function pages(...all: Page[]) {
    const asked: string[] = [];
    return { asked, page: async (cursor: string) => (asked.push(cursor), all[Number(cursor || 0)]!) };
  }
  const of = (text: string, next?: string): Page => ({ items: [...text].map(item), next });

  it('goes on behind pages that are short or empty while there is a cursor', async () => {
    const { asked, page } = pages(of('a', '1'), of('', '2'), { items: null, next: '3' }, of('bcd', '4'), of('', '5'), of('e'));
    const r = new Reading(page);
    await r.older(3);
    expect([ids(r), r.more, asked.length]).toEqual(['abcd', true, 4]);
    await r.older(3);
    expect([ids(r), r.more, r.busy]).toEqual(['abcde', false, false]);
    await r.older(3);
    expect(asked).toEqual(['', '1', '2', '3', '4', '5']);
  });
  it('keeps what it has when a page does not come, and asks for that page again', async () => {
    const { page } = pages(of('a', '1'), of('b'));
    let broken = true;
    const r = new Reading((cursor) => (cursor && broken ? Promise.reject(new Error('away')) : page(cursor)));
    await r.older(5);
    expect([ids(r), r.more, String(r.error)]).toEqual(['a', true, 'Error: away']);
    broken = false;
    await r.older(5);
    expect([ids(r), r.more, r.error]).toEqual(['ab', false, undefined]);
  });
  it('ends where it is told to, without an error', async () => {
    const r: Reading = new Reading((cursor, signal) => {
      if (!cursor) return Promise.resolve(of('a', '1'));
      return new Promise((_, fail) => (signal.addEventListener('abort', () => fail(signal.reason as Error)), r.stop()));
    });
    await r.older(5);
    expect([ids(r), r.more, r.busy, r.error]).toEqual(['a', true, false, undefined]);
  });
});
