import type { Credentials } from '../api/types';

const quote = (s: string): string => `'${s.replace(/'/g, `'\\''`)}'`;

/**
 * A line for a shell that sends one value. mqttAddr is where the broker listens
 * ("127.0.0.1:1883", ":1883", "[::]:1883"); where it listens on all addresses,
 * the host this page came from is the one a stranger can reach.
 */
export function tryLine(mqttAddr: string, pageHost: string, c: Credentials, topic: string, metric: string): string {
  const at = mqttAddr.lastIndexOf(':');
  const port = at >= 0 ? mqttAddr.slice(at + 1) : '1883';
  let host = (at >= 0 ? mqttAddr.slice(0, at) : mqttAddr).replace(/^\[|\]$/g, '');
  if (host === '' || host === '::' || host === '0.0.0.0') host = pageHost.replace(/^\[|\]$/g, '');
  const payload = JSON.stringify({ values: { [metric]: 1.5 } });
  return `mosquitto_pub -V 5 -h ${host} -p ${port} -u ${quote(c.username)} -P ${quote(c.password)} -q 1 -t ${quote(topic)} -m ${quote(payload)}`;
}
