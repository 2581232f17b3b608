// A tile over the whole screen, by click or by the key C.

const SELECTOR = 'figure[data-camera]';
/** Worn by a tile where the browser cannot show it alone (an iPhone). */
const FALLBACK = 'full';

// One tile may lie over another that is on the full screen too: the topmost counts.
export const fullTile = (): Element | undefined => document.fullscreenElement ?? document.querySelector(`${SELECTOR}.${FALLBACK}`) ?? undefined;

export async function showFull(tile: HTMLElement): Promise<void> {
  fullTile()?.classList.remove(FALLBACK);
  if (tile.requestFullscreen) {
    try {
      await tile.requestFullscreen({ navigationUI: 'hide' });
      return;
    } catch {
      // Not allowed here: the page itself must do.
    }
  }
  tile.classList.add(FALLBACK);
}

export async function leaveFull(): Promise<void> {
  document.querySelector(`${SELECTOR}.${FALLBACK}`)?.classList.remove(FALLBACK);
  for (let left = 20; document.fullscreenElement && left > 0; left--) await document.exitFullscreen().catch(() => {});
}

const visible = (el: HTMLElement): boolean => (el.checkVisibility ? el.checkVisibility({ visibilityProperty: true }) : el.offsetParent !== null);

/** The first tile of the page over the whole screen; again: the next; after the last: none. False when there is no tile. */
export function nextFull(): boolean {
  const tiles = [...document.querySelectorAll<HTMLElement>(SELECTOR)];
  const now = fullTile();
  const shown = tiles.filter((el) => el === now || visible(el));
  if (shown.length === 0) return false;
  const next = shown[shown.findIndex((el) => el === now) + 1];
  if (!next) {
    void leaveFull();
    return true;
  }
  next.querySelector<HTMLElement>('button')?.focus();
  void showFull(next);
  return true;
}
