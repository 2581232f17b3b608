import { describe, expect, it } from 'vitest';
import { JUMP_S, Pace, TARGET_S } from './pace';

describe('pace of a live picture', () => {
  it('plays as it comes when near the edge', () => {
    const p = new Pace();
    for (const behind of [0.3, 0.35, 0.45, 0.55]) expect(p.judge(behind, 0)).toEqual({ rate: 1, jump: false });
  });
  it('plays faster the farther it is behind, and back to normal at the target', () => {
    const p = new Pace();
    const far = p.judge(2, 0).rate;
    const nearer = p.judge(1, 0).rate;
    expect(far).toBeGreaterThan(nearer);
    expect(nearer).toBeGreaterThanOrEqual(1.05);
    expect(p.judge(3.9, 0).rate).toBeLessThanOrEqual(1.5);
    // Once begun it goes on: at 0.5 s it would not have begun.
    expect(p.judge(0.5, 0).rate).toBeGreaterThan(1);
    expect(p.judge(TARGET_S, 0).rate).toBe(1);
    expect(p.judge(0.5, 0).rate).toBe(1);
  });
  it('comes to the target from two seconds behind within ten', () => {
    const p = new Pace();
    let behind = 2;
    let s = 0;
    for (; behind > TARGET_S + 0.05 && s < 60; s += 0.25) behind -= (p.judge(behind, s * 1000).rate - 1) * 0.25;
    expect(s).toBeLessThan(10);
  });
  it('jumps when too far behind', () => {
    expect(new Pace().judge(JUMP_S + 0.1, 0)).toEqual({ rate: 1, jump: true });
  });
  it('slows down a little rather than run dry', () => {
    const p = new Pace();
    expect(p.judge(0.05, 0).rate).toBe(0.95);
    expect(p.judge(0.2, 0).rate).toBe(0.95);
    expect(p.judge(0.31, 0).rate).toBe(1);
  });
  it('holds more back when pictures come unevenly, and less again in calm', () => {
    const p = new Pace();
    for (let i = 0; i < 50; i++) p.underrun(1000);
    expect(p.target).toBe(1.5);
    p.judge(1.5, 20_000);
    expect(p.target).toBe(1.5);
    for (let now = 22_000; now < 600_000; now += 250) p.judge(p.target, now);
    expect(p.target).toBeCloseTo(TARGET_S);
  });
});
