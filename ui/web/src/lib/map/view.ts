// One MapLibre map, kept alive for as long as its page. It draws land, water
// and zones; stations and labels are DOM above it (MapPane).

import type { FeatureCollection, Polygon } from 'geojson';
import * as maplibre from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import { get } from '../api/client';
import type { WaterClass } from '../water/salinity';
import { stripes, type Palette } from './palette';

maplibre.setWorkerUrl(workerUrl);

export interface Reach {
  river: string;
  from_km: number;
  to_km: number;
}
export type Bounds = [w: number, s: number, e: number, n: number];
/** Where to look before any station is known: the lower delta. */
export const DELTA: Bounds = [105.95, 9.8, 106.9, 10.5];
/** After a hand was on the map it does not move by itself for this long. */
export const HANDS_OFF_MS = 10_000;

const FONT = ['Be Vietnam Pro'];
const CLASSES: WaterClass[] = ['fresh', 'mid', 'salt'];

export interface Hooks {
  /** The camera changed; positions on screen are to be taken anew. */
  moved(): void;
  /** The camera came to rest. */
  settled(): void;
  resized(): void;
  /** A hand moved the camera. */
  steered(): void;
  clicked(lon: number, lat: number): void;
  lost(isLost: boolean): void;
}

export function hasWebGL(): boolean {
  try {
    const gl = document.createElement('canvas').getContext('webgl2');
    gl?.getExtension('WEBGL_lose_context')?.loseContext();
    return gl !== null;
  } catch {
    return false;
  }
}

/** Side of the squares that keep the canvas's names off labels and markers, pixels. */
const KEEP_PX = 18;

export class MapView {
  readonly map: maplibre.Map;
  private reaches: Reach[] = [];
  private shown: (WaterClass | undefined)[] = [];
  // What was last asked for, kept for a style that comes later.
  private water: ((r: Reach) => WaterClass) | undefined;
  private layers = new Map<string, boolean>();
  private palette: Palette | undefined;
  private zonesPending: FeatureCollection | undefined;
  private zonesShown: FeatureCollection | undefined;
  private zonesBusy = false;
  private held = false;
  private lastHand = -Infinity;
  private ready = false;

  private kept = '';

  private constructor(container: HTMLElement, palette: Palette, bounds: Bounds, hooks: Hooks, base: Base) {
    this.reaches = base.reaches.features.map((f) => f.properties as Reach);
    this.map = new maplibre.Map({
      container,
      style: styleOf(palette, base),
      bounds,
      fitBoundsOptions: { padding: 48 },
      attributionControl: false,
      renderWorldCopies: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      rollEnabled: false,
      minZoom: 3,
      maxZoom: 16,
      maxBounds: [85, -5, 135, 35],
      fadeDuration: 0,
      locale: {},
    });
    const map = this.map;
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.addImage('unknown', stripes(palette.land, palette.stripe), { pixelRatio: 2 });
    map.on('move', () => hooks.moved());
    map.on('moveend', () => hooks.settled());
    map.on('resize', () => {
      hooks.resized();
      hooks.settled();
    });
    map.on('movestart', (e) => {
      if (e.originalEvent) hooks.steered();
    });
    map.on('click', (e) => hooks.clicked(e.lngLat.lng, e.lngLat.lat));
    map.on('webglcontextlost', () => {
      this.ready = false; // the style goes with the context
      hooks.lost(true);
    });
    map.on('webglcontextrestored', () => hooks.lost(false));
    // Again after a lost context: a new style knows nothing of what was set on the old one.
    map.on('style.load', () => {
      this.ready = true;
      this.shown = [];
      this.kept = '';
      if (!map.hasImage('nothing')) map.addImage('nothing', { width: 1, height: 1, data: new Uint8Array(4) });
      this.zonesBusy = false;
      this.zonesPending ??= this.zonesShown;
      if (this.palette) this.setPalette(this.palette);
      for (const [layer, visible] of this.layers) this.setLayer(layer, visible);
      if (this.water) this.setWater(this.water);
      this.pumpZones();
      hooks.settled();
    });
    const down = () => (this.held = true);
    const up = () => {
      if (this.held) this.lastHand = Date.now();
      this.held = false;
    };
    container.addEventListener('pointerdown', down);
    container.addEventListener('wheel', () => (this.lastHand = Date.now()), { passive: true });
    addEventListener('pointerup', up);
    addEventListener('pointercancel', up);
    this.remove = () => {
      removeEventListener('pointerup', up);
      removeEventListener('pointercancel', up);
      map.remove();
    };
  }

