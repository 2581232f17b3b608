import { describe, expect, it } from 'vitest';
import { beginsWithKey } from './mp4';

const u32 = (n: number): number[] => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const box = (type: string, ...content: number[][]): number[] => {
  const body = content.flat();
  return [...u32(body.length + 8), ...[...type].map((c) => c.charCodeAt(0)), ...body];
};
const tfhd = (flags: number, ...fields: number[]): number[] => box('tfhd', u32(flags), u32(1), ...fields.map(u32));
const trun = (flags: number, ...fields: number[]): number[] => box('trun', u32(flags), u32(1), ...fields.map(u32));
const fragment = (...traf: number[][]): Uint8Array => new Uint8Array([...box('moof', box('mfhd', u32(0), u32(1)), box('traf', ...traf)), ...box('mdat', [1, 2, 3])]);
const KEY = 0x02000000;
const DELTA = 0x01010000;

describe('where a fragment says that it begins with a key frame', () => {
  it.each([
    ['default of the fragment, key', [tfhd(0x20020, KEY), trun(0x1, 100)], true],
    ['default of the fragment, not', [tfhd(0x20020, DELTA), trun(0x1, 100)], false],
    ['behind other defaults', [tfhd(0x2003b, 0, 0, 1, 40, 500, KEY), trun(0x1, 100)], true],
    ['first sample flags win', [tfhd(0x20020, DELTA), trun(0x5, 100, KEY)], true],
    ['flags of the sample itself', [tfhd(0x20000), trun(0x701, 100, 40, 500, DELTA)], false],
    ['flags of the sample, no duration', [tfhd(0x20000), trun(0x601, 100, 500, KEY)], true],
    ['a decode time between', [tfhd(0x20020, KEY), box('tfdt', u32(0x1000000), u32(0), u32(9)), trun(0x1, 100)], true],
  ])('%s', (_, traf, want) => {
    expect(beginsWithKey(fragment(...traf))).toBe(want);
  });
  it.each([
    ['nothing said', fragment(tfhd(0x20000), trun(0x1, 100))],
    ['no fragment', new Uint8Array(box('ftyp', u32(1)))],
    ['no bytes', new Uint8Array(0)],
    ['cut short', fragment(tfhd(0x20020, KEY), trun(0x1, 100)).slice(0, 30)],
    ['a size of nothing', new Uint8Array([0, 0, 0, 0, 109, 111, 111, 102])],
    ['a field outside its box', new Uint8Array(box('moof', box('traf', box('tfhd', u32(0x2003b), u32(1)))))],
  ])('%s: not known', (_, bytes) => {
    expect(beginsWithKey(bytes)).toBeUndefined();
  });
  it('reads within a larger buffer', () => {
    const f = fragment(tfhd(0x20020, KEY), trun(0x1, 100));
    const big = new Uint8Array(f.length + 7);
    big.set(f, 7);
    expect(beginsWithKey(big.subarray(7))).toBe(true);
  });
});
