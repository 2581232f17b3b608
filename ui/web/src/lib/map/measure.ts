// Widths of texts before they are drawn, so that labels can be placed.

let ink: CanvasRenderingContext2D | null | undefined;

/** Width in CSS pixels of a text in the pages' face. */
export function textWidth(text: string, size: number, weight: number): number {
  ink ??= document.createElement('canvas').getContext('2d');
  if (!ink) return text.length * size * 0.58;
  ink.font = `${weight} ${size}px 'Cuu Long Digits', 'Be Vietnam Pro', sans-serif`;
  return ink.measureText(text).width;
}
