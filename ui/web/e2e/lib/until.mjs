/**
 * Waits for a condition: the first truthy result of check, or an error that says
 * what was waited for and what was seen last. An error with `final` ends it at once.
 */
export async function until(what, check, within = 45_000) {
  const end = Date.now() + within;
  let last;
  for (;;) {
    try {
      const result = await check();
      if (result) return result;
      last = result;
    } catch (e) {
      if (e.final) throw e;
      last = e.message;
    }
    if (Date.now() > end) throw new Error(`waited ${within / 1000} s for: ${what}${last === undefined ? '' : ` (last: ${last})`}`);
    await new Promise((again) => setTimeout(again, 40));
  }
}

/** Milliseconds that a wait took, beside its result. */
export async function timed(wait) {
  const from = performance.now();
  const result = await wait();
  return [Math.round(performance.now() - from), result];
}
