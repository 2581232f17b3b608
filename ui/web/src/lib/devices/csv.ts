// Stations from a spreadsheet: id,name,kind,lon,lat,metrics,every_s. Comma or
// semicolon between, quotes as in RFC 4180, several metrics parted by spaces or |.

import type { DeviceKind } from '../api/types';
import { parseNumber } from '../format/number';

export interface Row {
  line: number;
  device?: { id: string; name: string; kind: DeviceKind; position?: { lon: number; lat: number }; metrics?: { metric: string; every_s?: number }[] };
  /** The column that cannot be read and what it holds; "header" when there is no id column. */
  why?: { column: string; value?: string };
}
const KINDS: readonly string[] = ['station', 'gateway', 'access_point', 'bridge'];
/** More rows than this belong in a script that speaks HTTP. */
export const MOST_ROWS = 2000;

/** Fields of a CSV text with the line each record begins at; a quoted field may hold separators and line ends. */
export function records(text: string): { line: number; fields: string[] }[] {
  const clean = text.replace(/^\ufeff/, '');
  const head = clean.split('\n', 1)[0] ?? '';
  const separator = head.split(';').length > head.split(',').length ? ';' : ',';
  const out: { line: number; fields: string[] }[] = [];
  let fields: string[] = [];
  let field = '';
  let quoted = false;
  let line = 1;
  let begin = 1;
  const endField = () => {
    fields.push(field.trim());
    field = '';
  };
  const endRecord = () => {
    endField();
    if (fields.some((f) => f !== '')) out.push({ line: begin, fields });
    fields = [];
  };
  for (let i = 0; i < clean.length; i++) {
    const c = clean[i]!;
    if (c === '\n') line++;
    if (quoted) {
      if (c !== '"') field += c;
      else if (clean[i + 1] === '"') {
        field += '"';
        i++;
      } else quoted = false;
    } else if (c === '"' && field.trim() === '') {
      field = '';
      quoted = true;
    } else if (c === separator) endField();
    else if (c === '\n') {
      endRecord();
      begin = line;
    } else if (c !== '\r') field += c;
  }
  endRecord();
  return out;
}

/** Devices of a file, each line with what it holds or why it cannot be read. */
export function devicesOf(text: string): Row[] {
  const all = records(text);
  const head = all[0]?.fields.map((f) => f.toLowerCase()) ?? [];
  const at = (name: string) => head.indexOf(name);
  if (at('id') < 0) return [{ line: 1, why: { column: 'header' } }];
  return all.slice(1, 1 + MOST_ROWS).map(({ line, fields }) => {
    const f = (name: string) => (at(name) >= 0 ? (fields[at(name)] ?? '') : '');
    const kind = f('kind') || 'station';
    if (!f('id')) return { line, why: { column: 'id' } };
    if (!KINDS.includes(kind)) return { line, why: { column: 'kind', value: kind } };
    let position: { lon: number; lat: number } | undefined;
    if (f('lon') || f('lat')) {
      const lon = parseNumber(f('lon'));
      const lat = parseNumber(f('lat'));
      if (lon === undefined || lat === undefined) return { line, why: { column: 'lon, lat', value: `${f('lon')} ${f('lat')}` } };
      position = { lon, lat };
    }
    const every = f('every_s') ? parseNumber(f('every_s')) : undefined;
    if (f('every_s') && (every === undefined || every <= 0)) return { line, why: { column: 'every_s', value: f('every_s') } };
    const metrics = f('metrics').split(/[\s|]+/).filter(Boolean).map((metric) => ({ metric, ...(every ? { every_s: Math.round(every) } : {}) }));
    return { line, device: { id: f('id'), name: f('name') || f('id'), kind: kind as DeviceKind, ...(position ? { position } : {}), ...(metrics.length ? { metrics } : {}) } };
  });
}
