import type { Feature, MultiPolygon, Polygon, Position } from 'geojson';

export type ZoneFeature = Feature<Polygon | MultiPolygon, { id?: string; name?: string; kind?: string }>;

function inRing(ring: Position[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi = 0, yi = 0] = ring[i]!;
    const [xj = 0, yj = 0] = ring[j]!;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Whether a zone holds a point; holes are outside. */
export function holds(zone: ZoneFeature, lon: number, lat: number): boolean {
  const polygons = zone.geometry.type === 'Polygon' ? [zone.geometry.coordinates] : zone.geometry.coordinates;
  return polygons.some(([outer, ...holes]) => outer !== undefined && inRing(outer, lon, lat) && !holes.some((h) => inRing(h, lon, lat)));
}

export const zoneId = (z: ZoneFeature): string => String(z.id ?? z.properties?.id ?? '');
export const zoneName = (z: ZoneFeature): string => z.properties?.name ?? zoneId(z);
