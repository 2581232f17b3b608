// uPlot, dressed as LOOK says: solid 1.8 px, on-threshold solid in the priority's
// colour, off-threshold dashed grey, gaps hatched, no second axis.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Priority } from '../api/types';
import type { Locale } from '../format/number';
import { formatDay, formatHour, localTime } from '../format/time';
import { t } from '../i18n/locale.svelte';
import type { Prepared } from './series';

export interface PlotOptions {
  spanMs: number;
  /** A silence longer than this breaks the line. */
  gapMs: number;
  lines: { value: number; kind: 'on' | 'off'; priority: Priority }[];
  height: number;
  locale: Locale;
  fromZero: boolean;
  format(v: number): string;
  /** A threshold as it was set, not rounded. */
  limit(v: number): string;
}

export function plot(el: HTMLElement, d: Prepared, o: PlotOptions): { destroy(): void; setLatest(r: { t: number; v: number } | undefined): void } {
  const css = getComputedStyle(el);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const t1 = colour('--t1');
  const t3 = colour('--t3');
  const ground = colour('--g1');
  const line = colour('--line');
  const hatch = colour('--g4');
  const font = "12px 'Cuu Long Digits', 'Be Vietnam Pro', sans-serif";
  const ratio = devicePixelRatio || 1;
  const tone = (p: Priority) => colour({ urgent: '--p1t', high: '--p2t', medium: '--p3t', low: '--p4t' }[p]);

  let latest: { t: number; v: number } | undefined;
  const levels = o.lines.map((l) => l.value);
  const top = () => Math.max(d.max, latest?.v ?? -Infinity, ...levels.filter((v) => v <= Math.max(d.max * 4, 1e-9)));
  const bottom = () => (o.fromZero ? Math.min(0, d.min) : Math.min(d.min, latest?.v ?? Infinity, ...levels.filter((v) => v >= d.min - Math.max(4 * (d.max - d.min), Math.abs(d.min) * 0.1))));

  function drawGaps(u: uPlot): void {
    const c = u.ctx;
    const { left, top: y0, width, height } = u.bbox;
    c.save();
    c.beginPath();
    c.rect(left, y0, width, height);
    c.clip();
    for (const g of d.gaps) {
      const a = u.valToPos(g.from / 1000, 'x', true);
      const b = u.valToPos(g.to / 1000, 'x', true);
      c.save();
      c.beginPath();
      c.rect(a, y0, b - a, height);
      c.clip();
      c.strokeStyle = hatch;
      c.lineWidth = ratio;
      c.beginPath();
      for (let x = a - height; x < b; x += 7 * ratio) {
        c.moveTo(x, y0 + height);
        c.lineTo(x + height, y0);
      }
      c.stroke();
      c.restore();
    }
    c.restore();
  }

  function drawLines(u: uPlot): void {
    const c = u.ctx;
    const { left, top: y0, width, height } = u.bbox;
    c.save();
    c.font = font.replace('12px', `${12 * ratio}px`);
    c.textAlign = 'left';
    const highest = Math.max(...o.lines.map((l) => l.value));
    for (const l of o.lines) {
      // Each word stands on the side away from the other line.
      const above = l.value === highest && (l.kind === 'on' || o.lines.every((x) => x === l || x.value < highest));
      const y = u.valToPos(l.value, 'y', true);
      if (y < y0 || y > y0 + height) continue;
      const ink = l.kind === 'on' ? tone(l.priority) : t3;
      c.strokeStyle = ink;
      c.fillStyle = ink;
      c.lineWidth = 1.5 * ratio;
      c.setLineDash(l.kind === 'on' ? [] : [5 * ratio, 4 * ratio]);
      c.beginPath();
      c.moveTo(left, y);
      c.lineTo(left + width, y);
      c.stroke();
      c.setLineDash([]);
      const text = t(l.kind === 'on' ? 'onLine' : 'offLine', { v: o.limit(l.value) });
      c.textBaseline = above ? 'bottom' : 'top';
      // With an edge of the ground: readable before a measured line, which is not broken by it.
      c.strokeStyle = ground;
      c.lineWidth = 3 * ratio;
      c.lineJoin = 'round';
      c.strokeText(text, left + 6 * ratio, y + (above ? -2 : 3) * ratio);
      c.fillText(text, left + 6 * ratio, y + (above ? -2 : 3) * ratio);
    }
    if (latest) {
      const x = u.valToPos(latest.t / 1000, 'x', true);
      const y = u.valToPos(latest.v, 'y', true);
      if (x >= left && x <= left + width + 2 && y >= y0 - 4 && y <= y0 + height) {
        c.fillStyle = t1;
        c.beginPath();
        c.arc(x, y, 3.5 * ratio, 0, 7);
        c.fill();
      }
    }
    c.restore();
  }

  const day = (s: number) => {
    const at = localTime(s * 1000);
    return at.hour === 0 && at.minute === 0;
  };
  const u = new uPlot(
    {
      width: Math.max(120, el.clientWidth),
      height: o.height,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => [(Date.now() - o.spanMs) / 1000, Date.now() / 1000] },
        y: { range: () => { const b = bottom(); const s = Math.max(top() - b, 1e-6); return [o.fromZero ? b : b - s * 0.08, b + s * 1.12]; } },
      },
      axes: [
        {
          stroke: t3,
          font,
          grid: { stroke: line, width: 1 },
          ticks: { show: false },
          splits: () => ticks(o.spanMs, el.clientWidth),
          values: (_u, at) => at.map((s) => (day(s) ? formatDay(s * 1000, o.locale) : o.spanMs > 2 * 86400_000 ? '' : o.locale === 'vi' ? `${formatHour(s * 1000).slice(0, 2)}h` : formatHour(s * 1000))),
          size: 26,
        },
        { stroke: t3, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: 44, values: (_u, at) => at.map((v) => o.format(v)) },
      ],
      series: [{}, { stroke: t1, width: 1.8, points: { show: false }, spanGaps: false }],
      hooks: { drawClear: [drawGaps], draw: [drawLines] },
    },
    [d.x, d.y],
    el,
  );
  const watch = new ResizeObserver(() => {
    const w = el.clientWidth;
    if (w > 0 && w !== u.width) u.setSize({ width: w, height: o.height });
  });
  watch.observe(el);
  return {
    destroy: () => {
      watch.disconnect();
      u.destroy();
    },
    setLatest: (r) => {
      latest = r;
      if (!r) return;
      // The last window is not over yet: the newest value ends the line.
      let n = d.x.length;
      while (n > 0 && d.x[n - 1]! >= r.t / 1000) n--;
      const x = d.x.slice(0, n);
      const y = d.y.slice(0, n);
      const lastX = x.at(-1) ?? 0;
      // After a silence the newest value stands alone.
      if (r.t / 1000 - lastX > o.gapMs / 1000) u.setData([[...x, (lastX + r.t / 1000) / 2, r.t / 1000], [...y, null, r.v]]);
      else u.setData([[...x, r.t / 1000], [...y, r.v]]);
    },
  };
}

/** Full local hours or days, as many as the width carries. */
function ticks(spanMs: number, width: number): number[] {
  const hour = 3600_000;
  const want = Math.max(2, width / 70);
  const step = [hour, 2 * hour, 4 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 96 * hour].find((s) => spanMs / s <= want) ?? 168 * hour;
  const zone = 7 * hour;
  const now = Date.now();
  const out: number[] = [];
  for (let at = Math.ceil((now - spanMs + zone) / step) * step - zone; at <= now; at += step) out.push(at / 1000);
  return out;
}
