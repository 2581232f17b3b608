import { beforeEach, describe, expect, it } from 'vitest';
import { Pipe, QUEUE_ITEMS, type PipeFault } from './pipe';

/** A SourceBuffer that takes each fragment for a second of media; what it holds is [first, end). */
class FakeBuffer extends EventTarget {
  updating = false;
  first = 100;
  end = 100;
  holds = false;
  appends: number[] = [];
  removed: [number, number][] = [];
  refuse: DOMException | undefined;
  get buffered(): TimeRanges {
    return { length: this.holds ? 1 : 0, start: () => this.first, end: () => this.end };
  }
  appendBuffer(data: Uint8Array): void {
    if (this.updating) throw new DOMException('busy', 'InvalidStateError');
    if (this.refuse) throw this.refuse;
    this.updating = true;
    this.appends.push(data.byteLength);
    this.holds = true;
    // Fragments are 100 bytes in these tests.
    this.end += data.byteLength / 100;
  }
  remove(from: number, to: number): void {
    if (this.updating) throw new DOMException('busy', 'InvalidStateError');
    this.updating = true;
    this.removed.push([from, to]);
    this.first = Math.max(this.first, Math.ceil(to));
  }
  done(): void {
    this.updating = false;
    this.dispatchEvent(new Event('updateend'));
  }
}
class FakeSource extends EventTarget {
  readyState: ReadyState = 'closed';
  made: string[] = [];
  buffer = new FakeBuffer();
  addSourceBuffer(mime: string): SourceBuffer {
    if (mime === 'bad') throw new DOMException('no', 'NotSupportedError');
    this.made.push(mime);
    return this.buffer as unknown as SourceBuffer;
  }
  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('sourceopen'));
  }
}

/** 100 bytes: a moof whose fragment flags say whether it is a key frame, then filler. */
function fragment(key: boolean, size = 100): Uint8Array<ArrayBuffer> {
  const f = new Uint8Array(size);
  const v = new DataView(f.buffer);
  const box = (at: number, n: number, type: string) => {
    v.setUint32(at, n);
    [...type].forEach((c, i) => v.setUint8(at + 4 + i, c.charCodeAt(0)));
  };
  box(0, 56, 'moof');
  box(8, 48, 'traf');
  box(16, 20, 'tfhd');
  v.setUint32(24, 0x20020);
  v.setUint32(32, key ? 0x02000000 : 0x01010000);
  box(36, 20, 'trun');
  return f;
}

let source: FakeSource;
let faults: PipeFault[];
let at: number;
const pipe = (mime = 'video/mp4') => new Pipe(source as unknown as MediaSource, mime, { moved: () => {}, fault: (why) => faults.push(why), at: () => at });
beforeEach(() => {
  source = new FakeSource();
  faults = [];
  at = 100;
});

describe('fragments into a buffer', () => {
  it('wait until it is open, and go in order, one at a time, those that wait together', () => {
    const p = pipe();
    p.append(fragment(true));
    p.append(fragment(false));
    p.append(fragment(false));
    expect(source.made).toEqual([]);
    source.open();
    expect(source.buffer.appends).toEqual([300]);
    p.append(fragment(false));
    p.append(fragment(true));
    p.append(fragment(false));
    expect(source.buffer.appends).toEqual([300]);
    source.buffer.done();
    // A batch holds one key frame at most, at its head.
    expect(source.buffer.appends).toEqual([300, 100]);
    source.buffer.done();
    expect(source.buffer.appends).toEqual([300, 100, 200]);
    expect(p.drained).toBe(false);
    source.buffer.done();
    expect(p.drained).toBe(true);
    expect(p.range()).toEqual({ start: 100, end: 106, first: 100 });
  });
  it('are bounded: a page that cannot follow begins anew', () => {
    const p = pipe();
    for (let i = 0; i <= QUEUE_ITEMS; i++) p.append(fragment(false));
    expect(faults).toEqual(['overflow']);
    p.append(fragment(true));
    source.open();
    expect(source.made).toEqual([]);
  });
  it('that break the buffer end the pipe, once', () => {
    const p = pipe();
    source.open();
    p.append(fragment(true));
    source.buffer.dispatchEvent(new Event('error'));
    source.buffer.done();
    p.append(fragment(true));
    expect(faults).toEqual(['append']);
    expect(source.buffer.appends).toHaveLength(1);
  });
  it('of a kind the browser refuses are a fault', () => {
    pipe('bad');
    source.open();
    expect(faults).toEqual(['type']);
  });
  it('stop when the element has let go', () => {
    const p = pipe();
    source.open();
    source.readyState = 'ended';
    p.append(fragment(true));
    expect(faults).toEqual(['closed']);
  });
});

