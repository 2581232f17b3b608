import { describe, expect, it } from 'vitest';
import type { Camera, CameraState } from '../api/types';
import { BOX_H, boxWidth, cameraBoxes, coneLength, conePath, wouldPart } from './boxes';

const camera = (id: string, lon: number, lat: number, state: CameraState = 'live'): Camera => ({ id, name: id, url: 'rtsp://x/1', position: { lon, lat }, status: { state, since: '2026-03-20T00:00:00Z' } });
/** 61 cameras within some three kilometres, as streets would have them. */
const town = Array.from({ length: 61 }, (_, i) => camera(`c${i}`, 106.35 + ((i * 37) % 61) * 0.0005, 10.345 + ((i * 17) % 61) * 0.0003, i % 10 === 0 ? 'retrying' : 'live'));
const metre = (lon: number, lat: number, zoom: number) => {
  const size = 512 * 2 ** zoom;
  return { x: (lon / 360) * size, y: (-Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI)) * size };
};

describe('boxes of cameras', () => {
  it.each([9, 10, 11, 12, 13, 14, 16])('never overlap at zoom %i, and none is lost', (zoom) => {
    const boxes = cameraBoxes(town, zoom, () => false);
    expect(boxes.flatMap((b) => b.cameras.map((c) => c.id)).sort()).toEqual(town.map((c) => c.id).sort());
    expect(boxes.reduce((s, b) => s + b.lost, 0)).toBe(7);
    const at = boxes.map((b) => ({ ...metre(b.lon, b.lat, zoom), w: boxWidth(b.cameras.length, b.lost) }));
    at.forEach((a, i) => at.slice(i + 1).forEach((b) => expect(Math.abs(a.x - b.x) < (a.w + b.w) / 2 && Math.abs(a.y - b.y) < BOX_H).toBe(false)));
  });
  it('part as one comes nearer', () => {
    const counts = [9, 11, 13, 16].map((z) => cameraBoxes(town, z, () => false).length);
    expect(counts[0]).toBeLessThanOrEqual(2);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts[3]).toBeGreaterThan(50);
  });
  it('leave alone those that are looked at', () => {
    const boxes = cameraBoxes(town, 9, (id) => id === 'c7');
    expect(boxes.find((b) => b.id === 'c7')?.cameras).toHaveLength(1);
  });
  it('know when no zoom will part them', () => {
    expect(wouldPart([camera('a', 106, 10), camera('b', 106, 10)], 16)).toBe(false);
    expect(wouldPart([camera('a', 106, 10), camera('b', 106.01, 10)], 16)).toBe(true);
  });
});

describe('cone', () => {
  it('looks where the camera looks: clockwise from north', () => {
    expect(conePath(90, 60, 10)).toBe('M0 0L8.7 -5.0A10.0 10.0 0 0 1 8.7 5.0Z');
    expect(conePath(180, 90, 10)).toBe('M0 0L7.1 7.1A10.0 10.0 0 0 1 -7.1 7.1Z');
    expect(conePath(0, 200, 10)).toContain(' 0 1 1 ');
  });
  it('shows what is known and no more', () => {
    expect(conePath(undefined, 60, 10)).toBe('');
    expect(conePath(90, undefined, 10)).toBe('M0 0L10.0 -0.0');
    expect(conePath(undefined, 360, 10)).toMatch(/^M0 -10A/);
  });
  it('grows with the map, within bounds', () => {
    expect(coneLength(9)).toBe(24);
    expect(coneLength(14)).toBeGreaterThan(coneLength(12));
    expect(coneLength(16)).toBeLessThanOrEqual(96);
  });
});
