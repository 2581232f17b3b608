import { describe, expect, it } from 'vitest';
import type { Alarm, Camera, Position } from '../api/types';
import { bearing, distanceM, formatDistance, mosaicOrder, sees } from './place';

const at = (lon: number, lat: number): Position => ({ lon, lat });
const camera = (id: string, position: Position, more: Partial<Camera> = {}): Camera => ({ id, name: id, url: '', position, status: { state: 'live', since: '' }, ...more });
const alarm = (id: string, position?: Position): Alarm => ({ id, rule: 'r', subject: 's', state: 'active', priority: 'high', raised: '', changed: '', value: 1, threshold: 1, position });

describe('where a camera looks', () => {
  const gate = at(106.45, 10.31);
  it('measures on the sphere', () => {
    expect(distanceM(at(106, 10), at(106, 11))).toBeCloseTo(111_195, -1);
    expect(bearing(at(106, 10), at(106, 11))).toBeCloseTo(0);
    expect(bearing(at(106, 10), at(107, 10))).toBeCloseTo(90, 0);
    expect(bearing(at(106, 10), at(105.9, 9.9))).toBeGreaterThan(180);
  });
  it.each([
    ['straight ahead', at(106.45, 10.305), 0, 60, true],
    ['at its back', at(106.45, 10.305), 180, 60, false],
    ['across north: 350° sees 5°', at(106.4496, 10.3055), 350, 60, true],
    ['all round', at(106.45, 10.305), 180, 360, true],
    ['its own place', gate, 180, 60, true],
    ['too far to be made out', at(106.45, 10.296), 0, 60, false],
    ['bearing not known', at(106.45, 10.305), undefined, 60, false],
    ['angle not known', at(106.45, 10.305), 0, undefined, false],
  ])('%s', (_, from, deg, view, want) => {
    expect(sees(camera('c', from, { bearing: deg, view_deg: view }), gate)).toBe(want);
  });
});

describe('order of the mosaic', () => {
  const place = (a: Alarm) => a.position;
  it('goes by group and name as people count', () => {
    const all = [camera('c', at(106, 10), { name: 'Cổng 10', group: 'B' }), camera('a', at(106, 10), { name: 'Cổng 2', group: 'B' }), camera('b', at(106, 10), { name: 'Chợ', group: 'A' })];
    expect(mosaicOrder(all, [], place).map((w) => w.camera.id)).toEqual(['b', 'a', 'c']);
  });
  it('looks farther for what is urgent', () => {
    const gate = at(106.45, 10.31);
    const c = camera('c', at(106.47, 10.31)); // 2.2 km
    expect(mosaicOrder([c], [alarm('a', gate)], place)[0]).toMatchObject({ framed: true });
    expect(mosaicOrder([c], [{ ...alarm('a', gate), priority: 'low' }], place)).toEqual([{ camera: c }]);
  });
  it('puts those of alarms first: who sees it, then who is nearest, none twice', () => {
    const gate = at(106.45, 10.31);
    const all = [
      camera('far', at(106.9, 10.31)),
      camera('near', at(106.451, 10.31), { bearing: 90, view_deg: 40 }),
      camera('sees', at(106.45, 10.305), { bearing: 0, view_deg: 60 }),
      camera('third', at(106.4601, 10.31)),
    ];
    const got = mosaicOrder(all, [alarm('a1', gate), alarm('a2', gate), alarm('nowhere')], place);
    expect(got.map((w) => [w.camera.id, w.alarm?.id, w.framed ?? false])).toEqual([
      ['sees', 'a1', true],
      ['near', 'a1', false],
      ['third', 'a2', true],
      ['far', undefined, false],
    ]);
    expect(got[1]?.distance).toBeCloseTo(109, 0);
  });
});

it('writes distances as people say them', () => {
  expect(formatDistance(43, 'vi')).toBe('40\u202fm');
  expect(formatDistance(996, 'vi')).toBe('1,0\u202fkm');
  expect(formatDistance(1234, 'en')).toBe('1.2\u202fkm');
  expect(formatDistance(12_345, 'vi')).toBe('12\u202fkm');
});
