// Payloads came from anywhere: they are shown as what they are, and nothing in
// them may hide or turn round what stands beside them.

/** At most so much of a payload is shown at once. */
const TEXT_SHOWN = 4000;
const BYTES_SHOWN = 1024;
const PREVIEW = 240;

export interface Shown {
  text: string;
  /** One line of it, short. */
  preview: string;
  /** Size of the whole payload. */
  bytes: number;
  hex: boolean;
  cut: boolean;
}

export function shown(payload: string, encoding?: 'base64'): Shown {
  if (encoding === 'base64') {
    const bytes = (payload.length / 4) * 3 - (/=*$/.exec(payload)?.[0].length ?? 0);
    const head = atob(payload.slice(0, Math.ceil(BYTES_SHOWN / 3) * 4)).slice(0, BYTES_SHOWN);
    const text = Array.from(head, (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join(' ');
    return { text, preview: text.slice(0, PREVIEW), bytes, hex: true, cut: bytes > head.length };
  }
  const head = whole(payload.slice(0, TEXT_SHOWN));
  const text = visible(head);
  return {
    text,
    preview: visible(whole(head.replace(/\s+/g, ' ').trim().slice(0, PREVIEW))),
    bytes: new TextEncoder().encode(payload).length,
    hex: false,
    cut: payload.length > head.length,
  };
}

/** Not ended by half of a character. */
const whole = (s: string): string => s.replace(/[\ud800-\udbff]$/, '');

/** Control characters get their pictures; what turns or joins text, or is not seen, its number. */
function visible(s: string): string {
  return s
    .replace(/\r\n/g, '\n')
    .replace(/[\0-\x08\x0b-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
