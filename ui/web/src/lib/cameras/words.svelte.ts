// Sentences about cameras, in the reader's language. Read inside components only.

import type { Camera, CameraState, CameraStatus, Probe } from '../api/types';
import { formatNumber } from '../format/number';
import { formatMoment } from '../format/time';
import type { Word } from '../i18n/dictionary';
import { prefs, t } from '../i18n/locale.svelte';

const WHY: Record<string, Word> = {
  no_such_host: 'camNoSuchHost',
  address_refused: 'camAddressRefused',
  no_route: 'camNoRoute',
  refused: 'camRefused',
  timeout: 'camTimeout',
  not_rtsp: 'camNotRtsp',
  unauthorized: 'camUnauthorized',
  forbidden: 'camForbidden',
  not_found: 'camNotFound',
  redirected: 'camRedirected',
  unsupported_codec: 'camUnsupportedCodec',
  no_video: 'camNoVideo',
  bad_status: 'camBadStatus',
  bad_description: 'camBadDescription',
  protocol: 'camProtocol',
  too_large: 'camTooLarge',
  silent: 'camSilent',
  no_key_frame: 'camNoKeyFrame',
  ended: 'camEnded',
  deleted: 'camDeleted',
  key_missing: 'camKeyMissing',
  stalled: 'camStalled',
};

/** What is wrong, as a clause: "sai tên đăng nhập hoặc mật khẩu". The server's own English where the code is not known; '' where nothing was said. */
export function cameraWhy(code: string | undefined, why?: string): string {
  const word = code ? WHY[code] : undefined;
  if (word) return t(word);
  return why || (code ? t('camUnknown') : '');
}

const STATE = { live: 'camStLive', connecting: 'camStConnecting', retrying: 'camStRetrying', off: 'camStOff' } as const;
/** The state in one or two words: "Mất hình". */
export const cameraState = (state: CameraState): string => t(STATE[state]);

const SINCE = { live: 'camLiveSince', connecting: 'camConnectingSince', retrying: 'camRetryingSince' } as const;
/** State and since: "Mất hình từ 14:21". */
export function cameraSince(status: CameraStatus, now: number): string {
  const at = Date.parse(status.since);
  if (status.state === 'off' || Number.isNaN(at)) return cameraState(status.state);
  return t(SINCE[status.state], { t: formatMoment(at, now, prefs.locale) });
}
/** State, since and reason: "Mất hình từ 14:21 · sai tên đăng nhập hoặc mật khẩu". */
export function cameraSentence(c: Camera, now: number): string {
  return [cameraSince(c.status, now), c.status.state === 'live' ? '' : cameraWhy(c.status.code, c.status.why)].filter(Boolean).join(' · ');
}

const HELP: Record<string, Word> = {
  no_such_host: 'helpHost',
  no_route: 'helpRoute',
  refused: 'helpPort',
  not_rtsp: 'helpPort',
  timeout: 'helpTime',
  unauthorized: 'helpLogin',
  forbidden: 'helpRight',
  not_found: 'helpPath',
  no_video: 'helpPath',
  unsupported_codec: 'helpCodec',
  address_refused: 'helpAllow',
  no_key_frame: 'helpKey',
};
/** What to look at, as a sentence; '' where there is nothing to advise. */
export function cameraHelp(code: string): string {
  const word = HELP[code];
  return word ? t(word) : '';
}

/** What a camera offers: "H.264 1920×1080, 25 hình/s". */
export function probeText(p: Extract<Probe, { ok: true }>): string {
  const codecs = p.codecs.split(',').map((c) => c.trim().toLowerCase());
  const name = codecs.some((c) => /^avc[13]/.test(c)) ? 'H.264' : p.codecs;
  const size = `${name} ${p.width}×${p.height}`;
  const rate = p.fps ? t('camFps', { v: size, n: formatNumber(p.fps, prefs.locale) }) : size;
  return codecs.some((c) => c.startsWith('mp4a')) ? t('camWithSound', { v: rate }) : rate;
}
