// Cameras on the map: boxes that would overlap become one with a count, and the
// cone of a lone one shows where it looks.

import type { Camera } from '../api/types';

/** From here on every camera shows its cone (LOOK "Map"). */
export const CONES_FROM_ZOOM = 11;
/** From here on every camera shows its name. */
export const NAMES_FROM_ZOOM = 13;

export const BOX_W = 26;
/** A finger's target; the mark in it is 20 high. */
export const BOX_H = 24;
const GAP = 4;
/** Width of a box that stands for n cameras, `lost` of them without a picture. */
export const boxWidth = (n: number, lost: number): number => (n === 1 ? BOX_W : BOX_W + 10 + 8 * String(n).length + (lost ? 10 + 8 * String(lost).length : 0));

export interface CameraBox {
  /** That of its first camera: it lives as long as the box keeps its head. */
  id: string;
  lon: number;
  lat: number;
  cameras: Camera[];
  /** How many of them have lost their picture. */
  lost: number;
}

const WORLD = 512;
/** Web Mercator, pixels at a zoom. */
function pixels(lon: number, lat: number, zoom: number): { x: number; y: number } {
  const size = WORLD * 2 ** zoom;
  const r = (lat * Math.PI) / 180;
  return { x: ((lon + 180) / 360) * size, y: (0.5 - Math.log(Math.tan(Math.PI / 4 + r / 2)) / (2 * Math.PI)) * size };
}

interface Group {
  x: number;
  y: number;
  w: number;
  cameras: Camera[];
  lost: number;
}
const isLost = (c: Camera): boolean => c.status.state === 'retrying';

/**
 * Boxes for cameras at a zoom, in the order of the cameras; the same wherever the
 * map stands. `alone` are never merged: they are looked at.
 */
export function cameraBoxes(cameras: Iterable<Camera>, zoom: number, alone: (id: string) => boolean): CameraBox[] {
  const lone: Group[] = [];
  let groups: Group[] = [];
  for (const c of cameras) {
    let g: Group = { ...pixels(c.position.lon, c.position.lat, zoom), w: boxWidth(1, 0), cameras: [c], lost: Number(isLost(c)) };
    if (alone(c.id)) {
      lone.push(g);
      continue;
    }
    // A box that grew may touch another: again, until it stands free.
    for (;;) {
      const hit = groups.find((o) => Math.abs(o.x - g.x) < (o.w + g.w) / 2 + GAP && Math.abs(o.y - g.y) < BOX_H + GAP);
      if (!hit) break;
      groups = groups.filter((o) => o !== hit);
      const n = hit.cameras.length;
      const m = g.cameras.length;
      const all = [...hit.cameras, ...g.cameras];
      const lost = hit.lost + g.lost;
      g = { x: (hit.x * n + g.x * m) / (n + m), y: (hit.y * n + g.y * m) / (n + m), w: boxWidth(n + m, lost), cameras: all, lost };
    }
    groups.push(g);
  }
  return [...groups, ...lone].map(({ cameras: of, lost }) => ({
    id: of[0]!.id,
    lon: of.reduce((s, c) => s + c.position.lon, 0) / of.length,
    lat: of.reduce((s, c) => s + c.position.lat, 0) / of.length,
    cameras: of,
    lost,
  }));
}

/** Whether zooming in as far as the map goes would part them. */
export function wouldPart(cameras: readonly Camera[], maxZoom: number): boolean {
  return cameraBoxes(cameras, maxZoom, () => false).length > 1;
}

/** Length of a cone in pixels: a sign when far, a stretch of street when near. */
export const coneLength = (zoom: number): number => Math.min(96, Math.max(24, 26 * 1.36 ** (zoom - CONES_FROM_ZOOM)));

/**
 * The cone as an SVG path around (0, 0), north up: a sector where bearing and angle
 * are known, a ray where the angle is not, a disc for one that looks all round, ''
 * where nothing is known.
 */
export function conePath(bearing: number | undefined, viewDeg: number | undefined, r: number): string {
  if (viewDeg !== undefined && viewDeg >= 360) return `M0 ${-r}A${r} ${r} 0 1 1 0 ${r}A${r} ${r} 0 1 1 0 ${-r}Z`;
  if (bearing === undefined) return '';
  const at = (deg: number) => {
    const a = (deg * Math.PI) / 180;
    return `${(r * Math.sin(a)).toFixed(1)} ${(-r * Math.cos(a)).toFixed(1)}`;
  };
  if (viewDeg === undefined || viewDeg <= 0) return `M0 0L${at(bearing)}`;
  return `M0 0L${at(bearing - viewDeg / 2)}A${r.toFixed(1)} ${r.toFixed(1)} 0 ${viewDeg > 180 ? 1 : 0} 1 ${at(bearing + viewDeg / 2)}Z`;
}
