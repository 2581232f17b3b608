// What is shown of a device follows from here: its main metric, how old is too
// old, whether a rule's threshold is near. Pure functions; time is an argument.

import type { Alarm, Device, ExpectedMetric, Limit, Priority, Rule } from '../api/types';
import { PRIORITIES } from '../api/types';

/** A value is stale after this many of its intervals. */
export const STALE_INTERVALS = 3;
/** A silent device whose last value is older than this many intervals is called offline. */
export const OFFLINE_INTERVALS = 12;
export const DEFAULT_INTERVAL_S = 900;
/** "Near" is between the off- and the on-threshold, or this share of the threshold where they are one. */
const NEAR = 0.05;

export interface Reading {
  t: number; // phenomenon time, Unix ms
  v: number;
  q: number;
}
export type LookState = 'normal' | 'near' | 'stale' | 'bad' | 'offline' | 'maintenance';

const MAIN_ORDER = ['salinity', 'ec25', 'ec', 'level', 'discharge', 'pm2_5', 'pm10', 'ph', 'do', 'rain', 'air_temperature', 'ap_clients', 'battery'];

/** The metric that stands for a device: of what it promised, else of what it sent. */
export function mainMetric(device: Device, known: Iterable<string>): string | undefined {
  const promised = (device.metrics ?? []).map((m) => m.metric);
  const sent = [...known];
  for (const from of [promised, sent]) for (const m of MAIN_ORDER) if (from.includes(m)) return m;
  return promised[0] ?? sent.sort()[0];
}

export function intervalMs(metric: string | undefined, metrics: ExpectedMetric[] | undefined): number {
  const own = metrics?.find((m) => m.metric === metric)?.every_s;
  const shortest = metrics?.reduce<number | undefined>((a, m) => (m.every_s && (!a || m.every_s < a) ? m.every_s : a), undefined);
  return (own || shortest || DEFAULT_INTERVAL_S) * 1000;
}

export function isStale(t: number, now: number, interval: number): boolean {
  return now - t > STALE_INTERVALS * interval;
}

/** QARTOD 3, 4 and 9 are not to be taken at their word. */
export const isBad = (q: number): boolean => q === 3 || q === 4 || q === 9;

/** Whether a value lies near a rule's on-threshold or past it. */
export function nearLimit(v: number, rule: { on: Limit; off: Limit }): boolean {
  const on = rule.on.above ?? rule.on.below;
  if (on === undefined) return false;
  const off = rule.off?.below ?? rule.off?.above ?? on;
  const margin = Math.abs(on - off) || Math.abs(on) * NEAR;
  return rule.on.above !== undefined ? v >= on - margin : v <= on + margin;
}

/** Whether a rule judges a device. `zones` are those that hold it. */
export function inScope(rule: Rule, device: Device, zones: readonly string[]): boolean {
  const { devices, kinds, zones: wanted, tags } = rule.scope ?? {};
  if (devices?.length && !devices.includes(device.id)) return false;
  if (kinds?.length && !kinds.includes(device.kind)) return false;
  if (wanted?.length && !wanted.some((z) => zones.includes(z))) return false;
  if (tags?.length && !tags.some((x) => device.tags?.includes(x))) return false;
  return true;
}

export function lookState(
  device: Device,
  reading: Reading | undefined,
  interval: number,
  rules: readonly Rule[],
  now: number,
): LookState {
  if (device.maintenance || device.state === 'maintenance') return 'maintenance';
  if (!reading) return 'offline';
  const silent = device.state === 'silent' || device.state === 'never';
  if (silent && now - reading.t > OFFLINE_INTERVALS * interval) return 'offline';
  if (isStale(reading.t, now, interval)) return 'stale';
  if (isBad(reading.q)) return 'bad';
  return rules.some((r) => nearLimit(reading.v, r)) ? 'near' : 'normal';
}

const rank = (p: Priority): number => PRIORITIES.indexOf(p);
/** A ring: somebody must acknowledge. */
export const wantsAck = (a: Alarm): boolean => a.state === 'active' || a.state === 'returned';

/** By priority, then those to acknowledge first, then newest. */
export function compareAlarms(a: Alarm, b: Alarm): number {
  return rank(a.priority) - rank(b.priority) || Number(wantsAck(b)) - Number(wantsAck(a)) || b.raised.localeCompare(a.raised) || a.id.localeCompare(b.id);
}
