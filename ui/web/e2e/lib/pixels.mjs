// What the eye sees: the tones of a screenshot, and where on it a place of the map lies.
import { inflateSync } from 'node:zlib';
import { baseMap } from './field.mjs';

/** Decodes an 8-bit RGB or RGBA PNG without interlace, which is what Chromium writes. */
export function decodePNG(file) {
  if (file.readUInt32BE(0) !== 0x89504e47) throw new Error('not a PNG');
  const idat = [];
  let width, height, channels;
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const kind = file.toString('latin1', at + 4, at + 8);
    const data = file.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') {
      [width, height] = [data.readUInt32BE(0), data.readUInt32BE(4)];
      channels = { 2: 3, 6: 4 }[data[9]];
      if (data[8] !== 8 || !channels || data[12] !== 0) throw new Error(`PNG of depth ${data[8]}, colour ${data[9]}, interlace ${data[12]}`);
    } else if (kind === 'IDAT') idat.push(data);
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(idat));
  const row = width * channels;
  const out = Buffer.alloc(row * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)];
    for (let x = 0; x < row; x++) {
      const left = x < channels ? 0 : out[y * row + x - channels];
      const up = y === 0 ? 0 : out[(y - 1) * row + x];
      const corner = x < channels || y === 0 ? 0 : out[(y - 1) * row + x - channels];
      out[y * row + x] = raw[y * (row + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
  }
  return { width, height, at: (x, y) => { const i = (y * width + x) * channels; return [out[i], out[i + 1], out[i + 2]]; } };
}

function paeth(a, b, c) {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

const mercator = (lat) => Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360));

/** The map's projection to page pixels, from two markers whose places are known. */
export async function projection(page, [idA, [lonA, latA]], [idB, [lonB, latB]]) {
  const spot = async (id) => {
    const r = await page.getByTestId(`station-${id}`).evaluate((el) => {
      const dot = (el.querySelector('span.dot') ?? el).getBoundingClientRect();
      return { x: dot.x + dot.width / 2, y: dot.y + dot.height / 2 };
    });
    return r;
  };
  const [a, b] = [await spot(idA), await spot(idB)];
  // Web Mercator has one scale for both axes; the farther axis gives it best.
  const kx = (b.x - a.x) / (((lonB - lonA) * Math.PI) / 180);
  return ([lon, lat]) => [a.x + kx * (((lon - lonA) * Math.PI) / 180), a.y - kx * (mercator(lat) - mercator(latA))];
}

/** Outlines of a river's reaches between two chainages, in page pixels. */
export function reachesOf(river, fromKm, toKm, onPage) {
  return baseMap('reaches')
    .filter((f) => f.properties.river === river && f.properties.from_km >= fromKm && f.properties.to_km <= toKm)
    .flatMap((f) => (f.geometry.type === 'Polygon' ? [f.geometry.coordinates[0]] : f.geometry.coordinates.map((p) => p[0])))
    .map((ring) => ring.map(onPage));
}

/** How the pixels inside polygons share among named tones; the rest is 'other'. */
export function tones(image, rings, palette) {
  const found = Object.fromEntries([...Object.keys(palette), 'other'].map((k) => [k, 0]));
  let n = 0;
  for (const ring of rings) {
    const xs = ring.map((p) => p[0]);
    const ys = ring.map((p) => p[1]);
    for (let y = Math.max(0, Math.ceil(Math.min(...ys))); y < Math.min(image.height, Math.max(...ys)); y++) {
      for (let x = Math.max(0, Math.ceil(Math.min(...xs))); x < Math.min(image.width, Math.max(...xs)); x++) {
        if (!inside(ring, x + 0.5, y + 0.5)) continue;
        n++;
        const pixel = image.at(x, y);
        const name = Object.keys(palette).find((k) => palette[k].every((v, i) => Math.abs(v - pixel[i]) <= 3));
        found[name ?? 'other']++;
      }
    }
  }
  return { n, share: Object.fromEntries(Object.entries(found).map(([k, v]) => [k, n ? v / n : 0])) };
}

function inside(ring, x, y) {
  let odd = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

export const hex = (s) => [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16));
/** LOOK's tones for water and land on the dark ground. */
export const DARK = { fresh: hex('#7f9ba5'), mid: hex('#46595f'), salt: hex('#10181c'), land: hex('#25292a') };
export const LIGHT = { fresh: hex('#e3f1f6'), mid: hex('#b9ccd3'), salt: hex('#8fa3ab'), land: hex('#eceee9') };
