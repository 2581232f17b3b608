// Cameras that are not ours, processes of their own: fieldsim's, and GStreamer's RTSP server.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from './until.mjs';

const FIELDSIM = process.env.FIELDSIM_BIN ?? fileURLToPath(new URL('../../../../bin/fieldsim', import.meta.url));
const GSTREAMER = fileURLToPath(new URL('../../../../video/rtsp/testdata/gst_server.py', import.meta.url));

/** What must not outlive this process. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A server of cameras that can be stopped, killed, frozen and started again on its port. */
class CameraServer {
  constructor(what, command, read, env = {}) {
    Object.assign(this, { what, command, read, env, port: 0 });
  }

  async up() {
    const [file, ...args] = this.command(this.port);
    // Its input is a pipe: GStreamer's server ends with it, fieldsim does not mind.
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...this.env } });
    running.add(child);
    let out = '';
    let words = '';
    child.stdin.on('error', () => {});
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (words = (words + d).slice(-4000)));
    this.process = child;
    this.ended = new Promise((done) => child.once('exit', done).once('error', (e) => done((words += e)))).then(() => running.delete(child));
    this.port = await until(`${this.what} listens`, () => {
      if (!running.has(child)) throw Object.assign(new Error(`${this.what} ended: ${words}`), { final: true });
      return this.read(out);
    });
    return this;
  }

  /** A camera that is switched off: its connections are closed and nobody listens any more. */
  async stop() {
    this.process.stdin.end();
    this.process.kill('SIGTERM');
    const hard = setTimeout(() => this.process.kill('SIGKILL'), 5000);
    await this.ended;
    clearTimeout(hard);
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** A camera that hangs: its connections stay and say nothing. */
  freeze() {
    this.process.kill('SIGSTOP');
  }

  thaw() {
    this.process.kill('SIGCONT');
  }
}

export class Cameras {
  constructor(ioc) {
    this.ioc = ioc;
    this.servers = [];
  }

  async #start(server) {
    this.servers.push(server);
    return server.up();
  }

  /** fieldsim's cameras; urls are rtsp://HOST/cam-1 and so on. */
  async simulated({ count = 0, flags = [] } = {}) {
    const s = new CameraServer(
      'fieldsim cameras',
      (port) => [FIELDSIM, 'cameras', '--addr', `127.0.0.1:${port}`, '--count', String(count), ...flags],
      (out) => Number(/rtsp:\/\/127\.0\.0\.1:(\d+)\/cam-1\n/.exec(out)?.[1]),
    );
    await this.#start(s);
    s.url = (n) => `rtsp://127.0.0.1:${s.port}/cam-${n}`;
    return s;
  }

  /** GStreamer's server: one camera at /cam, H.264 and AAC, behind digest log-in. */
  gstreamer(user, password) {
    return this.#start(new CameraServer('gst_server.py', (port) => ['/usr/bin/python3', GSTREAMER, user, password, String(port)], (out) => Number(/^(\d+)\n/.exec(out)?.[1])));
  }

  /** Registers one, a little east of the middle of the Cửa Tiểu unless said otherwise. */
  add(camera) {
    return this.ioc.api('POST', '/api/v1/cameras', { position: { lon: 106.6, lat: 10.29 }, ...camera });
  }

  async end() {
    await Promise.all(this.servers.map((s) => s.process && (s.thaw(), s.kill())));
  }
}

const EARTH_M = 6_371_008.8;
/** A place so many metres north and east of another. */
export const beside = ([lon, lat], north, east) => ({
  lon: lon + ((east / EARTH_M) * 180) / Math.PI / Math.cos((lat * Math.PI) / 180),
  lat: lat + ((north / EARTH_M) * 180) / Math.PI,
});
