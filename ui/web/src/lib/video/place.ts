// Which cameras stand for which alarm on the wall. The opened alarm asks the
// server; a wall of many alarms reckons by the list it has.

import type { Alarm, Camera, Position, Priority } from '../api/types';
import { formatNumber, THIN, type Locale } from '../format/number';

const EARTH_M = 6_371_008.8;
const rad = (deg: number): number => (deg * Math.PI) / 180;

/** Great-circle distance in metres. */
export function distanceM(a: Position, b: Position): number {
  const h = Math.sin(rad(b.lat - a.lat) / 2) ** 2 + Math.cos(rad(a.lat)) * Math.cos(rad(b.lat)) * Math.sin(rad(b.lon - a.lon) / 2) ** 2;
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** 40 m, 320 m, 1,2 km */
export const formatDistance = (m: number, locale: Locale): string => (m < 995 ? formatNumber(Math.round(m / 10) * 10, locale) + THIN + 'm' : formatNumber(m / 1000, locale, m < 9950 ? 1 : 0) + THIN + 'km');

/** Initial bearing from a to b, degrees clockwise from north. */
export function bearing(a: Position, b: Position): number {
  const d = rad(b.lon - a.lon);
  const y = Math.sin(d) * Math.cos(rad(b.lat));
  const x = Math.cos(rad(a.lat)) * Math.sin(rad(b.lat)) - Math.sin(rad(a.lat)) * Math.cos(rad(b.lat)) * Math.cos(d);
  return ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
}

/** A camera farther from an alarm than this tells the wall nothing of it. */
export const REACH_M: Record<Priority, number> = { urgent: 5000, high: 5000, medium: 1000, low: 1000 };
/** Farther than this a place is too small in the picture to be made out: `sightM` of the server's near (video/near.go). */
export const SEES_M = 1500;

export function sees(c: Camera, place: Position): boolean {
  const d = distanceM(c.position, place);
  if (d > SEES_M || c.view_deg === undefined) return false;
  if (c.view_deg >= 360) return true;
  if (c.bearing === undefined) return false;
  if (d === 0) return true; // it stands there; there is no direction to ask about
  const off = Math.abs(((bearing(c.position, place) - c.bearing + 540) % 360) - 180);
  return off <= c.view_deg / 2;
}

export interface Watching {
  camera: Camera;
  /** The worst alarm this camera stands for. */
  alarm?: Alarm;
  /** From the camera to that alarm, metres. */
  distance?: number;
  /** The first camera of its alarm: it wears the frame. */
  framed?: boolean;
  sees?: boolean;
}

const byGroup = new Intl.Collator('vi', { numeric: true });
/** The order of the mosaic: cameras of open alarms first, as their alarms are ordered, then by group and name. */
export function mosaicOrder(cameras: Iterable<Camera>, alarms: readonly Alarm[], placeOf: (a: Alarm) => Position | undefined): Watching[] {
  const rest = new Map([...cameras].sort((a, b) => byGroup.compare(a.group ?? '', b.group ?? '') || byGroup.compare(a.name, b.name) || a.id.localeCompare(b.id)).map((c) => [c.id, c]));
  const out: Watching[] = [];
  for (const alarm of alarms) {
    const place = placeOf(alarm);
    if (!place) continue;
    const near = [...rest.values()]
      .map((camera) => ({ camera, alarm, distance: distanceM(camera.position, place), sees: sees(camera, place) }))
      .filter((n) => n.distance <= REACH_M[alarm.priority])
      .sort((a, b) => Number(b.sees) - Number(a.sees) || a.distance - b.distance)
      .slice(0, 2);
    near.forEach(({ camera, distance, sees }, i) => {
      rest.delete(camera.id);
      out.push({ camera, alarm, distance, framed: i === 0, sees });
    });
  }
  for (const camera of rest.values()) out.push({ camera });
  return out;
}
