// Budgets of WALL.md, gzipped: the shell (page, first script and style sheet, and
// what they import at once) at most 60 KB; the map (MapLibre with its worker and
// our code beside it) at most 500 KB. Fonts are listed beside them.
import { readFile, readdir } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);
const assets = (await readdir(new URL('assets/', dist))).sort();
const zipped = async (path) => gzipSync(await readFile(new URL(path, dist)), { level: 9 }).length;
const sizes = new Map();
for (const f of assets) sizes.set(f, await zipped('assets/' + f));

const html = await readFile(new URL('index.html', dist), 'utf8');
const first = [...html.matchAll(/assets\/([^"']+)/g)].map((m) => m[1]);
const shell = new Set(first);
// Static imports of the first script come with it.
for (const f of shell) {
  if (!f.endsWith('.js')) continue;
  const code = await readFile(new URL('assets/' + f, dist), 'utf8');
  for (const m of code.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g)) shell.add(m[1]);
}
const sum = (names) => [...names].reduce((n, f) => n + (sizes.get(f) ?? 0), 0);
const shellSize = sum(shell) + (await zipped('index.html'));
const map = assets.filter((f) => /^(MapPane|view|maplibre)/.test(f) && !f.endsWith('.map'));
const mapSize = sum(map);
const fonts = sum(assets.filter((f) => f.endsWith('.woff2')));

const kb = (n) => (n / 1024).toFixed(1).padStart(7) + ' KB';
for (const [f, n] of sizes) if (!f.endsWith('.woff2')) console.log(kb(n), shell.has(f) ? 'shell' : map.includes(f) ? 'map  ' : '     ', f);
console.log(kb(shellSize), 'shell, of 60 KB');
console.log(kb(mapSize), 'map, of 500 KB');
console.log(kb(fonts), 'fonts, all files; a page loads those its text needs');
if (shellSize > 60 * 1024 || mapSize > 500 * 1024) {
  console.error('over budget');
  process.exitCode = 1;
}
