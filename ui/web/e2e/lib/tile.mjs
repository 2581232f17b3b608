// A camera's tile as somebody sees it: what it shows, whether that moves, what it says.
import assert from 'node:assert/strict';
import { timed, until } from './until.mjs';

export const tile = (within, id) => within.getByTestId(`camera-tile-${id}`);

/**
 * What is on a tile now. `at` and `frames` tell that a picture moves; `spread` is the
 * standard deviation of the brightness of the picture that is shown, live or kept:
 * a black hole has none. `said` is the sentence in the picture's place.
 */
export function look(at) {
  return at.evaluate((el) => {
    const video = el.querySelector('video');
    const still = el.querySelector('canvas');
    const said = el.querySelector('.why');
    const small = document.createElement('canvas');
    [small.width, small.height] = [32, 18];
    const ctx = small.getContext('2d', { willReadFrequently: true });
    const kept = !still.hidden && still.width > 0;
    let spread = 0;
    if (kept || video.readyState >= 2) {
      ctx.drawImage(kept ? still : video, 0, 0, 32, 18);
      const { data } = ctx.getImageData(0, 0, 32, 18);
      const tone = Array.from({ length: 32 * 18 }, (_, i) => 0.3 * data[4 * i] + 0.6 * data[4 * i + 1] + 0.1 * data[4 * i + 2]);
      const mean = tone.reduce((a, b) => a + b) / tone.length;
      spread = Math.sqrt(tone.reduce((a, b) => a + (b - mean) ** 2, 0) / tone.length);
    }
    return {
      state: el.dataset.state,
      at: video.currentTime,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      width: video.videoWidth,
      height: video.videoHeight,
      kept,
      spread,
      said: said?.checkVisibility() ? said.innerText : '',
    };
  });
}

/** Waits until the tile is live and its picture has moved on by a second; the milliseconds it took to be live. */
export async function plays(at, what = 'the tile plays', within = 45_000) {
  const live = async () => {
    const seen = await look(at);
    if (seen.state !== 'live') throw new Error(JSON.stringify(seen));
    return seen;
  };
  let seen;
  const [ms] = await timed(async () => (seen = await until(what, live, within)));
  await until(`${what}: the picture moves`, async () => {
    const now = await live();
    if (now.at < seen.at) seen = now; // a new stream has a clock of its own
    if (now.at - seen.at < 1 || now.frames - seen.frames < 5) throw new Error(`${JSON.stringify(seen)} ${JSON.stringify(now)}`);
    return true;
  }, within);
  return ms;
}

/** A tile without a live picture says so, in words, over the last picture it had. */
export function honest(seen, { words, kept = true }) {
  assert.match(seen.said, words);
  assert.notEqual(seen.state, 'live');
  if (kept) assert.ok(seen.spread > 5, `the last picture is kept, not a black hole: ${JSON.stringify(seen)}`);
}
