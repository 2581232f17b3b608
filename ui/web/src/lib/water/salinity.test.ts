import { describe, expect, it } from 'vitest';
import { arrange, classOf, crossings, reachOf, salinityAt, stretches } from './salinity';

const river = arrange([
  { km: 40, value: 0.5 },
  { km: 10, value: 16 },
  { km: 20, value: 4 },
]);

describe('water between stations', () => {
  it.each([
    [10, 16],
    [15, 8], // geometric middle
    [20, 4],
    [30, Math.sqrt(2)],
    [40, 0.5],
    [42.9, 0.5],
    [7.1, 16],
  ])('at km %f', (km, want) => expect(salinityAt(river, km)).toBeCloseTo(want, 9));

  it('does not tell beyond 3 km, nor without stations', () => {
    expect(salinityAt(river, 43.1)).toBeUndefined();
    expect(salinityAt(river, 6.9)).toBeUndefined();
    expect(salinityAt([], 10)).toBeUndefined();
    expect(classOf(undefined)).toBe('unknown');
  });

  it('classes at 1 and 4 g/l', () => {
    expect([0.99, 1, 4, 4.01].map(classOf)).toEqual(['fresh', 'mid', 'mid', 'salt']);
  });

  it('finds the boundaries', () => {
    expect(crossings(river, 4)).toEqual([20]);
    expect(reachOf(river, 1)).toBeCloseTo(20 + 20 * (Math.log(4) / Math.log(8)), 9);
    expect(reachOf(river, 0.1)).toBeUndefined();
  });

  it('parts a river into stretches', () => {
    expect(stretches(river, 60).map((s) => [s.class, Math.round(s.from), Math.round(s.to)])).toEqual([
      ['unknown', 0, 7],
      ['salt', 7, 20],
      ['mid', 20, 33],
      ['fresh', 33, 43],
      ['unknown', 43, 60],
    ]);
    expect(stretches([], 12)).toEqual([{ from: 0, to: 12, class: 'unknown' }]);
  });

  it('takes readings of zero, and two gauges at one place', () => {
    const g = arrange([
      { km: 1, value: 0 },
      { km: 5, value: 1 },
      { km: 5, value: 4 },
    ]);
    expect(g).toEqual([
      { km: 1, value: 0.01, n: 1 },
      { km: 5, value: 2, n: 2 },
    ]);
    expect(salinityAt(g, 3)).toBeGreaterThan(0);
  });
});
