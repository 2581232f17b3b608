import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HIDDEN_MS, NUDGE_MS, Player, QUIET_MS, RETRY_MAX_MS, SILENT_MS, SLOW_MS, STALL_MS, type View } from './player';
import type { Screen, ScreenFault, Seen } from './screen';

/** The server's end of a camera's socket. */
class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType = '';
  onopen: (() => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  at = Date.now();
  constructor() {
    FakeSocket.all.push(this);
  }
  close(): void {
    this.readyState = 3;
  }
  say(m: object): void {
    this.onmessage?.({ data: JSON.stringify(m) });
  }
  picture(): void {
    this.onmessage?.({ data: new ArrayBuffer(8) });
  }
  /** Opens and begins a stream. */
  begin(codecs = 'avc1.42e01e'): void {
    this.readyState = 1;
    this.onopen?.();
    this.say({ codecs, width: 640, height: 360 });
    this.picture(); // the init segment
  }
  end(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

class FakeScreen implements Screen {
  onfault: (why: ScreenFault) => void = () => {};
  calls: string[] = [];
  appended = 0;
  played = 0;
  picture = false;
  able: boolean | undefined = true;
  plays = () => this.able;
  begin = (codecs: string) => void this.calls.push('begin ' + codecs);
  append = () => void this.appended++;
  edge = () => void this.calls.push('edge');
  hold = () => void this.calls.push('hold');
  clear = () => void this.calls.push('clear');
  end = () => void this.calls.push('end');
  look = (): Seen => ({ played: this.played, behind: 0.3, picture: this.picture });
}

const SINCE = Date.UTC(2026, 2, 20, 7, 0, 0);
let visibility: 'visible' | 'hidden' = 'visible';
const look = (v: typeof visibility): void => {
  visibility = v;
  document.dispatchEvent(new Event('visibilitychange'));
};
const players: Player[] = [];

function harness(status = 200) {
  const screen = new FakeScreen();
  const views: View[] = [];
  const asked = { status, n: 0 };
  const player = new Player({
    url: 'ws://x/1', screen, random: () => 0.5,
    onChange: (v) => views.push(v),
    ask: () => Promise.resolve((asked.n++, asked.status)),
    open: () => new FakeSocket() as unknown as WebSocket,
  });
  players.push(player);
  player.start();
  const last = () => FakeSocket.all.at(-1)!;
  return {
    player, screen, asked, views, last,
    v: () => views.at(-1)!,
    phases: () => views.map((v) => v.phase).filter((p, i, all) => p !== all[i - 1]),
    /** The stream runs for so long: a fragment and a picture every quarter second. */
    run: (ms: number) => {
      for (let t = 0; t < ms; t += 250) {
        last().picture();
        screen.played += 0.25;
        screen.picture = true;
        vi.advanceTimersByTime(250);
      }
    },
    /** Fragments come, the picture does not move. */
    freeze: (ms: number) => {
      for (let t = 0; t < ms; t += 250) {
        last().picture();
        vi.advanceTimersByTime(250);
      }
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(SINCE);
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => visibility);
  visibility = 'visible';
  FakeSocket.all = [];
});
afterEach(() => {
  for (const p of players.splice(0)) p.stop();
  expect(vi.getTimerCount()).toBe(0); // nothing outlives a player
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('a camera that plays', () => {
  it('goes from connecting to live with the first picture that moves', () => {
    const h = harness();
    expect(h.v()).toMatchObject({ phase: 'connecting', since: SINCE, attempt: 1 });
    h.last().begin('avc1.42e01e,mp4a.40.2');
    vi.advanceTimersByTime(500);
    expect(h.v().phase).toBe('connecting');
    h.run(1500);
    expect(h.v()).toMatchObject({ phase: 'live', sound: true, width: 640, height: 360, picture: true });
    expect(h.v().delay).toBeGreaterThanOrEqual(0.3);
    expect(h.last().binaryType).toBe('arraybuffer');
    expect(h.screen.calls).toEqual(['begin avc1.42e01e,mp4a.40.2']);
  });
  it('begins a new picture when the codec changes, and is live all the while', () => {
    const h = harness();
    h.last().begin();
    h.run(1000);
    h.last().say({ codecs: 'avc1.64001f', width: 1920, height: 1080 });
    h.last().picture();
    h.run(1000);
    expect(h.screen.calls.filter((c) => c.startsWith('begin'))).toHaveLength(2);
    expect(h.phases()).toEqual(['connecting', 'live']);
    expect(h.v()).toMatchObject({ width: 1920, codecs: 'avc1.64001f' });
  });
  it('takes no pictures before it knows what they are', () => {
    const h = harness();
    h.last().onopen?.();
    h.last().picture();
    h.last().say({ nothing: 1 });
    h.last().picture();
    expect(h.screen.appended).toBe(0);
  });
});

describe('a camera that is lost', () => {
  it('says since when and why, keeps its socket, and is live again with the picture', () => {
    const h = harness();
    h.last().begin();
    h.run(1000);
    h.last().say({ state: 'retrying', since: new Date(SINCE - 60_000).toISOString(), why: 'no answer', code: 'timeout' });
    expect(h.v()).toMatchObject({ phase: 'lost', since: SINCE - 60_000, code: 'timeout', why: 'no answer', delay: undefined });
    h.screen.played += 0.3; // what was in the buffer is still played
    vi.advanceTimersByTime(20_000);
    expect(h.v()).toMatchObject({ phase: 'lost', picture: true });
    expect(FakeSocket.all).toHaveLength(1);
    h.last().say({ state: 'retrying', since: new Date(SINCE + 1000).toISOString(), code: 'no_route' });
    expect(h.v()).toMatchObject({ since: SINCE - 60_000, code: 'no_route' });
    h.last().begin();
    h.run(500);
    expect(h.phases()).toEqual(['connecting', 'live', 'lost', 'connecting', 'live']);
  });
  it('asks anew when its socket has said nothing for long: it may be dead', () => {
    const h = harness();
    h.last().onopen?.();
    h.last().say({ state: 'retrying', code: 'timeout' });
    vi.advanceTimersByTime(QUIET_MS + 500);
    expect(FakeSocket.all).toHaveLength(2);
    expect(FakeSocket.all[0]!.readyState).toBe(3);
    expect(h.v().phase).toBe('lost');
  });
  it('is off when it was deleted, and stays so', () => {
    const h = harness();
    h.last().begin();
    h.last().say({ state: 'off', why: 'deleted', code: 'deleted' });
    h.last().end(1000);
    vi.advanceTimersByTime(600_000);
    expect(h.v()).toMatchObject({ phase: 'off', code: 'deleted' });
    expect(FakeSocket.all).toHaveLength(1);
  });
});

describe('a picture that stands still', () => {
  it('is told after four seconds, nudged, then begun anew on a new socket', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    const still = Date.now();
    h.freeze(STALL_MS);
    expect(h.v()).toMatchObject({ phase: 'stalled', since: still });
    expect(h.screen.calls.at(-1)).toBe('edge');
    expect(FakeSocket.all).toHaveLength(1);
    h.freeze(NUDGE_MS + 500);
    expect(FakeSocket.all).toHaveLength(2);
    h.last().begin();
    expect(h.v()).toMatchObject({ phase: 'stalled', since: still });
    h.run(500);
    expect(h.v().phase).toBe('live');
  });
  it('may come back by the nudge alone', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    h.freeze(STALL_MS + 500);
    h.run(1000);
    expect(h.v().phase).toBe('live');
    expect(FakeSocket.all).toHaveLength(1);
  });
  it('waits longer where nothing comes at all', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    vi.advanceTimersByTime(SILENT_MS - 1000);
    expect(h.v().phase).toBe('stalled');
    expect(FakeSocket.all).toHaveLength(1);
    vi.advanceTimersByTime(1500);
    expect(FakeSocket.all).toHaveLength(2);
  });
  it('is begun anew ever more seldom', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    h.freeze(STALL_MS);
    for (let n = 0, seen = 0; n < 2400; n++) {
      if (FakeSocket.all.length !== seen) {
        seen = FakeSocket.all.length;
        h.last().begin();
      }
      h.freeze(250);
    }
    const gaps = FakeSocket.all.slice(1).map((s, i) => s.at - FakeSocket.all[i]!.at);
    expect(gaps.slice(-3).every((g) => g >= RETRY_MAX_MS && g <= RETRY_MAX_MS + STALL_MS + NUDGE_MS + 1000)).toBe(true);
    expect(h.v().phase).toBe('stalled');
  });
  it('is not said to stand still when the page itself was held up', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    vi.setSystemTime(Date.now() + 30_000);
    h.run(1000);
    expect(h.phases()).toEqual(['connecting', 'live']);
  });
  it('is told all the same when the page is held up again and again', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    const still = Date.now();
    for (let i = 0; i < 5; i++) {
      vi.setSystemTime(Date.now() + 1500);
      h.freeze(250);
    }
    expect(h.v()).toMatchObject({ phase: 'stalled', since: still });
  });
  it('is rebuilt after a fault of the decoder', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    h.screen.onfault('decode');
    expect(h.v()).toMatchObject({ phase: 'stalled', code: 'decode' });
    expect(h.screen.calls.at(-1)).toBe('hold');
    expect(FakeSocket.all[0]!.readyState).toBe(3);
    vi.advanceTimersByTime(1500);
    expect(FakeSocket.all).toHaveLength(2);
    h.last().begin();
    h.run(500);
    expect(h.v()).toMatchObject({ phase: 'live', code: undefined });
  });
  it('is told when a stream begins and no picture ever comes', () => {
    const h = harness();
    h.last().begin();
    h.freeze(12_500);
    expect(h.v().phase).toBe('stalled');
    expect(FakeSocket.all.length).toBeGreaterThan(1);
  });
});

