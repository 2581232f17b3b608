import type { SetAside } from '../api/types';

export interface Page {
  items: SetAside[] | null;
  next?: string;
}

/** One reading of the list, the newest first. Another query is another reading. */
export class Reading {
  items = $state.raw<SetAside[]>([]);
  busy = $state(false);
  /** Why the last page did not come; older() tries it again. */
  error = $state.raw<unknown>();
  /** Whether there may be older ones. */
  more = $state(true);
  #next = '';
  #abort?: AbortController;

  constructor(private readonly page: (cursor: string, signal: AbortSignal) => Promise<Page>) {}

  /**
   * Reads on until `wanted` more have come, nothing older is left, or stop().
   * The server bounds what one request looks through: a page may hold few or
   * none although there are older ones.
   */
  async older(wanted: number): Promise<void> {
    if (this.busy || !this.more) return;
    const { signal } = (this.#abort = new AbortController());
    const enough = this.items.length + wanted;
    this.busy = true;
    this.error = undefined;
    try {
      while (this.more && this.items.length < enough && !signal.aborted) {
        const { items, next } = await this.page(this.#next, signal);
        if (items?.length) this.items = [...this.items, ...items];
        this.#next = next ?? '';
        this.more = this.#next !== '';
      }
    } catch (e) {
      if (!signal.aborted) this.error = e;
    }
    this.busy = false;
  }

  stop(): void {
    this.#abort?.abort();
  }
}
