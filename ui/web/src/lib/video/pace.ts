// How fast to play so that a live picture stays close to its edge without
// stuttering. All times in seconds, `now` in milliseconds.

/** Where playing settles: so much is left in the buffer. */
export const TARGET_S = 0.35;
const TARGET_MAX_S = 1.5;
/** Farther behind than this, playing faster would take too long: jump. */
export const JUMP_S = 4;
/** Right after the start the buffer holds what the server had kept: jump over it. */
export const JUMP_AT_START_S = 0.9;
const UNDERRUN_COSTS_S = 0.15;
const CALM_MS = 20_000;

export class Pace {
  private want = TARGET_S;
  private calmSince = 0;
  private rate = 1;

  /** What is held back now; it grows when pictures come unevenly. */
  get target(): number {
    return this.want;
  }

  /** The buffer ran dry while playing. */
  underrun(now: number): void {
    this.want = Math.min(TARGET_MAX_S, this.want + UNDERRUN_COSTS_S);
    this.calmSince = now;
  }

  /** What to do when the edge lies `behind` ahead of the picture. */
  judge(behind: number, now: number): { rate: number; jump: boolean } {
    if (behind > JUMP_S) {
      this.rate = 1;
      return { rate: 1, jump: true };
    }
    if (now - this.calmSince > CALM_MS && this.want > TARGET_S) {
      this.want = Math.max(TARGET_S, this.want - 0.1);
      this.calmSince = now;
    }
    const over = behind - this.want;
    // Once begun, catching up goes on to the target: rates that flicker are seen.
    if (over > 0.25 || (this.rate > 1 && over > 0.02)) this.rate = Math.min(1.5, 1.05 + Math.max(0, over - 0.1) * 0.3);
    else if (over < -0.25 || (this.rate < 1 && over < -0.05)) this.rate = 0.95;
    else this.rate = 1;
    return { rate: Math.round(this.rate * 100) / 100, jump: false };
  }
}
