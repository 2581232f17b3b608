import { describe, expect, it } from 'vitest';
import { devicesOf, records } from './csv';

describe('stations from a file', () => {
  it('reads what spreadsheets write', () => {
    const text = '\ufeffid;name;kind;lon;lat;metrics;every_s\r\nsal-1;"Cống ""A""; bờ tả";station;106,45;10,31;salinity level;60\r\n\r\nap-1;Chợ;access_point;;;;\r\n';
    expect(devicesOf(text)).toEqual([
      { line: 2, device: { id: 'sal-1', name: 'Cống "A"; bờ tả', kind: 'station', position: { lon: 106.45, lat: 10.31 }, metrics: [{ metric: 'salinity', every_s: 60 }, { metric: 'level', every_s: 60 }] } },
      { line: 4, device: { id: 'ap-1', name: 'Chợ', kind: 'access_point' } },
    ]);
  });
  it('says which line and field cannot be read, and reads the rest', () => {
    const rows = devicesOf('id,kind,lon,lat,every_s\na,robot,1,2,\n,station,1,2,\nb,,x,2,\nc,,1,2,0\nd,,1,2,5');
    expect(rows.map((r) => [r.line, r.why ?? r.device?.id])).toEqual([
      [2, { column: 'kind', value: 'robot' }],
      [3, { column: 'id' }],
      [4, { column: 'lon, lat', value: 'x 2' }],
      [5, { column: 'every_s', value: '0' }],
      [6, 'd'],
    ]);
  });
  it('keeps line numbers over quoted line ends, and survives an open quote', () => {
    expect(records('id\n"a\nb"\nc').map((r) => r.line)).toEqual([1, 2, 4]);
    expect(records('id\n"a')).toHaveLength(2);
    expect(devicesOf('name\nx')[0]?.why).toEqual({ column: 'header' });
    expect(devicesOf('')[0]?.why).toBeDefined();
  });
});
