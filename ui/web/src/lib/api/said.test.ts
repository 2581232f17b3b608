import { describe, expect, it } from 'vitest';
import { inVietnamese } from './said';

describe('what the server says, in Vietnamese', () => {
  it('keeps the figures of a sentence', () => {
    expect(inVietnamese('must be 1 to 86400 seconds')).toBe('từ 1 đến 86400 giây');
    expect(inVietnamese('at least 12 characters')).toBe('ít nhất 12 ký tự');
    expect(inVietnamese('must not lie over on.above')).toBe('không được cao hơn ngưỡng bật');
  });
  it('reads a sentence within a sentence', () => {
    expect(inVietnamese('polygon 1: ring 0 has 3 positions; a ring needs at least 4')).toBe('đa giác 1: vòng 0 có 3 điểm; một vòng cần ít nhất 4');
    expect(inVietnamese('not JSON at byte 12')).toBe('không phải JSON, ở byte 12');
  });
  it('leaves what it does not know as it was said', () => {
    expect(inVietnamese('the moon is full')).toBe('the moon is full');
    expect(inVietnamese('')).toBe('');
  });
  it('reads no sentence by its first half', () => {
    expect(inVietnamese('at most 12 bananas')).toBe('at most 12 bananas');
  });
});
