import { describe, expect, it } from 'vitest';
import type { SeriesPoint } from '../api/types';
import { gapsOf, prepare } from './series';

const minute = 60_000;
const at = (min: number, v = 1, q = 1): SeriesPoint => [min * minute, v, q];

describe('a series to draw', () => {
  it('is broken at a gap, never bridged', () => {
    const points = [at(0), at(5), at(10), at(60, 3), at(65)];
    const gaps = gapsOf(points, 5 * minute, 5 * minute);
    expect(gaps).toEqual([{ from: 15 * minute, to: 60 * minute }]);
    const d = prepare(points, 5 * minute, gaps);
    expect(d.y).toEqual([1, 1, 1, null, 3, 1]);
    expect(d.x).toEqual([...d.x].sort((a, b) => a - b));
    expect([d.min, d.max, d.count]).toEqual([1, 3, 5]);
  });
  it('accepts a coarser rhythm for older data', () => {
    const points = [at(0), at(15), at(30), at(45), at(60), at(75), at(80), at(85), at(90), at(200), at(205), at(210)];
    expect(gapsOf(points, 2000, 5 * minute)).toEqual([{ from: 95 * minute, to: 200 * minute }]);
  });
  it('takes a late value or two for no gap', () => {
    expect(gapsOf([at(0), at(15)], 5 * minute, 5 * minute)).toEqual([]);
  });
  it('leaves doubtful values out, and their time is a gap', () => {
    const points = [at(0), at(5, 324, 4), at(10, 324, 4), at(15, 324, 4), at(20)];
    const gaps = gapsOf(points, 5 * minute, 5 * minute);
    expect(gaps).toHaveLength(1);
    expect(prepare(points, 5 * minute, gaps).max).toBe(1);
  });
  it('may be empty', () => {
    expect(prepare([], minute, gapsOf([], minute, minute))).toMatchObject({ x: [], count: 0 });
  });
});