describe('a connection that ends', () => {
  it('is mended before a word is said', async () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    h.last().end(1006);
    await vi.advanceTimersByTimeAsync(1100);
    expect(FakeSocket.all).toHaveLength(2);
    h.last().begin();
    h.run(500);
    expect(h.phases()).toEqual(['connecting', 'live']);
  });
  it('is told when it cannot be mended, and tried for ever with back-off', async () => {
    const h = harness(0);
    h.last().begin();
    h.run(6000);
    const broke = Date.now();
    h.last().end(1001);
    for (let i = 0; i < 400; i++) {
      await vi.advanceTimersByTimeAsync(500);
      if (h.last().readyState === 0) h.last().end(1006);
    }
    expect(h.v()).toMatchObject({ phase: 'lost', code: 'server', since: broke });
    const gaps = FakeSocket.all.slice(1).map((s, i) => s.at - FakeSocket.all[i]!.at);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(RETRY_MAX_MS + 1000);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(RETRY_MAX_MS);
    expect(h.v().attempt).toBeGreaterThan(5);
    h.last().begin();
    h.run(500);
    expect(h.v().phase).toBe('live');
  });
  it('is given up when the handshake gets no answer', async () => {
    const h = harness(0);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(FakeSocket.all).toHaveLength(2);
    expect(h.v()).toMatchObject({ phase: 'lost', code: 'server' });
  });
  it.each([
    [403, 'forbidden'],
    [401, 'forbidden'],
    [404, 'off'],
  ] as const)('refused with %i is %s, asked again only now and then', async (status, phase) => {
    const h = harness(status);
    h.last().end(1006);
    await vi.advanceTimersByTimeAsync(SLOW_MS - 1000);
    expect(h.v().phase).toBe(phase);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(FakeSocket.all).toHaveLength(2);
  });
  it('looks for its right when the log-in ended', async () => {
    const h = harness(403);
    h.last().begin();
    h.run(1000);
    h.last().end(4001);
    await vi.advanceTimersByTimeAsync(10);
    expect(h.asked.n).toBe(1);
    expect(h.v().phase).toBe('forbidden');
    expect(h.screen.calls.at(-1)).toBe('clear'); // who may not see it keeps no picture of it
  });
});