  readonly remove: () => void;

  /** A wheel turned over what lies above the canvas turns the map, as beside it. */
  wheel(e: WheelEvent): void {
    e.preventDefault();
    this.map.getCanvasContainer().dispatchEvent(new WheelEvent('wheel', e));
  }

  /** Loads the base map and the face its names are written in, then draws. */
  static async create(container: HTMLElement, palette: Palette, bounds: Bounds, hooks: Hooks): Promise<MapView> {
    const files = ['land', 'water', 'reaches', 'rivers'] as const;
    const [land, water, reaches, rivers] = (await Promise.all(files.map((f) => get<FeatureCollection>(`/base/${f}.geojson`)))) as [
      FeatureCollection,
      FeatureCollection,
      FeatureCollection<Polygon>,
      FeatureCollection,
    ];
    await Promise.all(['Sông Tiền', 'Cổ Chiên'].map((s) => document.fonts.load('500 16px "Be Vietnam Pro"', s))).catch(() => {});
    return new MapView(container, palette, bounds, hooks, { land, water, reaches, rivers });
  }

  /** Whether the map may move by itself now. */
  get handsOff(): boolean {
    return !this.held && Date.now() - this.lastHand > HANDS_OFF_MS;
  }
  /** Whether a hand has been on the map since it was made. */
  get touched(): boolean {
    return this.held || this.lastHand > 0;
  }

  project(lon: number, lat: number): { x: number; y: number } {
    return this.map.project([lon, lat]);
  }
  get zoom(): number {
    return this.map.getZoom();
  }
  fit(bounds: Bounds, padding: { top: number; right: number; bottom: number; left: number }): void {
    this.map.fitBounds(bounds, { padding, maxZoom: 12, animate: false });
  }
  centre(lon: number, lat: number): void {
    this.map.jumpTo({ center: [lon, lat], zoom: Math.max(this.map.getZoom(), 10.5) });
  }
  /** Puts a place so many pixels right of and below the middle. */
  show(lon: number, lat: number, zoom: number, dx: number, dy: number): void {
    this.map.easeTo({ center: [lon, lat], zoom, offset: [dx, dy], duration: 0 });
  }
  zoomBy(d: number): void {
    this.map.zoomTo(this.map.getZoom() + d, { animate: false });
  }
  /** Metres a pixel at the middle of the map. */
  get metresPerPixel(): number {
    return (156543.03392 * Math.cos((this.map.getCenter().lat * Math.PI) / 180)) / 2 ** (this.map.getZoom() + 1);
  }

  /** Colours every reach by what is known of it; touches only those that changed. */
  setWater(classAt: (r: Reach) => WaterClass): void {
    this.water = classAt;
    if (!this.ready) return;
    this.reaches.forEach((r, id) => {
      const c = classAt(r);
      if (this.shown[id] === c) return;
      this.shown[id] = c;
      this.map.setFeatureState({ source: 'reaches', id }, { c: CLASSES.indexOf(c) });
    });
  }

  /** What the canvas is called by a screen reader. */
  setTitle(title: string): void {
    this.map.getCanvas().setAttribute('aria-label', title);
  }

  setLayer(layer: string, visible: boolean): void {
    this.layers.set(layer, visible);
    if (this.ready) this.map.setLayoutProperty(layer, 'visibility', visible ? 'visible' : 'none');
  }

  /** One update on its way at most; of those that wait the latest wins. */
  setZones(zones: FeatureCollection): void {
    this.zonesPending = zones;
    this.pumpZones();
  }
  private pumpZones(): void {
    if (!this.ready || this.zonesBusy || !this.zonesPending) return;
    const data = (this.zonesShown = this.zonesPending);
    this.zonesPending = undefined;
    this.zonesBusy = true;
    const done = () => {
      this.zonesBusy = false;
      this.pumpZones();
    };
    const source = this.map.getSource<maplibre.GeoJSONSource>('zones');
    void Promise.resolve(source?.setData(data)).then(done, done);
  }

