/** The key of a shortcut, or undefined when the press belongs to a field, a dialog or the browser. */
export function keyOf(e: KeyboardEvent): string | undefined {
  if (e.defaultPrevented || e.ctrlKey || e.altKey || e.metaKey || e.isComposing) return undefined;
  if (e.key === 'Escape') return 'Escape';
  const at = e.target;
  if (at instanceof HTMLElement && at.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], dialog')) return undefined;
  if (e.key.length !== 1) return undefined;
  if (e.key.toLowerCase() === 'a') return e.shiftKey ? 'A' : 'a';
  return e.key.toLowerCase();
}
