import { describe, expect, it } from 'vitest';
import type { Camera, CameraStatus } from '../api/types';
import type { Row } from '../live/protocol';
import { camerasWith, outdated, statusOf } from './status';

const at = (s: number) => new Date(s * 1000).toISOString();
const camera = (id: string, status: CameraStatus, more: Partial<Camera> = {}): Camera => ({ id, name: id, url: 'rtsp://x/1', position: { lon: 106, lat: 10 }, status, ...more });
const row = (id: string, s: number, state: string): Row => [id, s * 1000, state, 1];
const lost: CameraStatus = { state: 'retrying', since: at(10), code: 'timeout', why: 'no answer' };

describe('state of a camera', () => {
  it('is the list’s until a row tells of something later', () => {
    expect(statusOf(lost, undefined)).toBe(lost);
    expect(statusOf(lost, row('a', 9, 'live'))).toBe(lost);
    expect(statusOf(lost, row('a', 10, 'retrying'))).toBe(lost);
    expect(statusOf(lost, row('a', 11, 'live'))).toEqual({ state: 'live', since: at(11) });
  });
  it('changes only the cameras that rows speak of', () => {
    const all = new Map([['a', camera('a', lost)], ['b', camera('b', lost)]]);
    const got = camerasWith(all, [row('a', 12, 'live'), row('c', 12, 'live')]);
    expect(got.get('a')?.status.state).toBe('live');
    expect(got.get('b')).toBe(all.get('b'));
    expect([...got.keys()]).toEqual(['a', 'b']);
    expect(camerasWith(got, [row('b', 10, 'retrying')])).toBe(got);
  });
  it('asks for the list where a row says too little', () => {
    expect(outdated(undefined, row('a', 1, 'live'))).toBe(true);
    expect(outdated(camera('a', lost), row('a', 11, 'retrying'))).toBe(true);
    expect(outdated(camera('a', lost), row('a', 11, 'live'))).toBe(false);
    expect(outdated(camera('a', { state: 'off', since: at(1) }, { pull: 'on_demand' }), row('a', 1, 'off'))).toBe(false);
  });
});
