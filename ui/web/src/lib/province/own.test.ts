// @vitest-environment node
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Alarm, JournalEvent } from '../api/types';
import { prefs } from '../i18n/locale.svelte';
import type { Province } from './province.svelte';
import { alarmTitle, journalText } from './words.svelte';

const source = readFileSync(fileURLToPath(new URL('../../../../../cmd/ioc/disk.go', import.meta.url)), 'utf8').replaceAll("'", '’');
const none = { rules: [] as unknown, metrics: new Map() as unknown } as Province;
afterEach(() => (prefs.locale = 'vi'));

describe('the server’s own alarms', () => {
  it.each(['ioc.disk-low', 'ioc.disk-full', 'ioc.log-failed'])('%s says in either language what the server says', (rule) => {
    const alarm = { id: 'a', rule, title: 'in the server’s language', subject: 'ioc' } as Alarm;
    const raised: JournalEvent = { type: 'raised', at: '', actor: 'system', comment: 'in the server’s language', alarm };
    for (const locale of ['vi', 'en'] as const) {
      prefs.locale = locale;
      for (const text of [alarmTitle(none, alarm), journalText(raised)]) expect(source).toContain(`"${text}"`);
    }
    expect(journalText({ ...raised, type: 'commented', actor: 'admin', comment: 'Đang dọn đĩa' })).toBe('Đang dọn đĩa');
  });
  it('are not taken for others', () => {
    expect(journalText({ type: 'raised', at: '', actor: 'system', comment: 'word', alarm: { rule: 'man-cao' } as Alarm })).toBe('word');
  });
});
