import { prefs, t } from '../i18n/locale.svelte';
import type { Word } from '../i18n/dictionary';
import { Problem, type FieldError } from './client';

// The server's sentences in Vietnamese are needed where something is refused: they come after the page.
let sentences = $state.raw<typeof import('./said')>();
void import('./said').then((m) => (sentences = m), () => {});

/** What the server said, in the reader's language where we know the sentence. */
export const said = (why: string): string => (prefs.locale === 'vi' && sentences ? sentences.inVietnamese(why) : why);

/** What is wrong with one field, in the reader's language. */
export function fieldText(problem: Problem | undefined, name: string): string | undefined {
  const why = problem?.field(name);
  return why === undefined ? undefined : said(why);
}

const FIELDS: Record<string, Word> = {
  id: 'id', name: 'name', kind: 'kind', position: 'place', 'position.lon': 'longitude', 'position.lat': 'latitude', parent: 'parent', agency: 'agency', tags: 'tagsShort',
  metrics: 'expectedMetrics', metric: 'metric', every_s: 'everySeconds', title: 'ruleTitle', priority: 'priority', on: 'onThreshold', off: 'offThreshold',
  'on.for_s': 'forSeconds', 'off.for_s': 'forSeconds', 'scope.devices': 'scopeDevices', 'scope.kinds': 'scopeKinds', 'scope.zones': 'scopeZones', 'scope.tags': 'scopeTags',
  url: 'camUrl', bearing: 'camBearing', view_deg: 'camView', group: 'camGroup', pull: 'camPull', file: 'camFile',
  username: 'username', password: 'password', role: 'role', new: 'newPassword', old: 'oldPassword',
};
/** One complaint with the name of its field, as labels on the page have it. */
export function complaint(e: FieldError): string {
  const at = e.location.replace(/^body\.?/, '').replace(/^\$\.?/, '');
  const bare = at.replace(/\[\d+\]/g, '');
  const word = FIELDS[bare] ?? FIELDS[bare.split('.').at(-1) ?? ''] ?? FIELDS[bare.split('.')[0] ?? ''];
  const nth = /\[(\d+)\]/.exec(at)?.[1];
  return [(word ? t(word) : at) + (nth !== undefined && word ? ` ${Number(nth) + 1}` : ''), said(e.message)].filter(Boolean).join(': ');
}

/** Complaints that came as one line, as an import has them: "url: is missing; name: must be …". */
export const complaintsOf = (line: string): string =>
  line
    .split(/; (?=[a-z_.]+: )/)
    .map((part) => {
      const m = /^([a-z_.]+): (.*)$/.exec(part);
      return m ? complaint({ location: m[1]!, message: m[2]! }) : said(part);
    })
    .join('; ');

/** A refusal in the reader's words; the server's own (English) where we have none. */
export function problemText(e: unknown): string {
  if (!(e instanceof Problem)) return t('errOther', { why: e instanceof Error ? e.message : String(e) });
  switch (e.status) {
    case 0:
      return t('errUnreachable');
    case 403:
      return t('errForbidden');
    case 404:
      return t('errNotFound');
    case 409:
      return t('errTaken');
    case 422:
      return e.errors.length ? t('errFields') : t('errOther', { why: said(e.detail || e.title) });
    default:
      return t('errOther', { why: e.detail || e.title || String(e.status) });
  }
}
