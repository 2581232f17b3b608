import { describe, expect, it } from 'vitest';
import { words } from './dictionary';

describe('dictionary', () => {
  it.each(Object.entries(words))('%s is complete in both languages', (_key, [vi, en]) => {
    expect(vi.trim()).not.toBe('');
    expect(en.trim()).not.toBe('');
    const blanks = (s: string) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();
    expect(blanks(en)).toEqual(blanks(vi));
    expect(vi).toBe(vi.normalize('NFC'));
    expect(vi + en).not.toMatch(/!|vui lòng|[òóỏõọ]a[^n\s]|\bxóa\b/i);
  });
});
