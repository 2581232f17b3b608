// One WebSocket, kept for as long as the page lives: it subscribes, resumes
// from the last place applied, watches the heartbeat, and comes back by itself.

import type { Alarm } from '../api/types';
import { CLOSE_LOGIN_ENDED, SUBPROTOCOL, type Place, type Row, type ServerMessage, type Sink, type Topic } from './protocol';

/** Silence after which the connection is taken for lost: two heartbeats and a little. */
export const SILENCE_MS = 4200;
export const RETRY_MIN_MS = 500;
export const RETRY_MAX_MS = 5000;
/** From here on a broken connection is called lost, before it is reconnecting. */
export const LOST_AFTER_MS = 3000;
export const BACK_SHOWN_MS = 5000;
/** A handshake that gets no answer is given up. */
const CONNECT_TIMEOUT_MS = 6000;

export type Phase = 'connecting' | 'live' | 'reconnecting' | 'lost' | 'back';
export interface Connection {
  phase: Phase;
  /** When contact was last had, Unix ms of this machine; 0 before the first. */
  lastContact: number;
  attempt: number;
  /** When the next attempt starts. */
  retryAt: number;
  /** What a reconnection made good. */
  values: number;
  alarms: number;
}

export interface Options {
  url: string;
  topics: Topic[];
  sink: Sink;
  onChange(c: Connection): void;
  /** The log-in ended, or may have: a handshake was refused. Resolves true when we are to try again. */
  onRefused(certain: boolean): Promise<boolean>;
  open?: (url: string) => WebSocket;
  random?: () => number;
}

interface Subscription {
  topic: Topic;
  place?: Place;
  /** Parts of a snapshot that is still coming. */
  parts?: unknown[];
}

export class LiveClient {
  private ws: WebSocket | undefined;
  private readonly subs: Map<string, Subscription>;
  private watch: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private lastHeard = 0;
  private openedAt = 0;
  private failures = 0;
  private stopped = true;
  private brokenAt = 0;
  private backAt = 0;
  private everLive = false;
  private state: Connection = { phase: 'connecting', lastContact: 0, attempt: 0, retryAt: 0, values: 0, alarms: 0 };

