// @vitest-environment node
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { arrange, salinityAt } from './salinity';

// The same vectors hold geo.ReachSalinity on the server.
interface Group {
  name: string;
  stations: { river: string; km: number; value: number }[];
  cases: { river: string; km: number; gl: number | null }[];
}
const file = fileURLToPath(new URL('../../../../../geo/testdata/interpolation.json', import.meta.url));
const { groups } = JSON.parse(readFileSync(file, 'utf8')) as { groups: Group[] };

describe.each(groups)('$name', ({ stations, cases }) => {
  it.each(cases)('$river km $km', ({ river, km, gl }) => {
    const got = salinityAt(arrange(stations.filter((s) => s.river === river)), km);
    if (gl === null) expect(got).toBeUndefined();
    else expect(Math.abs(got! / gl - 1)).toBeLessThan(1e-9);
  });
});
