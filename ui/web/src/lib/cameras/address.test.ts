import { describe, expect, it } from 'vitest';
import { putTogether, takeApart } from './address';

describe('a camera’s address', () => {
  it.each([
    ['rtsp://10.0.0.5/1', { url: 'rtsp://10.0.0.5/1', user: '', password: '' }],
    [' rtsp://xem:bi%40mat@10.0.0.5:554/1?a=b ', { url: 'rtsp://10.0.0.5:554/1?a=b', user: 'xem', password: 'bi@mat' }],
    ['rtsp://xem:a@b:c@10.0.0.5/1', { url: 'rtsp://10.0.0.5/1', user: 'xem', password: 'a@b:c' }],
    ['rtsp://xem@h/@x', { url: 'rtsp://h/@x', user: 'xem', password: '' }],
    ['RTSP://x:100%@h', { url: 'RTSP://h', user: 'x', password: '100%' }],
    ['rtsp://h/live@2', { url: 'rtsp://h/live@2', user: '', password: '' }],
    ['http://a:b@h/', { url: 'http://a:b@h/', user: '', password: '' }],
  ])('%s comes apart', (line, want) => {
    expect(takeApart(line)).toEqual(want);
  });
  it('goes together with every sign of a password escaped', () => {
    expect(putTogether({ url: 'rtsp://h:554/1', user: 'xem', password: "a@b/c?d#e:f*g'" })).toBe("rtsp://xem:a%40b%2Fc%3Fd%23e%3Af%2Ag%27@h:554/1");
    expect(takeApart(putTogether({ url: 'rtsp://h/1', user: 'ả', password: '%41' }))).toEqual({ url: 'rtsp://h/1', user: 'ả', password: '%41' });
  });
  it('without an account stays as it is, which keeps the stored one; or says that there is none', () => {
    expect(putTogether({ url: 'rtsp://h/1', user: ' ', password: 'left over' })).toBe('rtsp://h/1');
    expect(putTogether({ url: 'rtsp://h/1', user: 'x', password: '' }, true)).toBe('rtsp://@h/1');
    expect(putTogether({ url: 'rtsp://a:b@h/1', user: '', password: '' })).toBe('rtsp://a:b@h/1');
    expect(putTogether({ url: 'rtsp://a:b@h/1', user: 'c', password: 'd' })).toBe('rtsp://c:d@h/1');
  });
});
