// One camera on one tile: its socket, its picture, and an honest word about
// both. It comes back by itself from whatever ends, and holds nothing when stopped.

import type { Screen, ScreenFault } from './screen';
import { hasSound, readSaid } from './wire';

/** No progress for so long, and the picture stands still. */
export const STALL_MS = 4000;
/** A picture that stands still is nudged; so much later its stream is begun anew. */
export const NUDGE_MS = 2000;
/** Nothing comes at all, not even that the camera is lost: the connection itself is dead. */
export const SILENT_MS = 10_000;
/** From opening to the first picture. */
export const START_MS = 12_000;
/** A lost camera's socket says nothing while nothing changes; whether it still lives is asked by opening it anew. */
export const QUIET_MS = 30_000;
/** A page that nobody sees pulls no pictures. */
export const HIDDEN_MS = 30_000;
export const RETRY_MIN_MS = 1000;
export const RETRY_MAX_MS = 15_000;
/** What cannot change by itself soon is asked again this seldom. */
export const SLOW_MS = 60_000;
const TICK_MS = 250;
/** A tick so late tells that the page was held up, and the picture perhaps with it. */
const LATE_MS = 1000;
const DELAY_TOLD_MS = 1000;
const HANDSHAKE_MS = 8000;
/** A picture that ran for so long has earned a fresh start of the back-off. */
const EARNED_MS = 5000;

export type Phase = 'connecting' | 'live' | 'stalled' | 'lost' | 'unplayable' | 'forbidden' | 'off';
export interface View {
  phase: Phase;
  /** Since when, Unix ms: of the phase; when stalled, of the picture. */
  since: number;
  /** Why there is no picture: a code of the server's, or "server" (it cannot be reached), "decode", "no_mse". */
  code?: string;
  /** The server's clause for a code we have no words for. */
  why?: string;
  /** How many times this spell has been tried. */
  attempt: number;
  codecs: string;
  sound: boolean;
  width: number;
  height: number;
  /** How old the picture is, in tenths of a second, when live. */
  delay?: number;
  picture: boolean;
}

export interface Options {
  url: string;
  screen: Screen;
  onChange(v: View): void;
  /** HTTP status of the camera's record: a refused handshake does not tell why. 0: no answer. */
  ask(): Promise<number>;
  open?: (url: string) => WebSocket;
  random?: () => number;
}

export class Player {
  private ws: WebSocket | undefined;
  private opened = false;
  private stopped = true;
  private hidden = false;
  private paused = false; // closed because nobody looks
  private tick: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private dialledAt = 0;
  private hiddenAt = 0;
  private heardAt = 0; // any message
  private mediaAt = 0; // a fragment, not the init segment
  private movedAt = 0; // the last progress
  private playedAt = 0; // the same for judging: an excuse moves it on
  private forgiven = false; // one excuse for each standstill
  private played = 0;
  private liveAt = 0;
  private brokenAt = 0;
  private restartAt = 0;
  private tickedAt = 0;
  private delayAt = 0;
  private init = false; // the next binary message is an init segment
  private begun = false;
  private tries = 0;
  private view: View = { phase: 'connecting', since: 0, attempt: 1, codecs: '', sound: false, width: 0, height: 0, picture: false };

