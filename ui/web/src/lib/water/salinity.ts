// What live stations say of the water between them. Along a river the logarithm
// of salinity is taken as linear in chainage between two fresh stations; up to
// EDGE_KM beyond an outermost one its own value holds; further nobody can tell.

export const EDGE_KM = 3;
/** Salinity in g/l under which interpolation does not look: log of 0 has no value. */
const FLOOR = 0.01;

export type WaterClass = 'fresh' | 'mid' | 'salt' | 'unknown';
export interface Gauge {
  km: number;
  value: number; // g/l
}

export function classOf(value: number | undefined): WaterClass {
  if (value === undefined || !Number.isFinite(value)) return 'unknown';
  return value < 1 ? 'fresh' : value <= 4 ? 'mid' : 'salt';
}

/** Gauges in rising chainage; several at one place count as their geometric mean. */
export function arrange(gauges: Gauge[]): Gauge[] {
  const sorted = gauges.filter((g) => Number.isFinite(g.km) && Number.isFinite(g.value)).sort((a, b) => a.km - b.km);
  const out: { km: number; value: number; n: number }[] = [];
  for (const g of sorted) {
    const v = Math.max(FLOOR, g.value);
    const last = out.at(-1);
    if (last && last.km === g.km) {
      last.value = Math.exp((Math.log(last.value) * last.n + Math.log(v)) / (last.n + 1));
      last.n++;
    } else out.push({ km: g.km, value: v, n: 1 });
  }
  return out;
}

/** Salinity at a chainage, or undefined where no station can tell. Wants arranged gauges. */
export function salinityAt(gauges: Gauge[], km: number): number | undefined {
  const first = gauges[0];
  const last = gauges.at(-1);
  if (!first || !last || km < first.km - EDGE_KM || km > last.km + EDGE_KM) return undefined;
  if (km <= first.km) return first.value;
  if (km >= last.km) return last.value;
  for (let i = 1; i < gauges.length; i++) {
    const a = gauges[i - 1]!;
    const b = gauges[i]!;
    if (km <= b.km) {
      const f = (km - a.km) / (b.km - a.km);
      return Math.exp(Math.log(a.value) * (1 - f) + Math.log(b.value) * f);
    }
  }
  return undefined;
}

export interface Stretch {
  from: number; // km
  to: number;
  class: WaterClass;
}

/** Where along [0, length] the water is of which class, in rising chainage. */
export function stretches(gauges: Gauge[], lengthKm: number): Stretch[] {
  const first = gauges[0];
  const last = gauges.at(-1);
  const cuts = new Set([0, lengthKm]);
  const add = (km: number) => km > 0 && km < lengthKm && cuts.add(km);
  if (first && last) {
    add(first.km - EDGE_KM);
    add(last.km + EDGE_KM);
    for (const limit of [1, 4]) for (const km of crossings(gauges, limit)) add(km);
  }
  const at = [...cuts].sort((a, b) => a - b);
  const out: Stretch[] = [];
  for (let i = 1; i < at.length; i++) {
    const from = at[i - 1]!;
    const to = at[i]!;
    const c = classOf(salinityAt(gauges, (from + to) / 2));
    const prev = out.at(-1);
    if (prev?.class === c) prev.to = to;
    else out.push({ from, to, class: c });
  }
  return out;
}

/** The chainages at which salinity passes a limit, rising. */
export function crossings(gauges: Gauge[], limit: number): number[] {
  const out: number[] = [];
  for (let i = 1; i < gauges.length; i++) {
    const a = gauges[i - 1]!;
    const b = gauges[i]!;
    if (a.value > limit === b.value > limit) continue;
    const f = (Math.log(limit) - Math.log(a.value)) / (Math.log(b.value) - Math.log(a.value));
    out.push(a.km + f * (b.km - a.km));
  }
  return out;
}

/** How far from the mouth a limit reaches: the farthest crossing upstream. */
export function reachOf(gauges: Gauge[], limit: number): number | undefined {
  return crossings(gauges, limit).at(-1);
}
