// Just enough of ISO/IEC 14496-12 to know whether a fragment begins with a key
// frame: media may be cut from a buffer only before one.

const NON_SYNC = 0x10000; // sample_is_non_sync_sample, 8.8.3.1

interface Box {
  type: string;
  start: number; // of its content
  end: number;
}

function* boxes(v: DataView, from: number, to: number): Generator<Box> {
  let at = from;
  while (at + 8 <= to) {
    const size = v.getUint32(at);
    // 64-bit and "to the end" sizes have no place in a moof.
    if (size < 8 || at + size > to) return;
    const type = String.fromCharCode(v.getUint8(at + 4), v.getUint8(at + 5), v.getUint8(at + 6), v.getUint8(at + 7));
    yield { type, start: at + 8, end: at + size };
    at += size;
  }
}

/** The flags of a track fragment's first sample; undefined where the fragment does not say. */
function firstFlags(v: DataView, traf: Box): number | undefined {
  let flags: number | undefined;
  for (const b of boxes(v, traf.start, traf.end)) {
    if (b.start + 8 > b.end) continue;
    const have = v.getUint32(b.start) & 0xffffff;
    if (b.type === 'tfhd') {
      if (!(have & 0x20)) continue;
      const at = b.start + 8 + (have & 0x1 ? 8 : 0) + (have & 0x2 ? 4 : 0) + (have & 0x8 ? 4 : 0) + (have & 0x10 ? 4 : 0);
      if (at + 4 <= b.end) flags = v.getUint32(at);
    } else if (b.type === 'trun') {
      let at = b.start + 8 + (have & 0x1 ? 4 : 0);
      if (have & 0x4) return at + 4 <= b.end ? v.getUint32(at) : flags;
      at += (have & 0x100 ? 4 : 0) + (have & 0x200 ? 4 : 0);
      if (have & 0x400) return at + 4 <= b.end ? v.getUint32(at) : flags;
      return flags;
    }
  }
  return flags;
}

/** Whether the first track fragment (the picture's) of a moof begins with a sync sample; undefined when it cannot be told. */
export function beginsWithKey(fragment: Uint8Array): boolean | undefined {
  const v = new DataView(fragment.buffer, fragment.byteOffset, fragment.byteLength);
  for (const moof of boxes(v, 0, v.byteLength)) {
    if (moof.type !== 'moof') continue;
    for (const traf of boxes(v, moof.start, moof.end)) {
      if (traf.type !== 'traf') continue;
      const flags = firstFlags(v, traf);
      return flags === undefined ? undefined : (flags & NON_SYNC) === 0;
    }
  }
  return undefined;
}
