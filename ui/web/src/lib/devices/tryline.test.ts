import { expect, it } from 'vitest';
import { tryLine } from './tryline';

const c = { username: 'a', password: "p'w" };
it('gives a line that a shell takes as it is', () => {
  expect(tryLine('127.0.0.1:1883', 'x', c, 'devices/a/telemetry', 'salinity')).toBe(
    `mosquitto_pub -V 5 -h 127.0.0.1 -p 1883 -u 'a' -P 'p'\\''w' -q 1 -t 'devices/a/telemetry' -m '{"values":{"salinity":1.5}}'`,
  );
});
it.each([
  [':11883', '-h ioc.local -p 11883'],
  ['[::]:1883', '-h ioc.local -p 1883'],
  ['0.0.0.0:1883', '-h ioc.local -p 1883'],
  ['[::1]:1883', '-h ::1 -p 1883'],
])('reaches a broker at %s', (addr, want) => {
  expect(tryLine(addr, 'ioc.local', c, 't', 'm')).toContain(want);
});