  /**
   * Screen rectangles that names written by the canvas must not cross: each is
   * tiled with icons that nobody sees but that collide.
   */
  keepClear(rects: readonly { x: number; y: number; w: number; h: number }[]): void {
    if (!this.ready) return;
    const at: [number, number][] = [];
    for (const r of rects) {
      const n = Math.max(1, Math.ceil(r.w / KEEP_PX));
      const m = Math.max(1, Math.ceil(r.h / KEEP_PX));
      for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) at.push([r.x + ((i + 0.5) * r.w) / n, r.y + ((j + 0.5) * r.h) / m]);
    }
    const text = at.map(([x, y]) => `${Math.round(x / 4)},${Math.round(y / 4)}`).join(' ') + this.zoom + this.map.getCenter();
    if (text === this.kept) return;
    this.kept = text;
    const coordinates = at.map((p) => this.map.unproject(p).toArray());
    void this.map.getSource<maplibre.GeoJSONSource>('keep')?.setData({ type: 'Feature', properties: {}, geometry: { type: 'MultiPoint', coordinates } });
  }

  setPalette(p: Palette): void {
    this.palette = p;
    if (!this.ready) return;
    const map = this.map;
    map.setPaintProperty('sea', 'background-color', p.sea);
    map.setPaintProperty('land', 'fill-color', p.land);
    map.setPaintProperty('open-sea', 'fill-color', p.sea);
    map.setPaintProperty('reaches', 'fill-color', waterColour(p));
    map.setPaintProperty('banks', 'line-color', p.bank);
    map.setPaintProperty('zones', 'line-color', p.text);
    map.setPaintProperty('river-names', 'text-color', p.text);
    map.setPaintProperty('river-names', 'text-halo-color', p.land);
    map.updateImage('unknown', stripes(p.land, p.stripe));
  }
}

interface Base {
  land: FeatureCollection;
  water: FeatureCollection;
  reaches: FeatureCollection<Polygon>;
  rivers: FeatureCollection;
}

function waterColour(p: Palette): maplibre.ExpressionSpecification {
  return ['match', ['coalesce', ['feature-state', 'c'], -1], 0, p.fresh, 1, p.mid, 2, p.sea, p.land];
}

function styleOf(p: Palette, base: Base): maplibre.StyleSpecification {
  const known: maplibre.ExpressionSpecification = ['case', ['>=', ['coalesce', ['feature-state', 'c'], -1], 0], 1, 0];
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: base.land, tolerance: 0.4 },
      water: { type: 'geojson', data: base.water, tolerance: 0.4 },
      reaches: { type: 'geojson', data: base.reaches, generateId: true, tolerance: 0.2 },
      rivers: { type: 'geojson', data: base.rivers },
      zones: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
      keep: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': p.sea } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': p.land } },
      { id: 'open-sea', type: 'fill', source: 'water', filter: ['!=', ['get', 'class'], 'river'], paint: { 'fill-color': p.sea } },
      { id: 'rivers-unknown', type: 'fill', source: 'water', filter: ['==', ['get', 'class'], 'river'], paint: { 'fill-pattern': 'unknown' } },
      { id: 'reaches', type: 'fill', source: 'reaches', paint: { 'fill-color': waterColour(p), 'fill-opacity': known } },
      { id: 'banks', type: 'line', source: 'water', filter: ['==', ['get', 'class'], 'river'], paint: { 'line-color': p.bank, 'line-width': 1 } },
      {
        id: 'zones',
        type: 'line',
        source: 'zones',
        paint: { 'line-color': p.text, 'line-width': 1.5, 'line-dasharray': [4, 3] },
      },
      {
        id: 'river-names',
        type: 'symbol',
        source: 'rivers',
        layout: {
          'symbol-placement': 'line',
          'symbol-spacing': 450,
          'text-field': ['get', 'name'],
          'text-font': FONT,
          'text-size': 12,
          'text-letter-spacing': 0.12,
          'text-max-angle': 30,
        },
        paint: { 'text-color': p.text, 'text-halo-color': p.land, 'text-halo-width': 1.2 },
      },
      // Above the names, so placed before them.
      { id: 'keep', type: 'symbol', source: 'keep', layout: { 'icon-image': 'nothing', 'icon-allow-overlap': true, 'icon-padding': KEEP_PX / 2 } },
    ],
  };
}
