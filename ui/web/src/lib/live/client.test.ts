import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Alarm, JournalEvent } from '../api/types';
import { LiveClient, type Connection } from './client';
import type { Row, Topic } from './protocol';

/** A server's end of a socket, driven by the test. */
class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(): void {
    this.readyState = 3;
  }
  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(m: object): void {
    this.onmessage?.({ data: JSON.stringify(m) });
  }
  end(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

function harness(refused: (certain: boolean) => Promise<boolean> = () => Promise.resolve(true), random = () => 0) {
  const log: { values: Map<string, number>; alarms: string[]; events: string[]; hb: number[] } = { values: new Map(), alarms: [], events: [], hb: [] };
  let c!: Connection;
  const phases: string[] = [];
  const client = new LiveClient({
    url: 'ws://x/live',
    topics: ['telemetry', 'devices', 'alarms'],
    sink: {
      snapshot: (t: Topic, rows: Row[]) => {
        if (t === 'telemetry') log.values = new Map(rows.map((r) => [r[0], r[2] as number]));
      },
      delta: (t: Topic, set: Row[], del: string[]) => {
        if (t !== 'telemetry') return;
        for (const r of set) log.values.set(r[0], r[2] as number);
        for (const k of del) log.values.delete(k);
      },
      alarms: (a: Alarm[]) => (log.alarms = a.map((x) => x.id)),
      event: (e: JournalEvent) => log.events.push(e.type),
      heartbeat: (ts: number) => log.hb.push(ts),
    },
    onChange: (x) => {
      c = x;
      if (phases.at(-1) !== x.phase) phases.push(x.phase);
    },
    onRefused: refused,
    open: () => new FakeSocket() as unknown as WebSocket,
    random,
  });
  client.start();
  return { client, log, phases, state: () => c, last: () => FakeSocket.all.at(-1)! };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

describe('live client', () => {
  it('subscribes, joins snapshot parts, applies deltas and deletions', () => {
    const h = harness();
    const s = h.last();
    s.accept();
    expect(s.sent.map((m) => [m.op, m.topic, m.from])).toEqual([
      ['sub', 'telemetry', undefined],
      ['sub', 'devices', undefined],
      ['sub', 'alarms', undefined],
    ]);
    s.say({ op: 'snap', id: 'telemetry', ep: 'e1', seq: 5, more: true, d: [['a/salinity', 1, 2.5, 1]] });
    expect(h.log.values.size).toBe(0); // half a snapshot is not shown
    s.say({ op: 'snap', id: 'telemetry', ep: 'e1', seq: 5, more: false, d: [['b/salinity', 1, 0.5, 1]] });
    s.say({ op: 'd', id: 'telemetry', seq: 6, set: [['a/salinity', 2, 3, 1]], del: ['b/salinity'] });
    expect([...h.log.values]).toEqual([['a/salinity', 3]]);
    expect(h.phases).toEqual(['live']);
    h.client.stop();
  });

  it('calls silence a loss, comes back, resumes from the last place, and says what was made good', async () => {
    const h = harness();
    const first = h.last();
    first.accept();
    first.say({ op: 'snap', id: 'telemetry', ep: 'e1', seq: 5, d: [] });
    first.say({ op: 'd', id: 'telemetry', seq: 9, set: [['a/x', 1, 1, 1]] });
    first.say({ op: 'snap', id: 'alarms', ep: 'e1', seq: 40, d: [] });
    await vi.advanceTimersByTimeAsync(4000);
    expect(h.state().phase).toBe('live');
    await vi.advanceTimersByTimeAsync(1000); // no heartbeat for 5 s
    expect(h.state().phase).toBe('lost');
    expect(first.readyState).toBe(3);
    await vi.advanceTimersByTimeAsync(500);
    const second = h.last();
    expect(second).not.toBe(first);
    second.accept();
    expect(second.sent[0]).toMatchObject({ topic: 'telemetry', from: { ep: 'e1', seq: 9 } });
    expect(second.sent[2]).toMatchObject({ topic: 'alarms', from: { ep: 'e1', seq: 40 } });
    expect(second.sent[1]).not.toHaveProperty('from'); // nothing was known of devices
    second.say({ op: 'd', id: 'telemetry', seq: 12, set: [['a/x', 2, 2, 1], ['b/x', 2, 2, 1]] });
    second.say({ op: 'ev', id: 'alarms', seq: 41, e: { type: 'raised' } });
    expect(h.state()).toMatchObject({ phase: 'back', values: 2, alarms: 1 });
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(2000);
      second.say({ op: 'hb', ts: 1 });
    }
    expect(h.phases).toEqual(['live', 'reconnecting', 'lost', 'back', 'live']);
    h.client.stop();
  });

  it('applies each event once', () => {
    const h = harness();
    const s = h.last();
    s.accept();
    s.say({ op: 'snap', id: 'alarms', ep: 1, seq: 7, d: [{ id: 'a1' }] });
    s.say({ op: 'ev', id: 'alarms', seq: 7, e: { type: 'raised' } });
    s.say({ op: 'ev', id: 'alarms', seq: 8, e: { type: 'acknowledged' } });
    s.say({ op: 'ev', id: 'alarms', seq: 8, e: { type: 'acknowledged' } });
    expect(h.log).toMatchObject({ alarms: ['a1'], events: ['acknowledged'] });
    h.client.stop();
  });

  it('forgets its place on resync', async () => {
    const h = harness();
    h.last().accept();
    h.last().say({ op: 'snap', id: 'telemetry', ep: 'e1', seq: 5, d: [['a/x', 1, 1, 1]] });
    h.last().end(1001);
    await vi.advanceTimersByTimeAsync(500);
    h.last().accept();
    h.last().say({ op: 'resync', id: 'telemetry', why: 'epoch' });
    h.last().say({ op: 'snap', id: 'telemetry', ep: 'e2', seq: 1, d: [['b/x', 1, 1, 1]] });
    expect([...h.log.values.keys()]).toEqual(['b/x']);
    h.last().end(4008);
    await vi.advanceTimersByTimeAsync(500);
    h.last().accept();
    expect(h.last().sent[0]).toMatchObject({ from: { ep: 'e2', seq: 1 } });
    h.client.stop();
  });

  it('backs off with jitter between half a second and five', async () => {
    const h = harness(undefined, () => 1);
    h.last().accept();
    h.last().end();
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      waits.push(h.state().retryAt - Date.now());
      await vi.advanceTimersByTimeAsync(h.state().retryAt - Date.now());
      h.last().end();
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 5000, 5000]);
    expect(h.state().phase).toBe('lost');
    h.client.stop();
  });

  it('gives up when the log-in ended, and only then', async () => {
    const asked: boolean[] = [];
    const h = harness((certain) => {
      asked.push(certain);
      return Promise.resolve(!certain);
    });
    h.last().end(); // handshake refused: perhaps the log-in
    await vi.advanceTimersByTimeAsync(500);
    h.last().accept();
    h.last().end(4001);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(asked).toEqual([false, true]);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('survives what it cannot read', () => {
    const h = harness();
    h.last().accept();
    h.last().onmessage?.({ data: '{"op":' });
    h.last().onmessage?.({ data: new ArrayBuffer(4) });
    h.last().say({ op: 'd', id: 'unknown', seq: 1, set: [] });
    h.last().say({ op: 'snap', id: 'telemetry', ep: 1, seq: 1, d: null });
    h.last().say({ op: 'hb', ts: 77 });
    expect(h.log.hb).toEqual([77]);
    h.client.stop();
  });
});
