import { tick } from 'svelte';

/** Puts the reader at the first field that is wrong; a long form may have scrolled it away. */
export async function toFirstBad(form: HTMLElement | undefined): Promise<void> {
  await tick();
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
}
