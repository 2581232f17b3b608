// The reader's choices, kept in this browser, and the words in their language.

import type { Locale } from '../format/number';
import { words, type Word } from './dictionary';

export type Theme = 'system' | 'dark' | 'light';

function stored<T extends string>(key: string, allowed: readonly T[]): T | undefined {
  try {
    const v = localStorage.getItem('ioc.' + key);
    return allowed.find((a) => a === v);
  } catch {
    return undefined; // storage may be forbidden
  }
}
function store(key: string, value: string): void {
  try {
    localStorage.setItem('ioc.' + key, value);
  } catch {
    // The choice then lasts as long as the page.
  }
}

class Preferences {
  locale = $state<Locale>(stored('locale', ['vi', 'en']) ?? 'vi');
  theme = $state<Theme>(stored('theme', ['system', 'dark', 'light']) ?? 'system');
  singleKeys = $state(stored('keys', ['on', 'off']) !== 'off');
  sound = $state(stored('sound', ['on', 'off']) !== 'off');

  setLocale(v: Locale): void {
    this.locale = v;
    store('locale', v);
  }
  /** The province's language, unless the reader chose one. */
  suggestLocale(v: string): void {
    if (!stored('locale', ['vi', 'en']) && (v === 'vi' || v === 'en')) this.locale = v;
  }
  setTheme(v: Theme): void {
    this.theme = v;
    store('theme', v);
  }
  setSingleKeys(on: boolean): void {
    this.singleKeys = on;
    store('keys', on ? 'on' : 'off');
  }
  setSound(on: boolean): void {
    this.sound = on;
    store('sound', on ? 'on' : 'off');
  }
}
export const prefs = new Preferences();

/** A word in the reader's language, with its blanks filled; `{n|alarm|alarms}` is the first for one, else the second. */
export const t = (word: Word, blanks?: Record<string, string | number>): string => say(words[word], blanks);

/** The same for words that come with their page (quarantine.ts). */
export function say(both: readonly [vi: string, en: string], blanks: Record<string, string | number> = {}): string {
  const text = both[prefs.locale === 'vi' ? 0 : 1];
  return text.replace(/\{(\w+)\|([^|}]*)\|([^}]*)\}/g, (_, name: string, one: string, many: string) => (String(blanks[name]) === '1' ? one : many)).replace(/\{(\w+)\}/g, (whole, name: string) => (name in blanks ? String(blanks[name]) : whole));
}