describe('what was played', () => {
  /** Twelve seconds, a key frame every four. */
  function filled(): Pipe {
    const p = pipe();
    source.open();
    for (let i = 0; i < 12; i++) {
      p.append(fragment(i % 4 === 0));
      source.buffer.done();
    }
    return p;
  }
  it('is cut just before a key frame as more comes, and the picture is never cut away', () => {
    const p = filled();
    const more = () => {
      p.append(fragment(false));
      source.buffer.done(); // of the cut, if there was one
      if (source.buffer.updating) source.buffer.done();
    };
    at = 105;
    more();
    expect(source.buffer.removed).toEqual([]);
    at = 107;
    more();
    expect(source.buffer.removed).toEqual([[100, 103.98]]);
    more();
    expect(source.buffer.removed).toHaveLength(1);
    at = 111;
    more();
    expect(source.buffer.removed.at(-1)).toEqual([104, 107.98]);
  });
  it('is cut on a busy page too, before what waits is appended', () => {
    const p = filled();
    p.append(fragment(false));
    at = 107;
    p.append(fragment(false));
    source.buffer.done();
    expect(source.buffer.removed).toHaveLength(1);
    expect(source.buffer.appends).toHaveLength(13);
    source.buffer.done();
    expect(source.buffer.appends).toHaveLength(14);
  });
  it('is left alone when the next append overtook the word that the last one was done', () => {
    const p = filled();
    p.append(fragment(false));
    source.buffer.updating = false; // done, and its event is on its way
    p.append(fragment(false));
    at = 107;
    source.buffer.dispatchEvent(new Event('updateend'));
    expect(faults).toEqual([]);
    expect(source.buffer.removed).toEqual([]);
  });
  it('stays whole within a long group of pictures', () => {
    const p = pipe();
    source.open();
    for (let i = 0; i < 60; i++) {
      at = 99 + i;
      p.append(fragment(i === 0));
      source.buffer.done();
    }
    expect(source.buffer.removed).toEqual([]);
  });
  it('is cut all the same where fragments tell no key frames', () => {
    const p = pipe();
    source.open();
    for (let i = 0; i < 60; i++) {
      p.append(new Uint8Array(100));
      source.buffer.done();
    }
    at = 159;
    p.append(new Uint8Array(100));
    source.buffer.done();
    expect(source.buffer.removed).toEqual([[100, 143.98]]);
  });
  it('makes room when the browser has none left, and what waited goes in then', () => {
    const p = filled();
    at = 110;
    source.buffer.refuse = new DOMException('full', 'QuotaExceededError');
    p.append(fragment(false));
    expect(source.buffer.removed).toEqual([[100, 107.98]]);
    source.buffer.refuse = undefined;
    source.buffer.done();
    expect(source.buffer.appends).toHaveLength(13);
    expect(faults).toEqual([]);
  });
  it('that makes no room ends the pipe', () => {
    const p = filled();
    at = 110;
    source.buffer.refuse = new DOMException('full', 'QuotaExceededError');
    p.append(fragment(false));
    source.buffer.done();
    expect(faults).toEqual(['quota']);
  });
});

it('lets go of everything at its end', () => {
  const p = pipe();
  source.open();
  p.append(fragment(true));
  p.append(fragment(false));
  p.end();
  source.buffer.done();
  source.buffer.dispatchEvent(new Event('error'));
  expect(source.buffer.appends).toHaveLength(1);
  expect(faults).toEqual([]);
  expect(p.range()).toBeUndefined();
});
