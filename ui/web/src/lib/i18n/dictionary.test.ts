import { describe, expect, it } from 'vitest';
import { words } from './dictionary';
import { prefs, t } from './locale.svelte';
import { reasons, words as quarantine } from './quarantine';

describe('dictionary', () => {
  const of = (part: string, all: Record<string, readonly [string, string]>) => Object.entries(all).map(([key, both]) => [part + key, both] as const);
  it.each([...of('', words), ...of('quarantine ', quarantine), ...Object.entries(reasons).flatMap(([reason, r]) => of(`${reason} `, { title: r.title, help: r.help }))])('%s is complete in both languages', (_key, [vi, en]) => {
    expect(vi.trim()).not.toBe('');
    expect(en.trim()).not.toBe('');
    const blanks = (s: string) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();
    expect(blanks(en)).toEqual(blanks(vi));
    expect(vi).toBe(vi.normalize('NFC'));
    expect(vi + en).not.toMatch(/!|vui lòng|[òóỏõọ]a[^n\s]|\bxóa\b/i);
  });
});

describe('one and many', () => {
  it('is told apart in English only', () => {
    prefs.locale = 'en';
    expect(t('clients', { n: 1 })).toBe('1 client');
    expect(t('clients', { n: '0' })).toBe('0 clients');
    expect(t('connBack', { v: 1, a: 2 })).toBe('Connected again. Made good 1 value and 2 alarms.');
    prefs.locale = 'vi';
    expect(t('clients', { n: 1 })).toBe('1 máy');
  });
});
