// Times on screen are always Asia/Ho_Chi_Minh, which has kept UTC+7 without
// summer time since 1975, so plain arithmetic is exact.

import { lunarFromSolar } from './lunar';
import { THIN, type Locale } from './number';

const ZONE_MS = 7 * 3600_000;
const MONTHS_EN = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS_VI = ['Chủ nhật', 'Thứ Hai', 'Thứ Ba', 'Thứ Tư', 'Thứ Năm', 'Thứ Sáu', 'Thứ Bảy'];
const DAYS_EN = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const LUNAR_MONTHS = ['Giêng', 'Hai', 'Ba', 'Tư', 'Năm', 'Sáu', 'Bảy', 'Tám', 'Chín', 'Mười', 'Mười Một', 'Chạp'];

export interface LocalTime {
  year: number;
  month: number; // 1-12
  day: number;
  weekday: number; // 0 = Sunday
  hour: number;
  minute: number;
  second: number;
}

/** The wall clock in Viet Nam at a Unix time in milliseconds. */
export function localTime(ms: number): LocalTime {
  const d = new Date(ms + ZONE_MS);
  return {
    year: d.getUTCFullYear(),
    month: d.getUTCMonth() + 1,
    day: d.getUTCDate(),
    weekday: d.getUTCDay(),
    hour: d.getUTCHours(),
    minute: d.getUTCMinutes(),
    second: d.getUTCSeconds(),
  };
}

const two = (n: number): string => String(n).padStart(2, '0');

/** 14:32:08 */
export function formatClock(ms: number): string {
  const t = localTime(ms);
  return `${two(t.hour)}:${two(t.minute)}:${two(t.second)}`;
}

/** 14:32 */
export function formatHour(ms: number): string {
  const t = localTime(ms);
  return `${two(t.hour)}:${two(t.minute)}`;
}

/** 20/03/2026 or 20 Mar 2026 */
export function formatDate(ms: number, locale: Locale): string {
  const t = localTime(ms);
  return locale === 'vi' ? `${two(t.day)}/${two(t.month)}/${t.year}` : `${t.day} ${MONTHS_EN[t.month - 1]} ${t.year}`;
}

/** 20/03 or 20 Mar */
export function formatDay(ms: number, locale: Locale): string {
  const t = localTime(ms);
  return locale === 'vi' ? `${two(t.day)}/${two(t.month)}` : `${t.day} ${MONTHS_EN[t.month - 1]}`;
}

/** Thứ Sáu 20/03/2026 */
export function formatWeekday(ms: number, locale: Locale): string {
  const t = localTime(ms);
  return `${(locale === 'vi' ? DAYS_VI : DAYS_EN)[t.weekday]} ${formatDate(ms, locale)}`;
}

/** 14:32 today, 20/03 14:32 on another day. */
export function formatMoment(ms: number, now: number, locale: Locale): string {
  const a = localTime(ms);
  const b = localTime(now);
  const hour = formatHour(ms);
  return a.day === b.day && a.month === b.month && a.year === b.year ? hour : `${formatDay(ms, locale)} ${hour}`;
}

/** mùng 2 tháng Hai âm lịch; lunar 2/2. */
export function formatLunar(ms: number, locale: Locale): string {
  const t = localTime(ms);
  const l = lunarFromSolar(t.day, t.month, t.year);
  if (locale === 'en') return `lunar ${l.day}/${l.month}${l.leap ? ' (leap)' : ''}`;
  const day = l.day <= 10 ? `mùng ${l.day}` : String(l.day);
  return `${day} tháng ${LUNAR_MONTHS[l.month - 1]}${l.leap ? ' nhuận' : ''} âm lịch`;
}

/** How long ago: 37 s, 12 ph, 3h05, 4 ngày; 37 s, 12 min, 3 h 05, 4 d. */
export function formatAge(ms: number, locale: Locale): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}${THIN}s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m}${THIN}${locale === 'vi' ? 'ph' : 'min'}`;
  const h = Math.floor(m / 60);
  if (h < 24) return locale === 'vi' ? `${h}h${two(m % 60)}` : `${h}${THIN}h${THIN}${two(m % 60)}`;
  return `${Math.floor(h / 24)}${THIN}${locale === 'vi' ? 'ngày' : 'd'}`;
}

/** A duration in whole words: 47 phút, 1 phút 12 giây; 47 min, 1 min 12 s. */
export function formatSpan(ms: number, locale: Locale): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [sec, min, hour, day] = locale === 'vi' ? ['giây', 'phút', 'giờ', 'ngày'] : ['s', 'min', 'h', 'd'];
  if (s < 60) return `${s} ${sec}`;
  if (s < 600) return s % 60 ? `${Math.floor(s / 60)} ${min} ${s % 60} ${sec}` : `${s / 60} ${min}`;
  if (s < 3600) return `${Math.floor(s / 60)} ${min}`;
  if (s < 86400) return `${Math.floor(s / 3600)} ${hour} ${Math.floor((s % 3600) / 60)} ${min}`;
  return `${Math.floor(s / 86400)} ${day}`;
}
