// A small province with something of everything: stations in several states, an
// access point, a zone, alarms of all four priorities, a message that cannot be read.
import { beside } from './cameras.mjs';
import { CUA_TIEU, placeOf } from './field.mjs';

export const AIR = 'air-my-tho';
export const WIFI = 'wifi-cho-my-tho';
/** A name with every sort of accent, đ and Đ. */
export const ROAD = { id: 'cong-duong-moi', name: 'Cống Đường Mới' };

export async function fill({ ioc, field }) {
  await field.salinity(CUA_TIEU);
  await field.register({ id: ROAD.id, name: ROAD.name, kind: 'station', position: { lon: 106.5, lat: 10.36 }, metrics: [{ metric: 'level', every_s: 60 }] });
  await field.register({ id: AIR, name: 'Không khí Mỹ Tho', kind: 'station', position: { lon: 106.362, lat: 10.3615 }, metrics: [{ metric: 'pm2_5', every_s: 60 }, { metric: 'air_temperature', every_s: 60 }] });
  await field.register({ id: 'tram-im', name: 'Trạm chưa gửi', kind: 'station', position: { lon: 106.62, lat: 10.34 }, metrics: [{ metric: 'salinity', every_s: 60 }] });
  await field.register({ id: WIFI, name: 'Chợ Mỹ Tho', kind: 'access_point', position: { lon: 106.3668, lat: 10.3563 }, metrics: [{ metric: 'ap_clients', every_s: 60 }] });
  const ring = [[106.5, 10.24], [106.7, 10.24], [106.7, 10.33], [106.5, 10.33], [106.5, 10.24]];
  await ioc.api('POST', '/api/v1/zones', { type: 'FeatureCollection', features: [{ type: 'Feature', id: 'go-cong', properties: { name: 'Ngọt hóa Gò Công' }, geometry: { type: 'Polygon', coordinates: [ring] } }] });
  const rule = (id, title, priority, device, above) => ioc.api('POST', '/api/v1/rules', { id, title, metric: 'salinity', scope: { devices: [device] }, on: { above }, off: { below: above * 0.8 }, priority });
  await rule('khan-cap', 'Mặn vượt 4 g/l', 'urgent', CUA_TIEU[0], 4);
  await rule('cao', 'Mặn vượt 2 g/l', 'high', CUA_TIEU[1], 2);
  await rule('vua', 'Mặn vượt 1 g/l', 'medium', CUA_TIEU[2], 1);
  await rule('thap', 'Mặn vượt 0,5 g/l', 'low', CUA_TIEU[3], 0.5);
  for (const [i, v] of [9.4, 2.4, 1.2, 0.61].entries()) await field.publish(CUA_TIEU[i], v);
  await field.publish(ROAD.id, { values: { level: -1.2 } });
  await field.publish(AIR, { values: { pm2_5: 1284.4, air_temperature: 31.5 } });
  await field.publish(WIFI, { values: { ap_clients: 41 } });
  await field.publishRaw(ROAD.id, '{"values": {"level": -1.');
}

export const DARK_CAMERA = 'cam-tat';
/** Two cameras beside the worst alarm: one that plays and sees it, and one that is not there. */
export async function film({ cameras }) {
  const server = await cameras.simulated();
  await cameras.add({ id: 'cam-1', name: 'Camera Vàm Kênh', url: server.url(1), position: beside(placeOf(CUA_TIEU[0]), 400, 0), bearing: 180, view_deg: 60, kind: 'security', group: 'Cống' });
  await cameras.add({ id: DARK_CAMERA, name: 'Camera Bến đò Gò Công', url: 'rtsp://127.0.0.1:1/', position: beside(placeOf(CUA_TIEU[0]), -300, 0), kind: 'traffic' });
}
