// The dictionary as the pages use it, and what is visible on a page.
import { readFileSync } from 'node:fs';

const source = ['dictionary', 'quarantine'].map((part) => readFileSync(new URL(`../../src/lib/i18n/${part}.ts`, import.meta.url), 'utf8')).join('');
const string = String.raw`'((?:[^'\\]|\\.)*)'`;
export const words = [...source.matchAll(new RegExp(String.raw`^\s*(\w+): \[\s*${string},\s*${string},?\s*\],?\s*$`, 'gm'))].map(([, key, vi, en]) => ({ key, vi, en }));

/** Everything a reader sees or is read to: text, labels, titles, placeholders. */
export function visibleTexts(page) {
  return page.evaluate(() => {
    const out = [document.title];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      const el = node.parentElement;
      if (!el || el.closest('script, style, noscript, kbd, datalist') || !el.checkVisibility()) continue;
      out.push(node.data);
    }
    for (const el of document.body.querySelectorAll('[aria-label], [title], [placeholder]')) {
      if (!el.checkVisibility()) continue;
      for (const a of ['aria-label', 'title', 'placeholder']) out.push(el.getAttribute(a) ?? '');
    }
    return [...new Set(out.map((s) => s.replace(/\s+/g, ' ').trim()).filter(Boolean))];
  });
}

const escaped = (s) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const pattern = (s) => new RegExp(`^${s.split(/\{\w+\}/).map(escaped).join('.*')}$`);
// Blanks and units alone tell no language.
const tells = (s) => /\p{L}{3,}/u.test(s.replace(/\{\w+\}/g, ''));
const telling = words.filter((w) => w.vi !== w.en && tells(w.vi) && tells(w.en));

/** Texts in the other language than `locale`, texts that are keys, and what a program says of nothing. */
export function strangers(texts, locale) {
  const other = locale === 'vi' ? 'en' : 'vi';
  const own = words.filter((w) => tells(w[locale])).map((w) => pattern(w[locale]));
  const foreign = telling.map((w) => pattern(w[other]));
  const keys = new Set(words.map((w) => w.key).filter((k) => /[a-z][A-Z]/.test(k)));
  return texts.filter((s) => keys.has(s) || /\b(undefined|NaN|Infinity)\b|\[object |\{\w+\}/.test(s) || (foreign.some((r) => r.test(s)) && !own.some((r) => r.test(s))));
}
