// Where something came from, as the server writes it: "devices/sal-1/telemetry
// from bridge-2", "sal-1", "influx observation,device=sal-1,metric=level".

export interface Source {
  /** The topic or series; '' where only a device is told. */
  at: string;
  /** Whose it is, if that can be told. */
  device: string;
  /** Who passed it on, where that is another. */
  via: string;
}

export function sourceOf(text: string): Source {
  const series = /^influx (.*)$/.exec(text)?.[1];
  if (series !== undefined) return { at: text, device: /,device=([A-Za-z0-9._-]+)/.exec(series)?.[1] ?? '', via: '' };
  const [, topic, from] = /^(.*) from (\S*)$/.exec(text) ?? [];
  if (topic === undefined) return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text) ? { at: '', device: text, via: '' } : { at: text, device: '', via: '' };
  const device = /^(?:devices|gateways)\/([^/]+)\//.exec(topic)?.[1] ?? from ?? '';
  return { at: topic, device, via: from && from !== device ? from : '' };
}