  constructor(private readonly o: Options) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.hidden = document.visibilityState === 'hidden';
    this.hiddenAt = Date.now();
    this.o.screen.onfault = this.fault;
    this.set({ phase: 'connecting', since: Date.now() });
    this.tick = setInterval(this.watch, TICK_MS);
    document.addEventListener('visibilitychange', this.seen);
    addEventListener('online', this.hurry);
    this.connect();
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    clearInterval(this.tick);
    clearTimeout(this.retry);
    document.removeEventListener('visibilitychange', this.seen);
    removeEventListener('online', this.hurry);
    this.close();
    this.o.screen.end();
  }

  private set(change: Partial<View>): void {
    const next = { ...this.view, ...change };
    const keys = Object.keys(next) as (keyof View)[];
    if (keys.every((k) => next[k] === this.view[k])) return;
    this.view = next;
    this.o.onChange(next);
  }

  /** Enters a phase; `since` stays while the phase does. */
  private enter(phase: Phase, since: number, code?: string, why?: string): void {
    const same = this.view.phase === phase;
    this.set({ phase, since: same ? this.view.since : since, code, why, delay: phase === 'live' ? this.view.delay : undefined, ...(same ? {} : { attempt: 1 }) });
  }

  private connect(): void {
    clearTimeout(this.retry);
    if (this.stopped || this.paused) return;
    this.close();
    const now = Date.now();
    this.dialledAt = this.heardAt = now;
    this.opened = this.begun = this.init = false;
    let ws: WebSocket;
    try {
      ws = (this.o.open ?? ((url) => new WebSocket(url)))(this.o.url);
    } catch {
      this.broken();
      return;
    }
    this.ws = ws;
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      this.opened = true;
      this.heardAt = Date.now();
    };
    ws.onmessage = (m: MessageEvent<unknown>) => {
      this.heardAt = Date.now();
      if (typeof m.data === 'string') this.told(m.data);
      else if (m.data instanceof ArrayBuffer) this.media(new Uint8Array(m.data));
    };
    ws.onclose = (e) => {
      if (this.ws !== ws) return;
      this.ws = undefined;
      this.closed(e.code);
    };
    ws.onerror = () => {}; // a close follows
  }

  private close(): void {
    const ws = this.ws;
    this.ws = undefined;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = ws.onerror = null;
    ws.close();
  }

  private told(text: string): void {
    const m = readSaid(text);
    if (!m) return;
    const now = Date.now();
    if (m.kind === 'stream') {
      const plays = this.o.screen.plays(m.codecs);
      this.set({ codecs: m.codecs, sound: hasSound(m.codecs), width: m.width, height: m.height });
      if (!plays) {
        this.begun = false;
        this.close();
        this.o.screen.hold();
        this.enter('unplayable', now, plays === undefined ? 'no_mse' : undefined);
        this.again(SLOW_MS);
        return;
      }
      this.o.screen.begin(m.codecs);
      this.begun = this.init = true;
      this.playedAt = now;
      this.dialledAt = now;
      // A change of codec keeps the last picture in sight, and a picture that stands still is that until it moves.
      if (this.view.phase !== 'live' && this.view.phase !== 'stalled') this.enter('connecting', now);
      return;
    }
    if (m.state === 'off' && m.code === 'deleted') {
      this.close();
      this.o.screen.clear();
      this.enter('off', now, m.code, m.why);
      return;
    }
    // The buffer's last pictures are still played; then the last one stays.
    this.begun = false;
    this.tries = 0;
    const since = m.since ?? now;
    if (m.state === 'retrying') this.enter('lost', since, m.code, m.why);
    else this.enter('connecting', since);
  }

  private media(data: Uint8Array<ArrayBuffer>): void {
    if (!this.begun) return;
    this.o.screen.append(data);
    if (this.init) this.init = false;
    else this.mediaAt = Date.now();
  }

  private closed(code: number): void {
    this.begun = false;
    if (this.view.phase === 'off') return;
    if (this.opened && code !== 4001) {
      this.broken();
      return;
    }
    void this.o.ask().then((status) => {
      if (this.stopped || this.ws) return;
      if (status === 401 || status === 403) {
        // Who may not see it keeps no picture of it.
        this.o.screen.clear();
        this.enter('forbidden', Date.now());
        this.again(SLOW_MS);
      } else if (status === 404) {
        this.o.screen.clear();
        this.enter('off', Date.now(), 'deleted');
        this.again(SLOW_MS);
      } else this.broken();
    });
  }

  /** The connection ended or was not had. A first try to mend it is made before a word is said. */
  private broken(): void {
    const now = Date.now();
    if (!this.brokenAt) this.brokenAt = now;
    if (this.tries > 0 || (this.view.phase !== 'live' && this.view.phase !== 'stalled')) {
      if (this.view.phase === 'lost') this.set({ code: 'server', why: undefined });
      else this.enter('lost', this.view.phase === 'connecting' ? this.view.since : this.brokenAt, 'server');
    }
    this.again(this.backoff());
  }

  private backoff(): number {
    const wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.tries, 10));
    this.tries++;
    // Tiles of one wall do not all knock at once.
    return wait * (0.75 + 0.5 * (this.o.random ?? Math.random)());
  }

  private again(ms: number): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      this.set({ attempt: this.view.attempt + 1 });
      this.connect();
    }, ms);
  }

  private readonly fault = (why: ScreenFault): void => {
    if (this.stopped) return;
    this.begun = false;
    this.enter('stalled', this.movedAt || Date.now(), why === 'decode' || why === 'append' ? 'decode' : undefined);
    this.restartAt = Date.now() + this.backoff();
    // What comes until then is of no use.
    this.close();
    this.o.screen.hold();
  };

  private readonly watch = (): void => {
    const now = Date.now();
    const late = now - this.tickedAt - TICK_MS;
    if (this.tickedAt && late > LATE_MS && !this.forgiven) {
      this.forgiven = true;
      this.playedAt = Math.max(this.playedAt, now - STALL_MS / 2);
    }
    this.tickedAt = now;
    if (this.hidden) {
      if (this.ws && now - this.hiddenAt >= HIDDEN_MS) this.pause();
      return;
    }
    const s = this.o.screen.look(now);
    const moved = s.played > this.played;
    this.played = s.played;
    if (moved && this.begun) this.progress(now);
    this.set({ picture: s.picture });
    if (this.view.phase === 'live' && s.behind !== undefined && now - this.delayAt >= DELAY_TOLD_MS) {
      // An age that flickers by tenths is not read: it is told once a second.
      this.delayAt = now;
      this.set({ delay: Math.round((s.behind + (now - this.mediaAt) / 1000) * 10) / 10 });
    }
    this.judge(now);
  };

  private progress(now: number): void {
    this.movedAt = this.playedAt = now;
    this.forgiven = false;
    this.brokenAt = 0;
    this.restartAt = 0;
    if (this.view.phase !== 'live') {
      this.liveAt = now;
      this.enter('live', now);
    } else if (now - this.liveAt > EARNED_MS) this.tries = 0;
  }

  /** What is to be done about a picture that does not move. */
  private judge(now: number): void {
    if (this.restartAt) {
      if (now < this.restartAt) return;
      this.restartAt = 0;
      this.set({ attempt: this.view.attempt + 1 });
      this.o.screen.hold();
      this.connect();
      return;
    }
    if (this.view.phase === 'live' && now - this.playedAt >= STALL_MS) {
      this.enter('stalled', this.movedAt);
      if (this.ws && this.begun) this.o.screen.edge();
    }
    if (!this.ws) return; // a try is on its way
    const since = now - this.dialledAt;
    if (!this.opened) {
      if (since >= HANDSHAKE_MS) {
        this.close();
        this.broken();
      }
      return;
    }
    // A camera that is lost is the server's to mend; that the server says nothing more is right then.
    if (!this.begun && this.view.phase !== 'stalled') {
      if (now - this.heardAt >= QUIET_MS) this.connect();
      return;
    }
    const comes = now - this.mediaAt < 1000;
    const still = now - this.playedAt;
    const start = this.view.phase === 'connecting' && since >= START_MS;
    const stuck = this.view.phase === 'stalled' && still >= STALL_MS + (comes ? NUDGE_MS : SILENT_MS - STALL_MS) && since >= STALL_MS + NUDGE_MS;
    if (!start && !stuck) return;
    if (start) this.enter('stalled', this.view.since);
    // The server keeps the newest key frame: a new socket has a picture at once, a new buffer on the old one may wait for seconds.
    this.restartAt = now + (this.tries === 0 ? 0 : this.backoff());
    if (this.tries === 0) this.tries = 1;
  }

  private pause(): void {
    this.paused = true;
    clearTimeout(this.retry);
    this.restartAt = 0;
    this.close();
    this.begun = false;
    this.o.screen.hold();
    this.enter('connecting', Date.now());
  }

  private readonly seen = (): void => {
    const now = Date.now();
    const hidden = document.visibilityState === 'hidden';
    if (hidden === this.hidden) return;
    this.hidden = hidden;
    if (hidden) {
      this.hiddenAt = now;
      return;
    }
    // Browsers slow a hidden page down: what stood still meanwhile is no fault.
    this.playedAt = now;
    if (this.paused) {
      this.paused = false;
      this.tries = 0;
      this.set({ since: now });
      this.connect();
    } else if (this.begun) this.o.screen.edge();
  };

  private readonly hurry = (): void => {
    if (this.stopped || this.ws || this.paused || this.view.phase === 'off') return;
    this.restartAt = 0;
    this.connect();
  };
}
