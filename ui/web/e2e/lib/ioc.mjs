// A real `ioc serve` for one test file: free ports, a folder of its own, killed by pid whatever happens.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.mjs';

const BIN = process.env.IOC_BIN ?? fileURLToPath(new URL('../../../../bin/ioc', import.meta.url));
export const PASSWORD = 'mat-khau-thu-2026';

/** Everything that must not outlive this process; exit handlers may only do synchronous work. */
const running = new Set();
function bury() {
  for (const server of running) {
    server.process?.kill('SIGKILL');
    rmSync(server.dir, { recursive: true, force: true });
  }
  running.clear();
}
process.on('exit', bury);
for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130], ['SIGHUP', 129]]) process.once(signal, () => process.exit(code));

/** Ports that were free a moment ago, all different. */
async function freePorts(n) {
  const held = await Promise.all(
    Array.from({ length: n }, () => new Promise((resolve, reject) => {
      const s = createServer().once('error', reject).listen(0, '127.0.0.1', () => resolve(s));
    })),
  );
  const ports = held.map((s) => s.address().port);
  await Promise.all(held.map((s) => new Promise((done) => s.close(done))));
  return ports;
}

export class Ioc {
  /** Starts an empty province and waits until it answers. */
  static async start() {
    const ioc = new Ioc();
    [ioc.port, ioc.mqtt, ioc.rtsp] = await freePorts(3);
    ioc.url = `http://127.0.0.1:${ioc.port}`;
    ioc.dir = mkdtempSync(join(tmpdir(), 'ioc-e2e-'));
    running.add(ioc);
    await ioc.up();
    return ioc;
  }

  /** Starts the process on its own ports and folder, again after die(). */
  async up() {
    const log = [];
    const child = spawn(BIN, ['serve'], {
      cwd: this.dir, // a stray relative path must not land in the repository
      env: {
        PATH: process.env.PATH,
        HOME: this.dir,
        TMPDIR: this.dir,
        IOC_HTTP_ADDR: `127.0.0.1:${this.port}`,
        IOC_MQTT_ADDR: `127.0.0.1:${this.mqtt}`,
        IOC_RTSP_ADDR: `127.0.0.1:${this.rtsp}`,
        IOC_DATA_DIR: join(this.dir, 'data'),
        IOC_ADMIN_PASSWORD: PASSWORD,
        IOC_VIDEO_ALLOW: '127.0.0.0/8',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => log.push(String(d)) > 400 && log.shift());
    this.process = child;
    this.log = log;
    this.ended = new Promise((done) => child.once('exit', (code, signal) => done({ code, signal })).once('error', (e) => (log.push(String(e)), done({ code: -1, signal: null }))));
    await until('ioc serve answers', async () => {
      if (child.exitCode !== null) throw Object.assign(new Error(`ioc serve ended with ${child.exitCode}:\n${log.join('')}`), { final: true });
      return (await fetch(`${this.url}/readyz`)).ok;
    }, 30_000);
  }

  /** kill -9: what a power cut looks like from outside. */
  async die() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** An orderly stop; it must take the server less than a few seconds and end with 0. */
  async stop() {
    if (!running.has(this)) return;
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGTERM');
      const hard = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
      const { code, signal } = await this.ended;
      clearTimeout(hard);
      if (code !== 0) throw new Error(`ioc serve ended with ${code ?? signal}:\n${this.log.slice(-20).join('')}`);
    }
    running.delete(this);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** One API call as the administrator, by token; throws unless it succeeds. */
  async api(method, path, body) {
    if (!this.token) {
      const login = await fetch(`${this.url}/api/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'admin', password: PASSWORD }) });
      if (login.status !== 204) throw new Error(`log-in: ${login.status} ${await login.text()}`);
      const cookie = login.headers.getSetCookie().map((c) => c.split(';')[0]).join('; ');
      const made = await fetch(`${this.url}/api/v1/tokens`, { method: 'POST', headers: { 'Content-Type': 'application/json', Cookie: cookie }, body: JSON.stringify({ name: 'e2e' }) });
      this.token = (await made.json()).token;
    }
    const res = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await res.text();
    if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  account(username, role) {
    return this.api('POST', '/api/v1/accounts', { username, password: PASSWORD, role });
  }
}
