// The picture on the page: a video element fed by one pipe after another, and a
// canvas that keeps the last picture in sight while one follows the other.

import { JUMP_AT_START_S, Pace } from './pace';
import { Pipe, type PipeFault } from './pipe';
import { mimeOf } from './wire';

export type ScreenFault = PipeFault | 'decode';
export interface Seen {
  /** Seconds played since the screen was made; jumps do not count. */
  played: number;
  /** How far the buffer's end lies ahead of the picture, seconds. */
  behind: number | undefined;
  /** Whether there is a picture to look at, be it the last one. */
  picture: boolean;
}
/** What the player needs of it. */
export interface Screen {
  onfault: (why: ScreenFault) => void;
  /** Whether this browser plays such a stream; undefined: it plays none at all. */
  plays(codecs: string): boolean | undefined;
  begin(codecs: string): void;
  append(data: Uint8Array<ArrayBuffer>): void;
  look(now: number): Seen;
  /** Goes to the newest picture, over any gap. */
  edge(): void;
  /** Keeps the last picture and lets go of everything else. */
  hold(): void;
  /** Lets go of everything, the last picture too. */
  clear(): void;
  end(): void;
}

type Source = typeof MediaSource;
const source = (): Source | undefined => {
  const g = globalThis as { ManagedMediaSource?: Source; MediaSource?: Source };
  // ManagedMediaSource where there is one: on an iPhone there is no other.
  return g.ManagedMediaSource ?? g.MediaSource;
};

/** A picture kept is drawn no wider than a tile of the wall. */
const STILL_MAX_PX = 1280;

export class MseScreen implements Screen {
  onfault: (why: ScreenFault) => void = () => {};
  private pipe: Pipe | undefined;
  private url = '';
  private pace = new Pace();
  private played = 0;
  private lastAt = 0;
  private fresh = true; // nothing of this pipe has been placed yet
  private settled = false; // the start's jump to the edge has been decided
  private callback: number | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly still: HTMLCanvasElement,
  ) {
    video.muted = true;
    video.disableRemotePlayback = true; // ManagedMediaSource asks for it
    video.addEventListener('loadeddata', this.shown);
    video.addEventListener('seeked', this.shown);
    video.addEventListener('waiting', this.waiting);
    video.addEventListener('error', this.failed);
  }

  plays(codecs: string): boolean | undefined {
    return source()?.isTypeSupported(mimeOf(codecs));
  }

  begin(codecs: string): void {
    this.hold();
    const Made = source();
    if (!Made) return;
    const media = new Made();
    this.fresh = true;
    this.settled = false;
    this.lastAt = 0;
    this.pace = new Pace();
    this.pipe = new Pipe(media, mimeOf(codecs), { moved: this.moved, fault: (why) => this.onfault(why), at: () => this.video.currentTime });
    this.url = URL.createObjectURL(media);
    media.addEventListener('sourceopen', this.revoke, { once: true });
    this.video.src = this.url;
    this.play();
  }

  append(data: Uint8Array<ArrayBuffer>): void {
    this.pipe?.append(data);
  }

  look(now: number): Seen {
    const at = this.video.currentTime;
    const step = at - this.lastAt;
    if (step > 0 && step < 3) this.played += step;
    this.lastAt = at;
    const r = this.pipe?.range();
    if (r && !this.fresh) {
      // A hole in the buffer is stepped over as soon as something lies behind it.
      if (at < r.start - 0.001 && !this.video.seeking) this.goto(r.start, r.end);
      else this.keepPace(r.end - at, now, r);
      if (this.video.paused) this.play();
    }
    return { played: this.played, behind: r && !this.fresh ? Math.max(0, r.end - this.video.currentTime) : undefined, picture: this.picture };
  }

  edge(): void {
    const r = this.pipe?.range();
    if (r) this.goto(r.start, r.end);
    this.play();
  }

  hold(): void {
    this.keep();
    this.drop();
  }

  clear(): void {
    this.drop();
    this.clearStill();
  }

  end(): void {
    this.video.removeEventListener('loadeddata', this.shown);
    this.video.removeEventListener('seeked', this.shown);
    this.video.removeEventListener('waiting', this.waiting);
    this.video.removeEventListener('error', this.failed);
    this.clear();
    this.onfault = () => {};
  }

  private get picture(): boolean {
    return !this.still.hidden || (this.pipe !== undefined && this.video.readyState >= 2);
  }

  private keepPace(behind: number, now: number, r: { start: number; end: number }): void {
    if (this.video.seeking) return;
    if (!this.settled && this.pipe?.drained) {
      this.settled = true;
      if (behind > JUMP_AT_START_S) {
        this.goto(r.start, r.end);
        return;
      }
    }
    const { rate, jump } = this.pace.judge(behind, now);
    if (jump) this.goto(r.start, r.end);
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
  }

  private goto(start: number, end: number): void {
    const to = Math.max(start, end - this.pace.target);
    this.video.currentTime = to;
    this.lastAt = to;
  }

  private play(): void {
    // Overtaken by the next picture: the next look tries again. Refused for its sound: without, then.
    this.video.play().catch((e: unknown) => {
      if (e instanceof DOMException && e.name === 'NotAllowedError') this.video.muted = true;
    });
  }

  private readonly moved = (): void => {
    if (!this.fresh) return;
    const r = this.pipe?.range();
    if (!r) return;
    // The stream's clock began long ago; the first picture is shown at once.
    this.fresh = false;
    this.video.currentTime = r.start;
    this.lastAt = r.start;
  };

  private readonly waiting = (): void => {
    if (!this.fresh && this.settled && !this.video.seeking) this.pace.underrun(performance.now());
  };

  private readonly failed = (): void => {
    if (this.pipe) this.onfault('decode');
  };

  private readonly revoke = (): void => {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = '';
  };

  /** The new pipe's first picture is there: the old one may go. */
  private readonly shown = (): void => {
    if (this.still.hidden || !this.pipe || this.fresh || this.video.readyState < 2) return;
    if ('requestVideoFrameCallback' in this.video && document.visibilityState === 'visible') {
      this.callback ??= this.video.requestVideoFrameCallback(() => {
        this.callback = undefined;
        this.clearStill();
      });
    } else this.clearStill();
  };

  private keep(): void {
    const { videoWidth: w, videoHeight: h } = this.video;
    if (!this.pipe || this.video.readyState < 2 || w === 0 || h === 0) return;
    const scale = Math.min(1, STILL_MAX_PX / w);
    this.still.width = Math.round(w * scale);
    this.still.height = Math.round(h * scale);
    const ctx = this.still.getContext('2d');
    if (!ctx) return;
    ctx.drawImage(this.video, 0, 0, this.still.width, this.still.height);
    this.still.hidden = false;
  }

  private clearStill(): void {
    this.still.hidden = true;
    this.still.width = 0;
    this.still.height = 0;
  }

  private drop(): void {
    const had = this.pipe;
    this.pipe = undefined;
    had?.end();
    this.revoke();
    if (this.callback !== undefined) this.video.cancelVideoFrameCallback(this.callback);
    this.callback = undefined;
    if (had) {
      this.video.removeAttribute('src');
      this.video.load();
    }
  }
}
