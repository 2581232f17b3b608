// Where labels go: in order of importance, each takes the first free place of
// its candidates; one that finds none is dropped, its marker stays.

export interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}
export interface Wish {
  id: string;
  /** Where its marker is, in pixels. */
  x: number;
  y: number;
  /** Half the size of the marker; 0 for a label that stands at the point itself. */
  r: number;
  w: number;
  h: number;
  /** Never dropped: takes the first place when none is free. */
  must?: boolean;
  /** Where it stands by preference: beside the marker, above it as on a chart, or at the point itself, being the marker. */
  prefer?: 'beside' | 'above' | 'at';
}
export interface Placed extends Rect {
  id: string;
  /** The label stands so far off that a line must lead to it (LOOK: over 26 px). */
  leader: boolean;
}

export const LEADER_PX = 26;
const GAP = 3;

const overlaps = (a: Rect, b: Rect): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Places of one label around its marker, best first: near ones, then farther ones that need a leader. */
function* candidates(w: Wish): Generator<Rect & { leader: boolean }> {
  if (w.r === 0) {
    yield { x: w.x - w.w / 2, y: w.y - w.h / 2, w: w.w, h: w.h, leader: false };
    return;
  }
  if (w.prefer === 'at') yield { x: w.x - w.w / 2, y: w.y - w.h / 2, w: w.w, h: w.h, leader: false };
  for (const far of [0, 30, 58]) {
    const d = w.r + GAP + far;
    const leader = far >= LEADER_PX;
    const lift = far * 0.7;
    const right = w.x + d;
    const left = w.x - d - w.w;
    const box = { w: w.w, h: w.h, leader };
    if (w.prefer === 'above') {
      for (const f of [0.5, 0.8, 0.2, 0.95, 0.05]) yield { x: w.x - w.w * f, y: w.y - d - w.h, ...box };
      for (const f of [0.5, 0.8, 0.2, 0.05, 0.95]) yield { x: w.x - w.w * f, y: w.y + d, ...box };
    }
    yield { x: right, y: w.y - w.h / 2, ...box };
    yield { x: left, y: w.y - w.h / 2, ...box };
    yield { x: w.x - w.w / 2, y: w.y - d - w.h, ...box };
    yield { x: w.x - w.w / 2, y: w.y + d, ...box };
    yield { x: right - w.r, y: w.y - w.r - w.h - lift, ...box };
    yield { x: left + w.r, y: w.y - w.r - w.h - lift, ...box };
    yield { x: right - w.r, y: w.y + w.r + lift, ...box };
    yield { x: left + w.r, y: w.y + w.r + lift, ...box };
  }
}

/**
 * Places labels in the order given. `taken` are rectangles nothing may cover
 * (legend, inset, other markers); `view` is the visible map.
 */
export function declutter(wishes: readonly Wish[], taken: readonly Rect[], view: Rect): Map<string, Placed> {
  const used = [...taken];
  const out = new Map<string, Placed>();
  for (const wish of wishes) {
    let first: (Rect & { leader: boolean }) | undefined;
    let found: (Rect & { leader: boolean }) | undefined;
    for (const c of candidates(wish)) {
      first ??= c;
      const inside = c.x >= view.x && c.y >= view.y && c.x + c.w <= view.x + view.w && c.y + c.h <= view.y + view.h;
      if (inside && !used.some((u) => overlaps(c, u))) {
        found = c;
        break;
      }
    }
    const at = found ?? (wish.must ? first : undefined);
    if (!at) continue;
    used.push(at);
    out.set(wish.id, { id: wish.id, ...at });
  }
  return out;
}

export interface Cluster<T> {
  x: number;
  y: number;
  members: T[];
}

/** Groups points that lie within `px` of a group's first member. Order decides, so it is stable. */
export function cluster<T extends { x: number; y: number }>(points: readonly T[], px: number): Cluster<T>[] {
  const out: Cluster<T>[] = [];
  for (const p of points) {
    const near = out.find((c) => Math.hypot(c.members[0]!.x - p.x, c.members[0]!.y - p.y) <= px);
    if (near) near.members.push(p);
    else out.push({ x: p.x, y: p.y, members: [p] });
  }
  for (const c of out) {
    c.x = c.members.reduce((s, m) => s + m.x, 0) / c.members.length;
    c.y = c.members.reduce((s, m) => s + m.y, 0) / c.members.length;
  }
  return out;
}
