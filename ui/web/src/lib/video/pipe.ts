// One MediaSource and its one buffer: fragments go in strictly in order, what
// was played goes out. It is never mended; a fault ends it and another is made.

import { beginsWithKey } from './mp4';

/** Bounds of what waits to be appended: the longest group of pictures a server keeps, and more is a page that cannot follow. */
export const QUEUE_BYTES = 24 << 20;
export const QUEUE_ITEMS = 3000;
/** Fragments that wait are appended together up to so much. */
const BATCH_BYTES = 1 << 20;
/** Played media kept, in seconds, before it is cut at a key frame. */
const KEEP_S = 2;
const CUT_AT_S = 6;
/** Where fragments do not tell key frames, the buffer is cut all the same. */
const CUT_BLIND_S = 30;

export type PipeFault = 'append' | 'overflow' | 'quota' | 'type' | 'closed';
export interface PipeOwner {
  /** Something was appended or cut. */
  moved(): void;
  fault(why: PipeFault): void;
  /** Where the picture is, in seconds of the buffer. */
  at(): number;
}

type Source = Pick<MediaSource, 'addSourceBuffer' | 'readyState' | 'addEventListener' | 'removeEventListener'>;
interface Waiting {
  data: Uint8Array<ArrayBuffer>;
  key: boolean;
}

export class Pipe {
  private buffer: SourceBuffer | undefined;
  private queue: Waiting[] = [];
  private bytes = 0;
  /** Buffer times at which key frames begin, rising. */
  private keys: number[] = [];
  private ended = false;
  private hungry = false;
  /** No fragment has told yet whether it begins with a key frame. */
  private blind = true;

  constructor(
    private readonly source: Source,
    private readonly mime: string,
    private readonly owner: PipeOwner,
  ) {
    source.addEventListener('sourceopen', this.opened);
  }

  /** Frees the buffer's handlers and what waits. The MediaSource itself goes with its video element. */
  end(): void {
    this.ended = true;
    this.source.removeEventListener('sourceopen', this.opened);
    this.buffer?.removeEventListener('updateend', this.updated);
    this.buffer?.removeEventListener('error', this.failed);
    this.buffer = undefined;
    this.queue = [];
    this.keys = [];
    this.bytes = 0;
  }

  append(data: Uint8Array<ArrayBuffer>): void {
    if (this.ended) return;
    const key = beginsWithKey(data);
    if (key !== undefined) this.blind = false;
    this.queue.push({ data, key: key === true });
    this.bytes += data.byteLength;
    if (this.bytes > QUEUE_BYTES || this.queue.length > QUEUE_ITEMS) this.fail('overflow');
    else this.pump();
  }

  /** Whether all that came has been appended. */
  get drained(): boolean {
    return this.queue.length === 0 && this.buffer?.updating === false;
  }

  /** The last stretch of the buffer, in seconds. */
  range(): { start: number; end: number; first: number } | undefined {
    let r: TimeRanges | undefined;
    try {
      r = this.buffer?.buffered;
    } catch {
      return undefined; // the element let go of its MediaSource
    }
    if (!r || r.length === 0) return undefined;
    return { start: r.start(r.length - 1), end: r.end(r.length - 1), first: r.start(0) };
  }

  /** Begins to cut what was played, if there is enough of it. */
  private trim(): boolean {
    const r = this.range();
    const at = this.owner.at();
    if (!r || at - r.first <= CUT_AT_S) return false;
    let cut: number | undefined;
    while (this.keys.length && this.keys[0]! <= at - KEEP_S) cut = this.keys.shift();
    if (this.blind && at - r.first > CUT_BLIND_S) cut = at - CUT_BLIND_S / 2;
    if (cut === undefined) return false;
    // The cut lies just before the key frame: removal runs on to the next one (MSE, coded frame removal).
    if (!this.blind) this.keys.unshift(cut);
    if (cut - 0.02 <= r.first) return false;
    this.remove(r.first, cut - 0.02);
    return true;
  }

  private remove(from: number, to: number): void {
    try {
      this.buffer?.remove(from, to);
    } catch {
      this.fail('closed');
    }
  }

  private readonly opened = (): void => {
    if (this.ended || this.buffer) return;
    try {
      this.buffer = this.source.addSourceBuffer(this.mime);
    } catch {
      this.fail('type');
      return;
    }
    this.buffer.addEventListener('updateend', this.updated);
    this.buffer.addEventListener('error', this.failed);
    this.pump();
  };

  private readonly updated = (): void => {
    if (this.ended) return;
    this.pump();
    this.owner.moved();
  };

  private readonly failed = (): void => this.fail('append');

  private pump(): void {
    const b = this.buffer;
    if (this.ended || !b || b.updating || this.queue.length === 0) return;
    if (this.source.readyState !== 'open') {
      this.fail('closed');
      return;
    }
    // Here and not by a timer: on a busy page the buffer is never idle when a timer looks.
    if (this.trim()) return;
    // A batch holds one key frame at most, at its head: its place is where the buffer ends now.
    let n = 1;
    let size = this.queue[0]!.data.byteLength;
    while (n < this.queue.length && !this.queue[n]!.key && size + this.queue[n]!.data.byteLength <= BATCH_BYTES) size += this.queue[n++]!.data.byteLength;
    let data = this.queue[0]!.data;
    if (n > 1) {
      data = new Uint8Array(size);
      let at = 0;
      for (const w of this.queue.slice(0, n)) {
        data.set(w.data, at);
        at += w.data.byteLength;
      }
    }
    const end = this.range()?.end;
    try {
      b.appendBuffer(data);
    } catch (e) {
      if (e instanceof DOMException && e.name === 'QuotaExceededError' && !this.hungry) {
        // All that was played goes; what waits is tried again when that is done.
        this.hungry = true;
        const first = this.range()?.first ?? 0;
        const keep = this.keys.filter((k) => k <= this.owner.at()).at(-1) ?? this.owner.at() - 1;
        if (keep - 0.02 > first) {
          this.remove(first, keep - 0.02);
          return;
        }
      }
      this.fail(e instanceof DOMException && e.name === 'QuotaExceededError' ? 'quota' : 'closed');
      return;
    }
    this.hungry = false;
    if (this.queue[0]!.key && end !== undefined) this.keys.push(end);
    this.queue.splice(0, n);
    this.bytes -= size;
  }

  private fail(why: PipeFault): void {
    if (this.ended) return;
    this.end();
    this.owner.fault(why);
  }
}
