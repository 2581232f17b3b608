// The one live picture that all pages draw from. Values arrive many times a
// second into a plain Map; `version` rises at most four times a second and is
// what the pages depend on, so that drawing is bounded whatever arrives.

import { get, items, list } from '../api/client';
import type { Alarm, Camera, Device, DeviceState, JournalEvent, Me, Metric, River, Rule, ZoneItem } from '../api/types';
import { LiveClient, type Connection } from '../live/client';
import type { Row, Sink, Topic } from '../live/protocol';
import { camerasWith, outdated, statusOf } from '../cameras/status';
import { compareAlarms, intervalMs, inScope, lookState, mainMetric, wantsAck, type LookState, type Reading } from './judge';
import { holds, zoneId, type ZoneFeature } from './zones';

const DRAW_EVERY_MS = 250;
/** Why a camera has no picture comes with the list, not with the row: the list is read again, no oftener than this. */
const CAMERAS_EVERY_MS = 2000;
/** Closed alarms that this page saw, for the time bar. */
const CLOSED_KEPT = 500;

export interface StationView {
  device: Device;
  metric: string | undefined;
  reading: Reading | undefined;
  look: LookState;
  /** Worst first. */
  alarms: Alarm[];
  rules: Rule[];
}

export class Province {
  me = $state.raw<Me | undefined>(undefined);
  connection = $state.raw<Connection>({ phase: 'connecting', lastContact: 0, attempt: 0, retryAt: 0, values: 0, alarms: 0 });
  devices = $state.raw<ReadonlyMap<string, Device>>(new Map());
  metrics = $state.raw<ReadonlyMap<string, Metric>>(new Map());
  rivers = $state.raw<ReadonlyMap<string, River>>(new Map());
  rules = $state.raw<readonly Rule[]>([]);
  zones = $state.raw<readonly ZoneFeature[]>([]);
  /** By id, in the order of names; empty without the right to see pictures. */
  cameras = $state.raw<ReadonlyMap<string, Camera>>(new Map());
  /** Open alarms in the order of the list. */
  alarms = $state.raw<readonly Alarm[]>([]);
  recentlyClosed = $state.raw<readonly Alarm[]>([]);
  /** The last transition, for those who follow one alarm. */
  lastEvent = $state.raw<JournalEvent | undefined>(undefined);
  loaded = $state(false);
  /** Rises when values or device states changed, at most 4 times a second. */
  version = $state(0);
  /** The server's clock, Unix ms, moved on every second. */
  now = $state(Date.now());
  lagMs = $state<number | undefined>(undefined);

  private readonly values = new Map<string, Map<string, Reading>>();
  private readonly states = new Map<string, DeviceState>();
  private readonly cameraRows = new Map<string, Row>();
  private camerasTimer: ReturnType<typeof setTimeout> | undefined;
  private camerasRead = -Infinity;
  private camerasTurn = 0;
  private offset = 0;
  private live: LiveClient | undefined;
  private drawTimer: ReturnType<typeof setTimeout> | undefined;
  private devicesTimer: ReturnType<typeof setTimeout> | undefined;
  private clock: ReturnType<typeof setInterval> | undefined;
  private rulesTimer: ReturnType<typeof setInterval> | undefined;
  private drew = 0;

  /** Learns the server's clock from an answer, by half the round trip. */
  private async readMe(): Promise<Me> {
    const before = Date.now();
    const me = await get<Me>('/api/v1/me');
    const after = Date.now();
    if (me.now) this.offset = me.now - (before + after) / 2;
    return me;
  }

