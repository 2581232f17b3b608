// The map is drawn on a canvas, which knows no CSS variables.

export interface Palette {
  land: string;
  sea: string;
  fresh: string;
  mid: string;
  bank: string;
  stripe: string;
  text: string;
}

export function readPalette(el: Element): Palette {
  const css = getComputedStyle(el);
  const v = (name: string) => css.getPropertyValue(name).trim();
  return { land: v('--land'), sea: v('--salt'), fresh: v('--fresh'), mid: v('--mid'), bank: v('--bank'), stripe: v('--g4'), text: v('--t3') };
}

/** Hard-edged diagonal stripes, as pixels: "not known". */
export function stripes(background: string, line: string): ImageData {
  const size = 16;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const c = canvas.getContext('2d')!;
  c.fillStyle = background;
  c.fillRect(0, 0, size, size);
  c.strokeStyle = line;
  c.lineWidth = 2;
  c.beginPath();
  for (const d of [-size, -size / 2, 0, size / 2, size]) {
    c.moveTo(d - 2, size + 2);
    c.lineTo(d + size + 2, -2);
  }
  c.stroke();
  return c.getImageData(0, 0, size, size);
}
