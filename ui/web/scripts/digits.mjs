// Be Vietnam Pro has no tabular figures, so the ten digits come from Inter:
// its `tnum` forms made the default ones, everything else cut away. The result
// is a few hundred bytes a weight and is never committed.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import subsetFont from 'subset-font';

const root = new URL('../', import.meta.url);
const out = new URL('src/styles/digits/', root);

await mkdir(out, { recursive: true });
for (const weight of [400, 500, 600, 700]) {
  const to = new URL(`digits-${weight}.woff2`, out);
  if (await stat(to).then((s) => s.size > 0, () => false)) continue;
  const from = new URL(`node_modules/@fontsource/inter/files/inter-latin-${weight}-normal.woff2`, root);
  const font = await subsetFont(await readFile(from), '0123456789', {
    targetFormat: 'woff2',
    // Keep `tnum` alone: app.css turns it on for the face.
    preserveNameIds: [1, 2],
  });
  await writeFile(to, font);
  console.log(`${fileURLToPath(to)}  ${font.length} B`);
}
