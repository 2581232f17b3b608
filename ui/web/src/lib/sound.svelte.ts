// Sound until silenced (LOOK, "Markers and alarms"). Only alarms that nobody
// has acknowledged sound; silencing holds until another one is raised.

import type { Alarm, Priority } from './api/types';
import { prefs } from './i18n/locale.svelte';

interface Pattern {
  hz: number;
  times: number;
  everyMs: number; // 0: once
}
const PATTERNS: Partial<Record<Priority, Pattern>> = {
  urgent: { hz: 880, times: 3, everyMs: 5000 },
  high: { hz: 660, times: 2, everyMs: 15000 },
  medium: { hz: 520, times: 1, everyMs: 0 },
};

export class Sound {
  silenced = $state(false);
  private context: AudioContext | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private playing: Priority | undefined;
  private heard = new Set<string>();

  /** M: the sound that is on is silenced; silenced or off, it is on again. */
  toggle(): void {
    if (!prefs.sound) prefs.setSound(true);
    else if (this.playing && !this.silenced) {
      this.silenced = true;
      this.stop();
      return;
    } else prefs.setSound(false);
    this.silenced = false;
  }

  /** Follows the open alarms; call when they change. */
  follow(alarms: readonly Alarm[]): void {
    const waiting = alarms.filter((a) => a.state === 'active');
    const fresh = waiting.some((a) => !this.heard.has(a.id));
    this.heard = new Set(waiting.map((a) => a.id));
    if (fresh) this.silenced = false;
    const worst = waiting[0]?.priority; // the list is sorted
    if (!prefs.sound || this.silenced || !worst) this.stop();
    else if (fresh || worst !== this.playing) this.play(worst);
  }

  private play(priority: Priority): void {
    this.stop();
    const pattern = PATTERNS[priority];
    if (!pattern) return;
    this.playing = priority;
    this.beep(pattern);
    if (pattern.everyMs) this.timer = setInterval(() => this.beep(pattern), pattern.everyMs);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.playing = undefined;
  }

  private beep(pattern: Pattern): void {
    // Browsers keep sound back until the first key or click.
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
    try {
      this.context ??= new AudioContext();
      const ctx = this.context;
      if (ctx.state === 'suspended') void ctx.resume();
      for (let i = 0; i < pattern.times; i++) {
        const at = ctx.currentTime + i * 0.28;
        const tone = ctx.createOscillator();
        const gain = ctx.createGain();
        tone.frequency.value = pattern.hz;
        gain.gain.setValueAtTime(0, at);
        gain.gain.linearRampToValueAtTime(0.25, at + 0.01);
        gain.gain.setValueAtTime(0.25, at + 0.15);
        gain.gain.linearRampToValueAtTime(0, at + 0.18);
        tone.connect(gain).connect(ctx.destination);
        tone.start(at);
        tone.stop(at + 0.2);
      }
    } catch {
      // No audio device: the marks say the same.
    }
  }
}
