import { afterEach, expect, it } from 'vitest';
import { prefs } from '../i18n/locale.svelte';
import { cameraHelp, cameraSentence, cameraWhy, probeText } from './words.svelte';

afterEach(() => prefs.setLocale('vi'));

it('says in words what is wrong, in both languages', () => {
  expect(cameraWhy('unauthorized', '401 Unauthorized')).toBe('sai tên đăng nhập hoặc mật khẩu');
  prefs.setLocale('en');
  expect(cameraWhy('unauthorized', '401 Unauthorized')).toBe('wrong user name or password');
});
it('falls back on what was said, and never says nothing of a fault', () => {
  expect(cameraWhy('of_tomorrow', 'something new')).toBe('something new');
  expect(cameraWhy('of_tomorrow')).toBe('không rõ lý do');
  expect(cameraWhy(undefined)).toBe('');
});
it('tells since when and why', () => {
  const status = { state: 'retrying', since: '2026-03-20T07:21:00Z', code: 'timeout' } as const;
  const c = { id: 'a', name: 'A', url: 'rtsp://x/1', position: { lon: 106, lat: 10 }, status };
  expect(cameraSentence(c, Date.parse('2026-03-20T07:32:00Z'))).toBe('Mất hình từ 14:21 · quá thời gian chờ mà không trả lời');
  expect(cameraSentence({ ...c, status: { state: 'off', since: status.since } }, 0)).toBe('Chờ người xem');
});
it('says what a camera offers', () => {
  expect(probeText({ ok: true, codecs: 'avc1.64001f', width: 1920, height: 1080, fps: 25 })).toBe('H.264 1920×1080, 25 hình/s');
  prefs.setLocale('en');
  expect(probeText({ ok: true, codecs: 'avc1.42c01e,mp4a.40.2', width: 640, height: 480 })).toBe('H.264 640×480, with sound');
  expect(cameraHelp('unauthorized')).toMatch(/^Check user and password/);
  expect(cameraHelp('ended')).toBe('');
});
