// From live stations to the tone of every kilometre of river.

import type { StationView } from '../province/province.svelte';
import { arrange, classOf, salinityAt, type Gauge, type WaterClass } from './salinity';

/** What live stations say, by river. A stale, doubtful, silent or maintained one says nothing. */
export function gaugesOf(views: readonly StationView[]): Map<string, Gauge[]> {
  const by = new Map<string, Gauge[]>();
  for (const v of views) {
    if (v.metric !== 'salinity' || !v.reading || !v.device.chainage) continue;
    if (v.look !== 'normal' && v.look !== 'near') continue;
    const { river, km } = v.device.chainage;
    by.set(river, [...(by.get(river) ?? []), { km, value: v.reading.v }]);
  }
  for (const [river, gauges] of by) by.set(river, arrange(gauges));
  return by;
}

export function classAt(gauges: ReadonlyMap<string, Gauge[]>, river: string, km: number): WaterClass {
  const g = gauges.get(river);
  return classOf(g && salinityAt(g, km));
}
