package geo

import "embed"

// Base is the built-in base map, the folder base: land, water, reaches,
// rivers, places and stations, as GeoJSON. base/README.md says where it is
// from and what must be shown with it.
//
//go:embed base/*.geojson
var Base embed.FS

// BaseFile gives one file of Base by its bare name, such as "land.geojson".
// The error is fs.ErrNotExist where there is none.
func BaseFile(name string) ([]byte, error) { return Base.ReadFile("base/" + name) }
