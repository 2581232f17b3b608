import { t } from '../i18n/locale.svelte';
import { Problem } from './client';

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
      return e.errors.length ? t('errFields') : t('errOther', { why: e.detail || e.title });
    default:
      return t('errOther', { why: e.detail || e.title || String(e.status) });
  }
}