  /** Loads what does not stream, then follows. Throws a Problem when not logged in. */
  async start(onLoginEnded: () => void): Promise<Me> {
    const me = await this.readMe();
    this.me = me;
    const url = new URL('/live', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    this.live = new LiveClient({
      url: url.href,
      topics: ['telemetry', 'devices', 'alarms', ...(me.cameras ? (['cameras'] as const) : [])],
      sink: this.sink,
      onChange: (c) => {
        const wasBack = this.connection.phase !== 'back' && c.phase === 'back';
        this.connection = c;
        if (wasBack) void this.refresh();
      },
      onRefused: async (certain) => {
        if (certain) {
          onLoginEnded();
          return false;
        }
        try {
          await this.readMe();
        } catch (e) {
          if ((e as { status?: number }).status === 401) return false; // the client's 401 hook shows the log-in
        }
        return true;
      },
    });
    this.live.start();
    addEventListener('online', this.hurry);
    this.clock = setInterval(() => (this.now = Date.now() + this.offset), 1000);
    this.rulesTimer = setInterval(() => void this.refreshRules().catch(() => {}), 60_000);
    await this.refresh();
    this.loaded = true;
    return me;
  }

  stop(): void {
    this.live?.stop();
    removeEventListener('online', this.hurry);
    clearInterval(this.clock);
    clearInterval(this.rulesTimer);
    clearTimeout(this.drawTimer);
    clearTimeout(this.devicesTimer);
    clearTimeout(this.camerasTimer);
  }

  private readonly hurry = (): void => this.live?.hurry();

  async refresh(): Promise<void> {
    await Promise.allSettled([this.refreshDevices(), this.refreshRules(), this.refreshZones(), this.refreshCatalogue(), this.refreshRivers(), this.refreshCameras()]);
  }
  async refreshDevices(): Promise<void> {
    const all = await list<Device>('/api/v1/devices');
    for (const d of all) if (d.state && !this.states.has(d.id)) this.states.set(d.id, d.state);
    this.devices = new Map(all.map((d) => [d.id, d]));
    this.draw();
  }
  /** Reads the list of cameras again; without the right there is none. */
  async refreshCameras(): Promise<void> {
    if (!this.me?.cameras) return;
    clearTimeout(this.camerasTimer);
    this.camerasTimer = undefined;
    this.camerasRead = Date.now();
    const turn = ++this.camerasTurn;
    const all = await list<Camera>('/api/v1/cameras');
    if (turn !== this.camerasTurn) return; // a later answer stands
    all.sort((a, b) => collator.compare(a.name, b.name) || a.id.localeCompare(b.id));
    this.cameras = new Map(all.map((c) => [c.id, { ...c, status: statusOf(c.status, this.cameraRows.get(c.id)) }]));
  }
  async refreshRules(): Promise<void> {
    this.rules = await list<Rule>('/api/v1/rules');
  }
  async refreshZones(): Promise<void> {
    const all = await list<ZoneItem>('/api/v1/zones');
    const features = await Promise.all(all.map((z) => get<ZoneFeature>(`/api/v1/zones/${encodeURIComponent(z.id)}`).catch(() => undefined)));
    this.zones = features.filter((f): f is ZoneFeature => f !== undefined);
  }
  private async refreshCatalogue(): Promise<void> {
    this.metrics = new Map((await items<Metric>('/api/v1/metrics')).map((m) => [m.name, m]));
  }
  private async refreshRivers(): Promise<void> {
    this.rivers = new Map((await list<River>('/api/v1/rivers')).map((r) => [r.id, r]));
  }

  private readonly sink: Sink = {
    snapshot: (topic, rows) => {
      if (topic === 'telemetry') this.values.clear();
      else if (topic === 'devices') this.states.clear();
      else this.cameraRows.clear();
      this.put(topic, rows);
    },
    delta: (topic, set, del) => {
      this.put(topic, set);
      if (topic === 'cameras') {
        this.camerasGone(del);
        return;
      }
      for (const key of del) {
        if (topic === 'devices') {
          this.states.delete(key);
          this.devicesChanged();
        } else {
          const slash = key.lastIndexOf('/');
          this.values.get(key.slice(0, slash))?.delete(key.slice(slash + 1));
        }
      }
    },
    alarms: (alarms) => {
      this.alarms = [...alarms].sort(compareAlarms);
    },
    event: (e) => {
      const rest = this.alarms.filter((a) => a.id !== e.alarm.id);
      if (e.alarm.state === 'closed') {
        this.recentlyClosed = [e.alarm, ...this.recentlyClosed.filter((a) => a.id !== e.alarm.id)].slice(0, CLOSED_KEPT);
      } else rest.push(e.alarm);
      this.alarms = rest.sort(compareAlarms);
      this.lastEvent = e;
      if (!this.rules.some((r) => r.id === e.alarm.rule)) void this.refreshRules().catch(() => {});
    },
    heartbeat: (ts) => {
      this.lagMs = Math.max(0, Date.now() + this.offset - ts);
    },
  };

  private putCameras(rows: Row[]): void {
    for (const row of rows) this.cameraRows.set(row[0], row);
    this.cameras = camerasWith(this.cameras, rows);
    if (rows.some((row) => outdated(this.cameras.get(row[0]), row))) this.camerasChanged();
  }
  private camerasGone(ids: readonly string[]): void {
    if (ids.length === 0) return;
    for (const id of ids) this.cameraRows.delete(id);
    this.cameras = new Map([...this.cameras].filter(([id]) => !ids.includes(id)));
    this.camerasChanged();
  }
  private camerasChanged(): void {
    if (this.camerasTimer !== undefined) return;
    const wait = Math.max(300, this.camerasRead + CAMERAS_EVERY_MS - Date.now());
    this.camerasTimer = setTimeout(() => void this.refreshCameras().catch(() => {}), wait);
  }

  private put(topic: Topic, rows: Row[]): void {
    if (topic === 'cameras') {
      this.putCameras(rows);
      return;
    }
    for (const [key, t, v, q] of rows) {
      if (topic === 'devices') {
        this.states.set(key, v as DeviceState);
        if (!this.devices.has(key)) this.devicesChanged();
      } else {
        const slash = key.lastIndexOf('/');
        const id = key.slice(0, slash);
        let of = this.values.get(id);
        if (!of) this.values.set(id, (of = new Map()));
        of.set(key.slice(slash + 1), { t, v: v as number, q });
      }
    }
    this.draw();
  }

  private devicesChanged(): void {
    clearTimeout(this.devicesTimer);
    this.devicesTimer = setTimeout(() => void this.refreshDevices().catch(() => {}), 300);
  }

  private draw(): void {
    if (this.drawTimer !== undefined) return;
    const wait = Math.max(0, this.drew + DRAW_EVERY_MS - Date.now());
    this.drawTimer = setTimeout(() => {
      this.drawTimer = undefined;
      this.drew = Date.now();
      this.now = Date.now() + this.offset;
      this.version++;
      this.live?.seen('telemetry');
    }, wait);
  }

  /** All values of a device, by metric. Read `version` to follow it. */
  readings(id: string): ReadonlyMap<string, Reading> {
    void this.version;
    return this.values.get(id) ?? EMPTY;
  }

  readonly zonesOf: ReadonlyMap<string, string[]> = $derived.by(() => {
    const out = new Map<string, string[]>();
    for (const d of this.devices.values()) {
      const p = d.position;
      if (p) out.set(d.id, this.zones.filter((z) => holds(z, p.lon, p.lat)).map(zoneId));
    }
    return out;
  });

  readonly rulesOf: ReadonlyMap<string, Rule[]> = $derived.by(() => {
    const out = new Map<string, Rule[]>();
    for (const d of this.devices.values()) out.set(d.id, this.rules.filter((r) => inScope(r, d, this.zonesOf.get(d.id) ?? [])));
    return out;
  });

  readonly alarmsOf: ReadonlyMap<string, Alarm[]> = $derived.by(() => {
    const out = new Map<string, Alarm[]>();
    for (const a of this.alarms) out.set(a.subject, [...(out.get(a.subject) ?? []), a]);
    return out;
  });

  /** Every device as it is to be shown, in the order of its name. */
  readonly views: readonly StationView[] = $derived.by(() => {
    void this.version;
    const out: StationView[] = [];
    for (const d of this.devices.values()) {
      const state = this.states.get(d.id) ?? d.state;
      const device = state === d.state ? d : { ...d, state };
      const known = this.values.get(d.id);
      const metric = mainMetric(device, known?.keys() ?? []);
      const reading = metric ? known?.get(metric) : undefined;
      const rules = this.rulesOf.get(d.id) ?? [];
      const look = lookState(device, reading, intervalMs(metric, d.metrics), rules.filter((r) => r.metric === metric), this.now);
      out.push({ device, metric, reading, look, alarms: this.alarmsOf.get(d.id) ?? [], rules });
    }
    return out.sort((a, b) => collator.compare(a.device.name, b.device.name));
  });

  readonly stations = $derived(this.views.filter((v) => v.device.kind === 'station'));
  readonly accessPoints = $derived(this.views.filter((v) => v.device.kind === 'access_point'));
  readonly unacknowledged = $derived(this.alarms.filter(wantsAck).length);
  readonly lost = $derived(this.connection.phase === 'reconnecting' || this.connection.phase === 'lost');
  readonly mayAct = $derived(this.me?.role === 'admin' || this.me?.role === 'operator');
  readonly mayCameras = $derived(this.me?.cameras === true);
  readonly mayAdmin = $derived(this.me?.role === 'admin');
}

const EMPTY: ReadonlyMap<string, Reading> = new Map();
const collator = new Intl.Collator('vi', { numeric: true });
