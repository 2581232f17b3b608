import { describe, expect, it } from 'vitest';
import { codecName, hasSound, readSaid } from './wire';

describe('what a camera’s socket says', () => {
  it('reads streams and states', () => {
    expect(readSaid('{"codecs":"avc1.42e01e,mp4a.40.2","width":640,"height":360}')).toEqual({ kind: 'stream', codecs: 'avc1.42e01e,mp4a.40.2', width: 640, height: 360 });
    expect(readSaid('{"state":"retrying","since":"2026-03-20T07:21:03Z","why":"no answer","code":"timeout"}')).toEqual({
      kind: 'state', state: 'retrying', since: Date.UTC(2026, 2, 20, 7, 21, 3), why: 'no answer', code: 'timeout',
    });
    expect(readSaid('{"state":"off","why":"deleted","code":"deleted"}')).toMatchObject({ state: 'off', code: 'deleted', since: undefined });
  });
  it.each(['', 'x', 'null', '7', '[]', '{}', '{"state":"great"}', '{"codecs":"\\"><script>"}', '{"codecs":""}'])('knows nothing of %s', (text) => {
    expect(readSaid(text)).toBeUndefined();
  });
});

describe('codecs as people name them', () => {
  it.each([
    ['avc1.64001f,mp4a.40.2', 'H.264', 'High'],
    ['avc1.42E01E', 'H.264', 'Baseline'],
    ['hvc1.2.4.L120.90', 'H.265', 'Main 10'],
    ['hev1.A1.6.L93.B0', 'H.265', 'Main'],
    ['mp4a.40.2, av01.0.04M.08', 'AV1', 'Main'],
    ['mp4v.20.9', 'MPEG-4', ''],
    ['xyz1', 'xyz1', ''],
    ['', '–', ''],
  ])('%s', (codecs, name, profile) => {
    expect(codecName(codecs)).toEqual({ name, profile });
  });
  it('hears sound', () => {
    expect(hasSound('avc1.64001f,mp4a.40.2')).toBe(true);
    expect(hasSound('avc1.64001f')).toBe(false);
    expect(hasSound('mp4v.20.9')).toBe(false);
  });
});
