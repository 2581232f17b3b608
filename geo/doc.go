// Package geo is the map under everything: points, zones, rivers with
// chainage, the spatial index, and the built-in base map.
//
// Degrees are WGS 84, longitude first. Distances are metres along the earth;
// chainages are kilometres from the mouth of a river.
package geo
