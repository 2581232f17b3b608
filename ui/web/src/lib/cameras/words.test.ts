import { afterEach, expect, it } from 'vitest';
import { prefs } from '../i18n/locale.svelte';
import { cameraSentence, cameraWhy } from './words.svelte';

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
