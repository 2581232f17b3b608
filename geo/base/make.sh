#!/bin/sh
# Makes the built-in base map from the shared geographic data. Run it at the
# root of the repository: sh geo/base/make.sh [source folder]
# It needs node only. The result is committed: the binary embeds it, and a
# clone without the shared folder still builds.
set -eu
from=${1:-../shared/data/geo}
to=geo/base
[ -d "$to" ] || { echo "make.sh: run me at the root of the repository" >&2; exit 1; }
[ -r "$from/vietnam-land.geojson" ] || { echo "make.sh: no geographic data in $from" >&2; exit 1; }

FROM=$from TO=$to node <<'JS'
'use strict'
const fs = require('fs')
const { FROM, TO } = process.env

// Five decimals are one metre; the sources are coarser by far.
const round = c => Array.isArray(c) ? c.map(round) : Math.round(c * 1e5) / 1e5

// name: target; source: file; keep: the only properties that travel along.
// Anything that could name a country is left behind by not being listed.
const layers = [
  ['land', 'vietnam-land', ['class']],
  ['water', 'delta-water', ['class']],
  ['reaches', 'reaches', ['river', 'from_km', 'to_km']],
  ['rivers', 'rivers', ['id', 'name', 'mouth', 'length_km', 'joins']],
  ['places', 'places', ['name', 'kind', 'rank', 'river', 'approx']],
  ['stations', 'stations', ['id', 'name', 'kind', 'river', 'chainage_km', 'place', 'site', 'bearing', 'view_deg', 'illustrative', 'approx']],
]

// Hoàng Sa and Trường Sa are Vietnamese and are labelled so, whatever the source says.
const archipelagos = [
  { match: /hoàng sa|paracel/i, name: 'Quần đảo Hoàng Sa (Việt Nam)', at: [112.0, 16.5] },
  { match: /trường sa|spratly/i, name: 'Quần đảo Trường Sa (Việt Nam)', at: [113.5, 9.5] },
]

let total = 0
for (const [name, source, keep] of layers) {
  let features = JSON.parse(fs.readFileSync(`${FROM}/${source}.geojson`, 'utf8')).features
  if (name === 'places') {
    features = features.filter(f => !archipelagos.some(a => a.match.test(f.properties.name)))
    for (const a of archipelagos) {
      features.unshift({
        properties: { name: a.name, kind: 'archipelago', rank: 1 },
        geometry: { type: 'Point', coordinates: a.at },
      })
    }
  }
  const lines = features.map(f => {
    const properties = {}
    for (const k of keep) if (f.properties[k] !== undefined) properties[k] = f.properties[k]
    const id = properties.id === undefined ? {} : { id: properties.id }
    const geometry = { type: f.geometry.type, coordinates: round(f.geometry.coordinates) }
    return JSON.stringify({ type: 'Feature', ...id, properties, geometry })
  })
  const text = '{"type":"FeatureCollection","features":[\n' + lines.join(',\n') + '\n]}\n'
  fs.writeFileSync(`${TO}/${name}.geojson`, text)
  total += Buffer.byteLength(text)
}
if (total > 1.5e6) throw new Error(`the base map is ${total} bytes; 1,500,000 at most`)
console.log(`${total} bytes`)
JS
