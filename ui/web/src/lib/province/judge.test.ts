import { describe, expect, it } from 'vitest';
import type { Alarm, Device, Rule } from '../api/types';
import { compareAlarms, inScope, intervalMs, isStale, lookState, mainMetric } from './judge';
import { holds, type ZoneFeature } from './zones';

const device = (d: Partial<Device> = {}): Device => ({ id: 'a', name: 'A', kind: 'station', state: 'online', metrics: [{ metric: 'salinity', every_s: 60 }], ...d });
const rule = (r: Partial<Rule> = {}): Rule => ({ id: 'r', title: 'R', metric: 'salinity', scope: {}, on: { above: 2 }, off: { below: 1.6 }, priority: 'high', ...r });
const now = 1_000_000_000_000;
const at = (age_s: number, v = 1, q = 1) => ({ t: now - age_s * 1000, v, q });

describe('look of a station', () => {
  it.each([
    ['normal', device(), at(10)],
    ['near', device(), at(10, 1.6)],
    ['normal', device(), at(10, 1.59)],
    ['near', device(), at(10, 9)],
    ['normal', device(), at(180)],
    ['stale', device(), at(181)],
    ['stale', device({ state: 'silent' }), at(700)],
    ['offline', device({ state: 'silent' }), at(721)],
    ['stale', device({ state: 'online' }), at(7210)], // talks, but not of this
    ['offline', device({ state: 'never' }), undefined],
    ['bad', device(), at(10, 324, 4)],
    ['stale', device(), at(999, 324, 4)],
    ['maintenance', device({ state: 'maintenance' }), at(10)],
    ['maintenance', device({ maintenance: true }), undefined],
  ] as const)('%s', (want, d, reading) => {
    expect(lookState(d, reading, intervalMs('salinity', d.metrics), [rule()], now)).toBe(want);
  });
  it('is near a lower limit from above', () => {
    const low = rule({ on: { below: 11 }, off: { above: 12 } });
    expect(lookState(device(), at(1, 12), 60_000, [low], now)).toBe('near');
    expect(lookState(device(), at(1, 12.2), 60_000, [low], now)).toBe('normal');
    const one = rule({ on: { above: 2 }, off: { below: 2 } });
    expect([1.89, 1.9].map((v) => lookState(device(), at(1, v), 60_000, [one], now))).toEqual(['normal', 'near']);
  });
});

it('takes the interval promised for the metric, else the shortest, else 15 minutes', () => {
  expect(intervalMs('level', [{ metric: 'level', every_s: 600 }, { metric: 'salinity', every_s: 60 }])).toBe(600_000);
  expect(intervalMs('ph', [{ metric: 'level', every_s: 600 }, { metric: 'salinity', every_s: 60 }])).toBe(60_000);
  expect(intervalMs('ph', undefined)).toBe(900_000);
  expect(isStale(0, 2_700_000, 900_000)).toBe(false);
});

it('chooses the metric that stands for a device', () => {
  expect(mainMetric(device({ metrics: [{ metric: 'battery' }, { metric: 'salinity' }] }), [])).toBe('salinity');
  expect(mainMetric(device({ metrics: [] }), ['uptime', 'ap_clients'])).toBe('ap_clients');
  expect(mainMetric(device({ metrics: undefined }), [])).toBeUndefined();
});

it('applies scope: fields AND, values OR, absent all', () => {
  const d = device({ tags: ['x'] });
  expect(inScope(rule(), d, [])).toBe(true);
  expect(inScope(rule({ scope: { kinds: ['gateway', 'station'], tags: ['x', 'y'] } }), d, [])).toBe(true);
  expect(inScope(rule({ scope: { kinds: ['station'], zones: ['z'] } }), d, ['q'])).toBe(false);
  expect(inScope(rule({ scope: { devices: ['b'] } }), d, [])).toBe(false);
});

it('sorts alarms by priority, then to acknowledge, then newest', () => {
  const a = (id: string, priority: Alarm['priority'], state: Alarm['state'], raised: string): Alarm => ({
    id, priority, state, raised: `2026-03-20T${raised}:00Z`, changed: '', rule: 'r', subject: 's', value: 1, threshold: 1,
  });
  const list = [a('1', 'low', 'active', '12:00'), a('2', 'urgent', 'acknowledged', '13:00'), a('3', 'urgent', 'returned', '10:00'), a('4', 'urgent', 'active', '11:00')];
  expect(list.sort(compareAlarms).map((x) => x.id)).toEqual(['4', '3', '2', '1']);
});

it('knows which zone holds a point', () => {
  const zone: ZoneFeature = {
    type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]] },
  };
  expect([holds(zone, 3, 3), holds(zone, 1.5, 1.5), holds(zone, 5, 1)]).toEqual([true, false, false]);
});
