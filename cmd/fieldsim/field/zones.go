package field

import "encoding/json"

// zoneShapes are a few plausible areas of the demo, drawn by hand. Nobody has
// surveyed them and no authority has drawn them so.
var zoneShapes = []struct {
	id, name, kind string
	ring           [][2]float64 // open, counterclockwise, lon lat
}{
	{"ngot-hoa-go-cong", "Vùng ngọt hoá Gò Công", "fresh_water", [][2]float64{
		{106.460, 10.330}, {106.500, 10.325}, {106.550, 10.306}, {106.600, 10.300}, {106.660, 10.295}, {106.700, 10.290},
		{106.735, 10.292}, {106.765, 10.330}, {106.760, 10.380}, {106.720, 10.420}, {106.660, 10.450}, {106.580, 10.455},
		{106.500, 10.430}, {106.460, 10.390}}},
	{"sau-rieng-cai-lay", "Vùng sầu riêng Cai Lậy", "orchard", [][2]float64{
		{106.060, 10.345}, {106.100, 10.335}, {106.150, 10.335}, {106.200, 10.345}, {106.200, 10.385}, {106.150, 10.400},
		{106.090, 10.395}, {106.060, 10.375}}},
	{"do-thi-my-tho", "Khu đô thị Mỹ Tho", "urban", [][2]float64{
		{106.325, 10.352}, {106.345, 10.350}, {106.380, 10.351}, {106.385, 10.370}, {106.360, 10.385}, {106.325, 10.382}}},
	{"nuoi-tom-binh-dai", "Vùng nuôi tôm Bình Đại", "aquaculture", [][2]float64{
		{106.620, 10.140}, {106.670, 10.090}, {106.720, 10.060}, {106.740, 10.100}, {106.735, 10.165}, {106.690, 10.175},
		{106.620, 10.180}}},
	{"cay-trai-mo-cay", "Vùng cây ăn trái Mỏ Cày", "orchard", [][2]float64{
		{106.290, 10.090}, {106.370, 10.085}, {106.380, 10.120}, {106.345, 10.180}, {106.300, 10.200}, {106.270, 10.150}}},
}

// Zones is a GeoJSON FeatureCollection of a few illustrative zones, as
// POST /api/v1/zones takes it.
func Zones() []byte {
	type feature = map[string]any
	features := make([]feature, 0, len(zoneShapes))
	for _, z := range zoneShapes {
		ring := append(append([][2]float64(nil), z.ring...), z.ring[0])
		features = append(features, feature{
			"type": "Feature", "id": z.id,
			"properties": map[string]any{"id": z.id, "name": z.name, "kind": z.kind, "illustrative": true},
			"geometry":   map[string]any{"type": "Polygon", "coordinates": [][][2]float64{ring}},
		})
	}
	b, err := json.Marshal(map[string]any{"type": "FeatureCollection", "features": features})
	if err != nil {
		panic("field: zones: " + err.Error()) // only numbers and strings
	}
	return b
}
