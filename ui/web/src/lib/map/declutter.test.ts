import { describe, expect, it } from 'vitest';
import { cluster, declutter, type Wish } from './declutter';

const view = { x: 0, y: 0, w: 400, h: 300 };
const wish = (id: string, x: number, y: number, more: Partial<Wish> = {}): Wish => ({ id, x, y, r: 8, w: 80, h: 30, ...more });
const cross = (a: { x: number; y: number; w: number; h: number }, b: typeof a) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe('labels', () => {
  it('stand to the right of their marker when there is room', () => {
    const p = declutter([wish('a', 100, 100)], [], view).get('a')!;
    expect([p.x, p.y, p.leader]).toEqual([111, 85, false]);
  });
  it('turn to the other side at the edge and beside what is taken', () => {
    expect(declutter([wish('a', 380, 100)], [], view).get('a')!.x).toBe(289);
    expect(declutter([wish('a', 100, 100)], [{ x: 100, y: 60, w: 200, h: 60 }], view).get('a')!.x).toBe(9);
  });
  it('never overlap, the earlier one keeps its place, the rest get leaders or go', () => {
    const many = Array.from({ length: 30 }, (_, i) => wish(String(i), 200 + (i % 3), 150 + (i % 5)));
    const placed = [...declutter(many, [], view).values()];
    expect(placed[0]).toMatchObject({ id: '0', leader: false });
    expect(placed.length).toBeGreaterThan(4);
    expect(placed.length).toBeLessThan(30);
    expect(placed.some((p) => p.leader)).toBe(true);
    placed.forEach((a, i) => placed.slice(i + 1).forEach((b) => expect(cross(a, b)).toBe(false)));
  });
  it('keep what must be seen', () => {
    const wall = [{ x: -1000, y: -1000, w: 5000, h: 5000 }];
    const got = declutter([wish('x', 50, 50), wish('island', 60, 60, { must: true, r: 0 })], wall, view);
    expect([...got.keys()]).toEqual(['island']);
  });
});

it('clusters by distance on screen', () => {
  const got = cluster([{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 200, y: 0 }], 50);
  expect(got.map((c) => [c.x, c.members.length])).toEqual([[5, 2], [200, 1]]);
  expect(cluster([{ x: 0, y: 0 }, { x: 10, y: 0 }], 0)).toHaveLength(2);
});
