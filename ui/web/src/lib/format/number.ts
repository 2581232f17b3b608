// Numbers as readers of each language write them (LOOK, "Numbers and dates").

export type Locale = 'vi' | 'en';

/** Narrow no-break space: a thin space that never parts a value from its unit. */
export const THIN = '\u202f';
export const MINUS = '\u2212';
/** What stands where there is no value. Never 0. */
export const NONE = '–';

/** v with a fixed number of decimals, grouped by thousands. */
export function formatNumber(v: number, locale: Locale, decimals = 0): string {
  if (!Number.isFinite(v)) return NONE;
  const fixed = Math.abs(v).toFixed(decimals);
  const [whole = '0', fraction] = fixed.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, locale === 'vi' ? '.' : ',');
  const text = fraction ? grouped + (locale === 'vi' ? ',' : '.') + fraction : grouped;
  // −0,0 would be a sign without a value.
  return v < 0 && Number(fixed) !== 0 ? MINUS + text : text;
}

/** Salinity in g/l: two significant figures, at most two decimals. */
export function formatSalinity(v: number, locale: Locale): string {
  if (!Number.isFinite(v)) return NONE;
  const rounded = Number(v.toPrecision(2));
  const magnitude = rounded === 0 ? 0 : Math.floor(Math.log10(Math.abs(rounded)));
  return formatNumber(rounded, locale, Math.min(2, Math.max(0, 1 - magnitude)));
}

/** A measured value without its unit. */
export function formatValue(v: number | undefined, metric: string, decimals: number, locale: Locale): string {
  if (v === undefined) return NONE;
  return metric === 'salinity' ? formatSalinity(v, locale) : formatNumber(v, locale, decimals);
}

/** The unit as it is printed: m3/s is m³/s, deg is °. */
export function formatUnit(unit: string | undefined): string {
  if (!unit) return '';
  return unit === 'deg' ? '°' : unit.replace('m3', 'm³').replace('m2', 'm²');
}

/** 96,4 % in Vietnamese, 96.4% in English. */
export function formatPercent(v: number, locale: Locale, decimals = 1): string {
  return formatNumber(v, locale, decimals) + (locale === 'vi' ? THIN + '%' : '%');
}

/** Reads a number as either language writes it; undefined when it is none. */
export function parseNumber(text: string): number | undefined {
  const t = text.trim().replace(/^[\u2212-]/, '-').replace(/[\s\u202f\u2009]/g, '');
  if (!/^-?\d+(?:[.,]\d+)?$/.test(t)) return undefined;
  return Number(t.replace(',', '.'));
}
