import { describe, expect, it } from 'vitest';
import { fold, matches } from './fold';
import { lunarFromSolar } from './lunar';
import { formatNumber, formatPercent, formatSalinity, formatUnit, formatValue, parseNumber } from './number';
import { formatAge, formatClock, formatDate, formatLunar, formatMoment, formatSpan, formatWeekday } from './time';

describe('numbers', () => {
  it.each([
    [2.4, 1, 'vi', '2,4'],
    [2.4, 1, 'en', '2.4'],
    [1284, 0, 'vi', '1.284'],
    [1284, 0, 'en', '1,284'],
    [1234567.891, 2, 'vi', '1.234.567,89'],
    [-3.06, 1, 'vi', '−3,1'],
    [-0.04, 1, 'vi', '0,0'],
    [999.96, 1, 'en', '1,000.0'],
    [NaN, 1, 'vi', '–'],
    [Infinity, 0, 'vi', '–'],
  ] as const)('%f with %i decimals in %s is %s', (v, d, l, want) => {
    expect(formatNumber(v, l, d)).toBe(want);
  });

  it.each([
    [2.4, '2,4'],
    [2.04, '2,0'],
    [0.62, '0,62'],
    [0.047, '0,05'],
    [0.996, '1,0'],
    [9.96, '10'],
    [17.24, '17'],
    [0, '0,0'],
  ])('salinity %f has two significant figures: %s', (v, want) => {
    expect(formatSalinity(v, 'vi')).toBe(want);
  });

  it('never shows a missing value as a number', () => {
    expect(formatValue(undefined, 'salinity', 1, 'vi')).toBe('–');
    expect(formatValue(0, 'level', 2, 'vi')).toBe('0,00');
  });

  it('writes percent and units as print does', () => {
    expect(formatPercent(96.4, 'vi')).toBe('96,4\u202f%');
    expect(formatPercent(96.4, 'en')).toBe('96.4%');
    expect(formatUnit('m3/s')).toBe('m³/s');
    expect(formatUnit('deg')).toBe('°');
  });

  it('reads what either language writes, and nothing else', () => {
    expect(parseNumber(' 1,5 ')).toBe(1.5);
    expect(parseNumber('−2.25')).toBe(-2.25);
    expect(parseNumber('1.284,5')).toBeUndefined();
    expect(parseNumber('1e3')).toBeUndefined();
    expect(parseNumber('')).toBeUndefined();
  });
});

describe('times', () => {
  const noon = Date.UTC(2026, 2, 20, 7, 32, 8); // 14:32:08 in Viet Nam
  it('is always Ho Chi Minh time', () => {
    expect(formatClock(noon)).toBe('14:32:08');
    expect(formatDate(Date.UTC(2026, 2, 19, 17, 0, 0), 'vi')).toBe('20/03/2026');
    expect(formatDate(noon, 'en')).toBe('20 Mar 2026');
    expect(formatWeekday(noon, 'vi')).toBe('Thứ Sáu 20/03/2026');
  });
  it('names the day only when it is another', () => {
    expect(formatMoment(noon, noon + 3600_000, 'vi')).toBe('14:32');
    expect(formatMoment(noon, noon + 86400_000, 'vi')).toBe('20/03 14:32');
  });
  it.each([
    [37_000, '37\u202fs', '37\u202fs'],
    [59_999, '59\u202fs', '59\u202fs'],
    [12 * 60_000, '12\u202fph', '12\u202fmin'],
    [185 * 60_000, '3h05', '3\u202fh\u202f05'],
    [4.5 * 86400_000, '4\u202fngày', '4\u202fd'],
    [-5, '0\u202fs', '0\u202fs'],
  ])('an age of %d ms', (ms, vi, en) => {
    expect(formatAge(ms, 'vi')).toBe(vi);
    expect(formatAge(ms, 'en')).toBe(en);
  });
  it('spells spans', () => {
    expect(formatSpan(72_000, 'vi')).toBe('1 phút 12 giây');
    expect(formatSpan(47 * 60_000, 'vi')).toBe('47 phút');
    expect(formatSpan(72_000, 'en')).toBe('1 min 12 s');
  });
});

describe('lunar calendar', () => {
  // Tết Nguyên Đán as officially kept in Viet Nam; 1985 and 2007 differ from China.
  it.each([
    [21, 1, 1985],
    [17, 2, 2007],
    [26, 1, 2009],
    [14, 2, 2010],
    [3, 2, 2011],
    [23, 1, 2012],
    [10, 2, 2013],
    [19, 2, 2015],
    [8, 2, 2016],
    [16, 2, 2018],
    [5, 2, 2019],
    [25, 1, 2020],
    [12, 2, 2021],
    [1, 2, 2022],
    [22, 1, 2023],
    [10, 2, 2024],
    [29, 1, 2025],
    [17, 2, 2026],
    [6, 2, 2027],
    [26, 1, 2028],
    [13, 2, 2029],
    [2, 2, 2030],
  ])('Tết of %i/%i/%i', (d, m, y) => {
    expect(lunarFromSolar(d, m, y)).toEqual({ day: 1, month: 1, year: y, leap: false });
  });
  it('knows leap months and the days around them', () => {
    expect(lunarFromSolar(22, 3, 2023)).toEqual({ day: 1, month: 2, year: 2023, leap: true });
    expect(lunarFromSolar(25, 7, 2025)).toEqual({ day: 1, month: 6, year: 2025, leap: true });
    expect(lunarFromSolar(29, 9, 2023)).toEqual({ day: 15, month: 8, year: 2023, leap: false }); // Trung Thu
  });
  it('speaks as people do', () => {
    expect(formatLunar(Date.UTC(2026, 2, 20, 7), 'vi')).toBe('mùng 2 tháng Hai âm lịch');
    expect(formatLunar(Date.UTC(2025, 6, 25, 7), 'vi')).toBe('mùng 1 tháng Sáu nhuận âm lịch');
    expect(formatLunar(Date.UTC(2026, 2, 20, 7), 'en')).toBe('lunar 2/2');
  });
});

describe('search', () => {
  it('folds accents, case and đ', () => {
    expect(fold('Cửa Đại')).toBe('cua dai');
    expect(matches('Trạm mặn Hàm Luông km 34', 'ham luong 34')).toBe(true);
    expect(matches('Cống Xuân Hòa', 'XUÂN HOÀ')).toBe(true);
    expect(matches('Mỹ Tho', 'bến tre')).toBe(false);
    expect(matches('Mỹ Tho', '')).toBe(true);
  });
});