describe('a stream that cannot be played here', () => {
  it('says so and pulls nothing', () => {
    const h = harness();
    h.screen.able = false;
    h.last().begin('hvc1.2.4.L120.90');
    expect(h.v()).toMatchObject({ phase: 'unplayable', codecs: 'hvc1.2.4.L120.90', code: undefined });
    expect(FakeSocket.all[0]!.readyState).toBe(3);
    vi.advanceTimersByTime(SLOW_MS - 1000);
    expect(FakeSocket.all).toHaveLength(1);
    // The camera may have been set to another codec meanwhile.
    h.screen.able = true;
    vi.advanceTimersByTime(2000);
    h.last().begin();
    h.run(500);
    expect(h.v().phase).toBe('live');
  });
  it('says so of a browser that plays none', () => {
    const h = harness();
    h.screen.able = undefined;
    h.last().begin();
    expect(h.v()).toMatchObject({ phase: 'unplayable', code: 'no_mse' });
  });
});

describe('a page that nobody sees', () => {
  it('lets its socket go after a while, and has a picture at once when it is seen again', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    look('hidden');
    vi.advanceTimersByTime(HIDDEN_MS + 500);
    expect(FakeSocket.all[0]!.readyState).toBe(3);
    vi.advanceTimersByTime(3600_000);
    expect(FakeSocket.all).toHaveLength(1);
    look('visible');
    expect(FakeSocket.all).toHaveLength(2);
    h.last().begin();
    h.run(500);
    expect(h.phases()).toEqual(['connecting', 'live', 'connecting', 'live']);
  });
  it('goes on from the newest picture after a short absence', () => {
    const h = harness();
    h.last().begin();
    h.run(6000);
    look('hidden');
    h.freeze(10_000);
    look('visible');
    expect(h.screen.calls.at(-1)).toBe('edge');
    h.run(1000);
    expect(h.phases()).toEqual(['connecting', 'live']);
    expect(FakeSocket.all).toHaveLength(1);
  });
});

it('leaves nothing behind', () => {
  const h = harness();
  h.last().begin();
  h.run(1000);
  const n = h.views.length;
  const ws = h.last();
  h.player.stop();
  expect(h.screen.calls.at(-1)).toBe('end');
  expect(ws.readyState).toBe(3);
  expect([ws.onopen, ws.onmessage, ws.onclose]).toEqual([null, null, null]);
  look('hidden');
  look('visible');
  dispatchEvent(new Event('online'));
  vi.advanceTimersByTime(600_000);
  expect(h.views).toHaveLength(n);
  expect(FakeSocket.all).toHaveLength(1);
});
