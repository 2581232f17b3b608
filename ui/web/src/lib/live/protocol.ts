// The words of the live WebSocket, subprotocol ioc.v1 (see CONTRACT).

import type { Alarm, JournalEvent } from '../api/types';

export const SUBPROTOCOL = 'ioc.v1';

/** key, Unix ms, value, quality flag */
export type Row = [key: string, t: number, v: number | string, q: number];
export type Topic = 'telemetry' | 'devices' | 'cameras' | 'alarms';
export interface Place {
  ep: string | number;
  seq: number;
}

export type ServerMessage =
  | { op: 'snap'; id: string; ep: string | number; seq: number; more?: boolean; d: unknown[] | null }
  | { op: 'd'; id: string; seq: number; set?: Row[] | null; del?: string[] | null }
  | { op: 'ev'; id: string; seq: number; e: JournalEvent }
  | { op: 'resync'; id: string; why?: string }
  | { op: 'err'; id?: string; code: string | number; detail?: string }
  | { op: 'hb'; ts: number; wm?: Record<string, number> };

export const CLOSE_LOGIN_ENDED = 4001;
export const CLOSE_TOO_SLOW = 4008;

export interface Sink {
  /** All rows of a state topic, in place of what was known. */
  snapshot(topic: Topic, rows: Row[]): void;
  delta(topic: Topic, set: Row[], del: string[]): void;
  /** All open alarms, in place of what was known. */
  alarms(alarms: Alarm[]): void;
  event(e: JournalEvent): void;
  /** The server's clock, Unix ms, every 2 s. */
  heartbeat(ts: number): void;
}