  constructor(private readonly o: Options) {
    this.subs = new Map(o.topics.map((topic) => [topic, { topic }]));
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.watch = setInterval(() => this.tick(), 250);
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.watch);
    clearTimeout(this.retry);
    this.drop();
  }

  /** Try at once, for instance because the network came back. */
  hurry(): void {
    if (this.stopped || this.ws) return;
    clearTimeout(this.retry);
    this.connect();
  }

  /** Tells the server what has been drawn. */
  seen(topic: Topic): void {
    const sub = this.subs.get(topic);
    if (sub?.place && this.ws?.readyState === 1) this.send({ op: 'seen', id: topic, seq: sub.place.seq });
  }

  private set(change: Partial<Connection>): void {
    this.state = { ...this.state, ...change };
    this.o.onChange(this.state);
  }

  private send(message: object): void {
    this.ws?.send(JSON.stringify(message));
  }

  private connect(): void {
    const open = this.o.open ?? ((url) => new WebSocket(url, SUBPROTOCOL));
    let ws: WebSocket;
    try {
      ws = open(this.o.url);
    } catch {
      this.schedule();
      return;
    }
    this.ws = ws;
    this.openedAt = Date.now();
    let opened = false;
    ws.onopen = () => {
      opened = true;
      this.failures = 0;
      this.lastHeard = Date.now();
      for (const [id, sub] of this.subs) {
        sub.parts = undefined;
        this.send({ op: 'sub', id, topic: sub.topic, ...(sub.place ? { from: sub.place } : {}), hz: 4 });
      }
      this.cameBack();
    };
    ws.onmessage = (m) => {
      this.lastHeard = Date.now();
      if (typeof m.data !== 'string') return;
      let message: ServerMessage;
      try {
        message = JSON.parse(m.data) as ServerMessage;
      } catch {
        return;
      }
      this.take(message);
    };
    ws.onclose = (e) => {
      if (this.ws !== ws) return;
      this.ws = undefined;
      this.broken();
      if (e.code === CLOSE_LOGIN_ENDED || !opened) {
        void this.o.onRefused(e.code === CLOSE_LOGIN_ENDED).then((again) => (again ? this.schedule() : this.stop()));
      } else this.schedule();
    };
    ws.onerror = () => {}; // a close follows
  }

  private cameBack(): void {
    const again = this.everLive;
    this.everLive = true;
    this.brokenAt = 0;
    this.backAt = again ? Date.now() : 0;
    this.set({ phase: again ? 'back' : 'live', lastContact: Date.now(), attempt: 0, retryAt: 0, values: 0, alarms: 0 });
  }

  private broken(): void {
    if (this.brokenAt) return;
    this.brokenAt = Date.now();
    this.set({ phase: this.everLive ? 'reconnecting' : 'connecting', lastContact: this.lastHeard });
  }

  /** Full jitter under a doubling ceiling, never under RETRY_MIN_MS. */
  private schedule(): void {
    if (this.stopped) return;
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures);
    const wait = RETRY_MIN_MS + (this.o.random ?? Math.random)() * Math.max(0, ceiling - RETRY_MIN_MS);
    this.failures++;
    this.set({ attempt: this.failures, retryAt: Date.now() + wait });
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), wait);
  }

  private drop(): void {
    const ws = this.ws;
    this.ws = undefined;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }

  private tick(): void {
    const now = Date.now();
    if (this.ws?.readyState === 1 && now - this.lastHeard > SILENCE_MS) {
      // The socket may need minutes to find out by itself.
      this.drop();
      this.broken();
      this.set({ phase: 'lost' });
      this.schedule();
    } else if (this.ws?.readyState === 0 && now - this.openedAt > CONNECT_TIMEOUT_MS) {
      this.drop();
      this.broken();
      this.schedule();
    }
    if (this.brokenAt && this.state.phase !== 'lost' && now - this.brokenAt >= LOST_AFTER_MS) this.set({ phase: 'lost', lastContact: this.lastHeard });
    if (this.state.phase === 'back' && now - this.backAt >= BACK_SHOWN_MS) this.set({ phase: 'live' });
  }

  private take(m: ServerMessage): void {
    if (m.op === 'hb') {
      this.o.sink.heartbeat(m.ts);
      return;
    }
    if (m.op === 'err') {
      console.warn('live:', m.code, m.detail ?? '');
      return;
    }
    const sub = this.subs.get(m.id);
    if (!sub) return;
    switch (m.op) {
      case 'snap': {
        const rows = [...(sub.parts ?? []), ...(m.d ?? [])];
        if (m.more) {
          sub.parts = rows;
          return;
        }
        sub.parts = undefined;
        sub.place = { ep: m.ep, seq: m.seq };
        if (sub.topic === 'alarms') {
          this.count({ alarms: rows.length });
          this.o.sink.alarms(rows as Alarm[]);
        } else {
          if (sub.topic === 'telemetry') this.count({ values: rows.length });
          this.o.sink.snapshot(sub.topic, rows as Row[]);
        }
        return;
      }
      case 'd':
        if (sub.place) sub.place.seq = m.seq;
        if (sub.topic === 'telemetry') this.count({ values: m.set?.length ?? 0 });
        this.o.sink.delta(sub.topic, m.set ?? [], m.del ?? []);
        return;
      case 'ev':
        // In order, without repeat: the place tells what has been applied.
        if (sub.place && m.seq <= sub.place.seq) return;
        if (sub.place) sub.place.seq = m.seq;
        this.count({ alarms: 1 });
        this.o.sink.event(m.e);
        return;
      case 'resync':
        sub.place = undefined;
        sub.parts = undefined;
        return;
    }
  }

  /** What the first moments after a reconnection bring is what had been missed. */
  private count(c: { values?: number; alarms?: number }): void {
    if (this.state.phase !== 'back' || Date.now() - this.backAt > 1000) return;
    this.set({ values: this.state.values + (c.values ?? 0), alarms: this.state.alarms + (c.alarms ?? 0) });
  }
}
