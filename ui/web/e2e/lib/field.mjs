// Stations as they stand in the base map, registered by the API and heard by mosquitto_pub.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BASE = fileURLToPath(new URL('../../../../geo/base/', import.meta.url));
export const baseMap = (name) => JSON.parse(readFileSync(`${BASE}${name}.geojson`, 'utf8')).features;
const known = new Map(baseMap('stations').map((f) => [f.id ?? f.properties.id, f]));

/** The four salinity stations of the Cửa Tiểu, mouth first. */
export const CUA_TIEU = ['sal-cua-tieu-1', 'sal-cua-tieu-2', 'sal-cua-tieu-3', 'sal-cua-tieu-4'];
export const placeOf = (id) => known.get(id).geometry.coordinates;

export class Field {
  constructor(ioc) {
    this.ioc = ioc;
    this.passwords = new Map();
  }

  /** Registers base map stations that measure salinity. A value is stale after 3 × every_s. */
  async salinity(ids, every_s = 60) {
    for (const id of ids) {
      const f = known.get(id);
      const [lon, lat] = f.geometry.coordinates;
      await this.register({ id, name: f.properties.name, kind: 'station', position: { lon, lat }, metrics: [{ metric: 'salinity', every_s }] });
    }
  }

  async register(device) {
    const { credentials } = await this.ioc.api('POST', '/api/v1/devices', device);
    this.passwords.set(device.id, credentials.password);
  }

  args(id, topic = `devices/${id}/telemetry`, version = '5') {
    return ['-V', version, '-h', '127.0.0.1', '-p', String(this.ioc.mqtt), '-u', id, '-P', this.passwords.get(id), '-q', '1', '-t', topic];
  }

  /** One QoS 1 publish; resolves when it has been acknowledged. */
  publish(id, payload) {
    const body = typeof payload === 'number' ? { values: { salinity: payload } } : payload;
    return run('mosquitto_pub', [...this.args(id), '-m', JSON.stringify(body)]);
  }

  /** The same with any bytes, by MQTT 3.1.1, whose PUBACK has no reason that mosquitto_pub would complain of. */
  publishRaw(id, payload, topic) {
    const file = join(this.ioc.dir, 'payload');
    writeFileSync(file, payload);
    return run('mosquitto_pub', [...this.args(id, topic, '311'), '-f', file]);
  }

  /** A connection that stays open, one line a message. End it with close(). */
  stream(id) {
    const child = spawn('mosquitto_pub', [...this.args(id), '-l'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = new Promise((done) => child.once('exit', done).once('error', done));
    child.stdin.on('error', () => {});
    return {
      send: (payload) => child.stdin.write(JSON.stringify(payload) + '\n'),
      close: async () => {
        child.stdin.end();
        const hard = setTimeout(() => child.kill('SIGKILL'), 5000);
        await ended;
        clearTimeout(hard);
      },
    };
  }
}

/** Runs a command; rejects with its words unless it ends with 0. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 15_000, ...options });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => (text += d));
    child.once('error', reject);
    child.once('close', (code, signal) => (code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code ?? signal}: ${text}`))));
  });
}
