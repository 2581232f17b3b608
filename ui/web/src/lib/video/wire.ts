// The words of a camera's live socket (see CONTRACT), and codec names as people say them.

/** What the server says in text; pictures come as binary messages. */
export type Said =
  | { kind: 'stream'; codecs: string; width: number; height: number }
  | { kind: 'state'; state: 'connecting' | 'retrying' | 'off'; since?: number; why?: string; code?: string };

/** Reads a text message; undefined when it says nothing we know. */
export function readSaid(text: string): Said | undefined {
  let m: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    m = parsed as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof m.codecs === 'string' && /^[\w.,+ -]{1,200}$/.test(m.codecs)) {
    return { kind: 'stream', codecs: m.codecs, width: Number(m.width) || 0, height: Number(m.height) || 0 };
  }
  if (m.state === 'connecting' || m.state === 'retrying' || m.state === 'off') {
    const since = typeof m.since === 'string' ? Date.parse(m.since) : NaN;
    return {
      kind: 'state', state: m.state, since: Number.isFinite(since) ? since : undefined,
      why: typeof m.why === 'string' ? m.why : undefined, code: typeof m.code === 'string' ? m.code : undefined,
    };
  }
  return undefined;
}

export const mimeOf = (codecs: string): string => `video/mp4; codecs="${codecs}"`;
export const hasSound = (codecs: string): boolean => /(^|[, ])(mp4a|ac-3|ec-3|opus|flac|fLaC|Opus)\b/.test(codecs);

const H264: Record<string, string> = { '42': 'Baseline', '4d': 'Main', '58': 'Extended', '64': 'High', '6e': 'High 10' };
const H265: Record<string, string> = { '1': 'Main', '2': 'Main 10', '3': 'Main Still Picture', '4': 'Range Extensions' };

/** The picture's codec by name, and its profile where the string tells: RFC 6381, ISO/IEC 14496-15 annex E. */
export function codecName(codecs: string): { name: string; profile: string } {
  const all = codecs.split(',').map((c) => c.trim());
  const video = all.find((c) => !hasSound(c)) ?? all[0] ?? '';
  const [kind = '', first = ''] = video.split('.');
  switch (kind) {
    case 'avc1':
    case 'avc3':
      return { name: 'H.264', profile: H264[first.slice(0, 2).toLowerCase()] ?? '' };
    case 'hvc1':
    case 'hev1':
      return { name: 'H.265', profile: H265[first.replace(/^[ABC]/, '')] ?? '' };
    case 'vvc1':
    case 'vvi1':
      return { name: 'H.266', profile: '' };
    case 'av01':
      return { name: 'AV1', profile: { '0': 'Main', '1': 'High', '2': 'Professional' }[first] ?? '' };
    case 'vp09':
      return { name: 'VP9', profile: '' };
    case 'mp4v':
      return { name: 'MPEG-4', profile: '' };
    default:
      return { name: video || '–', profile: '' };
  }
}
