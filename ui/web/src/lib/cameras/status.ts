// A camera's state comes twice: with the list, with its reason, and as a row of
// the live topic, at once but bare. These put the two together.

import type { Camera, CameraState, CameraStatus } from '../api/types';
import type { Row } from '../live/protocol';

/** The status to show: the list's, unless the row tells of something later. */
export function statusOf(said: CameraStatus, row: Row | undefined): CameraStatus {
  if (!row || row[2] === said.state || row[1] < Date.parse(said.since)) return said;
  return { state: row[2] as CameraState, since: new Date(row[1]).toISOString() };
}

/** The cameras with what the rows say of them; the same map where they say nothing new. */
export function camerasWith(cameras: ReadonlyMap<string, Camera>, rows: readonly Row[]): ReadonlyMap<string, Camera> {
  let out: Map<string, Camera> | undefined;
  for (const row of rows) {
    const c = cameras.get(row[0]);
    if (!c) continue;
    const status = statusOf(c.status, row);
    if (status === c.status) continue;
    out ??= new Map(cameras);
    out.set(c.id, { ...c, status });
  }
  return out ?? cameras;
}

/** Whether the list knows more of this camera than a row can say: it is new, or has lost its picture for a reason. */
export function outdated(camera: Camera | undefined, row: Row): boolean {
  return !camera || row[2] === 'retrying' || (row[2] === 'off' && !camera.status.code && camera.pull !== 'on_demand');
}
