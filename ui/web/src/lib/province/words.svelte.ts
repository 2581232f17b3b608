// Sentences about values, in the reader's language. Read inside components only.

import type { Alarm, Device, JournalEvent, Metric, Rule } from '../api/types';
import { fold } from '../format/fold';
import { formatNumber, formatUnit, formatValue, THIN } from '../format/number';
import { prefs, t } from '../i18n/locale.svelte';
import type { Province, StationView } from './province.svelte';

export const lang = () => prefs.locale;

export function metricTitle(p: Province, metric: string | undefined): string {
  const m = metric ? p.metrics.get(metric) : undefined;
  if (!m) return metric ?? '';
  return lang() === 'vi' ? m.title_vi : m.title_en;
}
export function metricUnit(p: Province, metric: string | undefined): string {
  return formatUnit(metric ? p.metrics.get(metric)?.unit : undefined);
}
export function valueText(p: Province, metric: string | undefined, v: number | undefined): string {
  return formatValue(v, metric ?? '', (metric ? p.metrics.get(metric)?.decimals : undefined) ?? (metric === 'disk_free' ? 0 : 1), lang());
}
export function valueWithUnit(p: Province, metric: string | undefined, v: number | undefined): string {
  const unit = metricUnit(p, metric);
  return valueText(p, metric, v) + (unit && v !== undefined ? THIN + unit : '');
}
/** A threshold as it was set, not rounded. */
export function limitText(v: number): string {
  const decimals = Math.min(3, Math.max(1, (String(v).split('.')[1] ?? '').length));
  return formatNumber(v, lang(), Number.isInteger(v) && Math.abs(v) >= 10 ? 0 : decimals);
}
export function riverPlace(p: Province, d: Device | undefined): string {
  if (!d?.chainage) return '';
  const river = p.rivers.get(d.chainage.river)?.name ?? d.chainage.river;
  return t('riverKm', { river, km: formatNumber(d.chainage.km, lang(), 1) });
}
/** Alarms about the server itself: of no device, by no rule that anybody made. */
const OWN = { 'ioc.disk-low': 'ownDiskLow', 'ioc.disk-full': 'ownDiskFull', 'ioc.log-failed': 'ownLogFailed' } as const;
const ownWord = (a: Alarm) => (OWN as Record<string, (typeof OWN)[keyof typeof OWN] | undefined>)[a.rule];
export const isOwn = (a: Alarm): boolean => ownWord(a) !== undefined;
/** What the journal says beside an event. The server's own words on itself are in its language; here they are in the reader's. */
export function journalText(e: JournalEvent): string {
  const own = e.type === 'raised' && e.actor === 'system' ? ownWord(e.alarm) : undefined;
  return own ? t(`${own}Why`) : (e.comment ?? '');
}
/** Whether an alarm has a value against a threshold. */
export const isMeasured = (a: Alarm): boolean => a.rule !== 'ioc.log-failed';

export function alarmTitle(p: Province, a: Alarm): string {
  const own = ownWord(a);
  if (own) return t(own);
  return a.title || ruleOf(p, a)?.title || metricTitle(p, a.metric) || a.rule;
}
export function ruleOf(p: Province, a: Alarm): Rule | undefined {
  return p.rules.find((r) => r.id === a.rule);
}
export function alarmMetric(p: Province, a: Alarm): string | undefined {
  return a.metric ?? ruleOf(p, a)?.metric;
}
export function alarmUnit(p: Province, a: Alarm): string {
  return metricUnit(p, alarmMetric(p, a)) || formatUnit(a.unit);
}
export function subjectName(p: Province, a: Alarm): string {
  if (isOwn(a)) return t('ownServer');
  return p.devices.get(a.subject)?.name ?? a.subject;
}
/** The value now if we have it, else the one of the alarm. */
export function liveValue(p: Province, a: Alarm): number {
  const metric = alarmMetric(p, a);
  return (metric ? p.readings(a.subject).get(metric)?.v : undefined) ?? a.value;
}
export const metricsSorted = (p: Province): Metric[] => [...p.metrics.values()].sort((a, b) => a.name.localeCompare(b.name));

const LOOK_WORD = { normal: 'stNormal', near: 'stNear', stale: 'stStale', bad: 'stBad', offline: 'stOffline', maintenance: 'stMaintenance' } as const;
/** A station's state in words; an alarm on another metric than the one shown is named, lest the value shown be taken for it. */
export function stationWord(p: Province, v: StationView): string {
  const a = v.alarms[0];
  if (!a) return t(LOOK_WORD[v.look]);
  const metric = alarmMetric(p, a);
  const word = `${t('stAlarm')}: ${t(a.priority)}`;
  return metric && metric !== v.metric ? `${word} (${metricTitle(p, metric)})` : word;
}
/** The catalogue's name of a metric a person wrote by name or by title, with or without accents; else what was written. */
export function metricNamed(p: Province, written: string): string {
  const text = written.trim();
  if (p.metrics.has(text)) return text;
  const said = fold(text);
  return [...p.metrics.values()].find((m) => [m.title_vi, m.title_en, m.name].some((x) => fold(x) === said))?.name ?? text;
}
