/** Folds case, accents and đ, so that "my tho" finds "Mỹ Tho". */
export function fold(text: string): string {
  return text
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .replace(/đ/g, 'd')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Whether every word of the query occurs in the text, both folded. */
export function matches(text: string, query: string): boolean {
  const t = fold(text);
  return fold(query)
    .split(' ')
    .every((w) => t.includes(w));
}
