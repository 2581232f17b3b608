// Shapes of the HTTP API that the pages read. Times in objects are RFC 3339.

export type Role = 'admin' | 'operator' | 'viewer';
export interface Me {
  username: string;
  role: Role;
  cameras: boolean;
  version: string;
  demo: boolean;
  locale: string;
  mqtt_addr: string;
  now: number;
}

export interface Position {
  lon: number;
  lat: number;
}
export type DeviceKind = 'station' | 'gateway' | 'access_point' | 'bridge';
export type DeviceState = 'online' | 'silent' | 'never' | 'maintenance';
export interface ExpectedMetric {
  metric: string;
  every_s?: number;
}
export interface Device {
  id: string;
  name: string;
  kind: DeviceKind;
  position?: Position;
  parent?: string;
  agency?: string;
  tags?: string[];
  public?: boolean;
  maintenance?: boolean;
  metrics?: ExpectedMetric[];
  chainage?: { river: string; km: number; offset_m?: number };
  state?: DeviceState;
  heard?: number;
}
export interface Credentials {
  username: string;
  password: string;
}

export interface Metric {
  name: string;
  unit: string;
  title_vi: string;
  title_en: string;
  min: number;
  max: number;
  decimals: number;
  counter?: boolean;
}

export type Priority = 'low' | 'medium' | 'high' | 'urgent';
export const PRIORITIES: readonly Priority[] = ['urgent', 'high', 'medium', 'low'];
export type AlarmState = 'active' | 'acknowledged' | 'returned' | 'closed';
export interface Alarm {
  id: string;
  rule: string;
  title?: string;
  metric?: string;
  unit?: string;
  subject: string;
  state: AlarmState;
  priority: Priority;
  raised: string;
  changed: string;
  value: number;
  threshold: number;
  position?: Position;
}
export interface JournalEvent {
  seq?: number;
  type: string;
  at: string;
  actor: string;
  comment?: string;
  alarm: Alarm;
}

export interface Limit {
  above?: number;
  below?: number;
  for_s?: number;
}
export interface Rule {
  id: string;
  title: string;
  metric: string;
  scope: { devices?: string[]; kinds?: string[]; zones?: string[]; tags?: string[] };
  on: Limit;
  off: Limit;
  priority: Priority;
  flags?: number[];
  public?: boolean;
}

export interface ZoneItem {
  id: string;
  name: string;
  kind?: string;
  bbox: [number, number, number, number];
}
export interface River {
  id: string;
  name: string;
  mouth?: string;
  length_km: number;
}
export interface Refusal {
  index: number;
  id?: string;
  why: string;
}
export interface Account {
  id?: string;
  username: string;
  role: Role;
  cameras?: boolean;
}
export interface Token {
  id: string;
  name: string;
  role?: Role;
  expires?: string;
}
/** What came in and could not be stored. */
export interface SetAside {
  id: string;
  /** Receive time. */
  seen: string;
  /** Topic or route, with the sender's identity. */
  source: string;
  reason: string;
  /** English. */
  detail: string;
  /** How many values it stands for. */
  count: number;
  payload: string;
  payload_encoding?: 'base64';
}
export type SeriesPoint = [t: number, value: number, flag: number];
export interface Series {
  device: string;
  metric: string;
  unit: string;
  agg?: string;
  points: SeriesPoint[];
}

export type CameraKind = 'traffic' | 'security';
export const CAMERA_KINDS: readonly CameraKind[] = ['traffic', 'security'];
export type CameraState = 'connecting' | 'live' | 'retrying' | 'off';
/** always: fetched all the time; on_demand: while somebody looks. */
export type Pull = 'always' | 'on_demand';
export interface CameraStatus {
  state: CameraState;
  since: string;
  /** English, one clause. */
  why?: string;
  /** The same for a machine; its words are in cameras/words. */
  code?: string;
}
export interface Camera {
  id: string;
  name: string;
  /** Never with credentials. */
  url: string;
  position: Position;
  /** Degrees clockwise from north, the axis of view. */
  bearing?: number;
  /** Horizontal angle of view, degrees. */
  view_deg?: number;
  kind?: CameraKind;
  group?: string;
  pull?: Pull;
  created?: string;
  status: CameraStatus;
}
export interface NearCamera extends Camera {
  distance_m: number;
  /** The place lies in its angle of view. */
  sees?: boolean;
}
export type Probe = { ok: true; codecs: string; width: number; height: number; fps?: number } | { ok: false; code: string; why?: string };
