// What was set aside, in the reader's language. Read inside components only.

import { said } from '../api/problem.svelte';
import { formatClock, formatDate } from '../format/time';
import { prefs, say } from '../i18n/locale.svelte';
import { reasons, words } from '../i18n/quarantine';

/** A word of this page. */
export const q = (word: keyof typeof words, blanks?: Record<string, string | number>): string => say(words[word], blanks);

/** What is wrong; the server's own name where we have no words for it. */
export const reasonTitle = (reason: string): string => (reasons[reason] ? say(reasons[reason].title) : reason);
/** What it means and what to do; '' where we do not know. */
export const reasonHelp = (reason: string): string => (reasons[reason] ? say(reasons[reason].help) : '');

/** What the server says of one case. A time that it doubts is told as a date too: a wrong clock, or seconds for milliseconds, shows at once. */
export const detailText = (detail: string): string =>
  said(
    detail.replace(/^ts (-?[\d.]+(?:e[+-]?\d+)?)(?= is )/, (whole, number: string) => {
      const ms = Number(number);
      return Math.abs(ms) < 8e15 ? `ts ${ms} (${formatDate(ms, prefs.locale)} ${formatClock(ms)})` : whole;
    }),
  );
