// From the API's points to what is drawn.

import type { SeriesPoint } from '../api/types';
import { isBad } from '../province/judge';

export type Span = '24h' | '7d' | '14d';
export interface Gap {
  from: number; // Unix ms
  to: number;
}
export interface Prepared {
  /** Unix seconds, rising; null in y where the line is broken. */
  x: number[];
  y: (number | null)[];
  gaps: Gap[];
  min: number;
  max: number;
  last: number;
  count: number;
}

/** A silence longer than this is a gap: three intervals, and more than two windows. */
export const gapLimit = (intervalMs: number, stepMs: number): number => Math.max(3 * intervalMs, 2 * stepMs + 1);

/** Stretches without good data: longer than a silence may be, and than the series is used to just there. */
export function gapsOf(points: readonly SeriesPoint[], intervalMs: number, stepMs: number): Gap[] {
  const limit = gapLimit(intervalMs, stepMs);
  const good = points.filter((p) => !isBad(p[2]));
  const gaps: Gap[] = [];
  const steps = good.slice(1).map((p, i) => p[0] - good[i]![0]);
  for (let i = 1; i < good.length; i++) {
    const a = good[i - 1]![0];
    const b = good[i]![0];
    // History may be kept at a coarser rhythm than today's windows.
    const around = [...steps.slice(Math.max(0, i - 4), i - 1), ...steps.slice(i, i + 3)].sort((x, y) => x - y);
    const rhythm = around[Math.floor(around.length / 2)] ?? 0;
    if (b - a > Math.max(limit, 2.5 * rhythm)) gaps.push({ from: a + stepMs, to: b });
  }
  return gaps;
}

/** Values at the middle of their windows, with a break at every gap. Doubtful values are not part of the line. */
export function prepare(points: readonly SeriesPoint[], stepMs: number, gaps: readonly Gap[]): Prepared {
  const good = points.filter((p) => !isBad(p[2]) && Number.isFinite(p[1]));
  const x: number[] = [];
  const y: (number | null)[] = [];
  let g = 0;
  for (const [t, v] of good) {
    while (g < gaps.length && gaps[g]!.to <= t) {
      x.push((gaps[g]!.from + gaps[g]!.to) / 2000);
      y.push(null);
      g++;
    }
    x.push((t + stepMs / 2) / 1000);
    y.push(v);
  }
  const values = good.map((p) => p[1]);
  return {
    x,
    y,
    gaps: [...gaps],
    min: values.length ? Math.min(...values) : NaN,
    max: values.length ? Math.max(...values) : NaN,
    last: values.at(-1) ?? NaN,
    count: good.length,
  };
}
