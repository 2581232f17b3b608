package geo

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const square = `[[[106,10],[107,10],[107,11],[106,11],[106,10]]]`

func polygon(id, coordinates string) string {
	return fmt.Sprintf(`{"type":"Feature","id":%q,"properties":{"name":"n"},"geometry":{"type":"Polygon","coordinates":%s}}`, id, coordinates)
}

func lineString(id, coordinates string) string {
	return fmt.Sprintf(`{"type":"Feature","id":%q,"properties":{"name":"n"},"geometry":{"type":"LineString","coordinates":%s}}`, id, coordinates)
}

func collection(features ...string) string {
	return `{"type":"FeatureCollection","features":[` + strings.Join(features, ",") + `]}`
}

// Each hostile feature stands between two good ones: it alone is refused, and told by index, id and why.
func TestHostileZones(t *testing.T) {
	a := openAtlas(t)
	for _, c := range []struct{ name, feature, id, why string }{
		{"no id", `{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "", "has no id"},
		{"null ids", `{"type":"Feature","id":null,"properties":{"id":null},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "", "has no id"},
		{"id of spaces", polygon("a b", square), "a b", "its id is not"},
		{"id too long", polygon(strings.Repeat("x", 65), square), strings.Repeat("x", 64) + "…", "its id is not"},
		{"id with a leading dot", polygon(".a", square), ".a", "its id is not"},
		{"id of Vietnamese letters", polygon("Mỹ-Tho", square), "Mỹ-Tho", "its id is not"},
		{"id with a line feed", polygon("a\n", square), "a\n", "its id is not"},
		{"id an object", `{"type":"Feature","id":{},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "", "its id is not"},
		{"id a fraction", `{"type":"Feature","id":1.5,"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "", "its id is not"},
		{"id in capitals", `{"type":"Feature","ID":"x","geometry":{"type":"Polygon","coordinates":` + square + `}}`, "", "has no id"},
		{"the id of another", polygon("good-1", square), "good-1", "that of feature 0"},
		{"null", `null`, "", "not a GeoJSON Feature"},
		{"a number", `7`, "", "not a GeoJSON Feature"},
		{"a bare geometry", `{"type":"Polygon","id":"x","coordinates":` + square + `}`, "x", `"type" is not "Feature"`},
		{"properties a list", `{"type":"Feature","id":"x","properties":[]}`, "", "properties is not an object"},
		{"name a number", `{"type":"Feature","id":"x","properties":{"name":7},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "x", "properties.name is not a text"},
		{"name with a bell", `{"type":"Feature","id":"x","properties":{"name":"a\u0007"},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "x", "control characters"},
		{"name too long", `{"type":"Feature","id":"x","properties":{"name":"` + strings.Repeat("ộ", 201) + `"},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "x", "longer than 200"},
		{"kind a list", `{"type":"Feature","id":"x","properties":{"kind":[]},"geometry":{"type":"Polygon","coordinates":` + square + `}}`, "x", "properties.kind is not a text"},
		{"no geometry", `{"type":"Feature","id":"x","properties":{}}`, "x", "has no geometry"},
		{"null geometry", `{"type":"Feature","id":"x","properties":{},"geometry":null}`, "x", "has no geometry"},
		{"geometry a text", `{"type":"Feature","id":"x","properties":{},"geometry":"Polygon"}`, "x", "has no geometry"},
		{"a point", `{"type":"Feature","id":"x","properties":{},"geometry":{"type":"Point","coordinates":[106,10]}}`, "x", "its geometry is Point"},
		{"a line", lineString("x", `[[106,10],[107,10]]`), "x", "its geometry is LineString"},
		{"a geometry collection", `{"type":"Feature","id":"x","geometry":{"type":"GeometryCollection","geometries":[]}}`, "x", "its geometry is GeometryCollection"},
		{"geometry of no type", `{"type":"Feature","id":"x","geometry":{"coordinates":` + square + `}}`, "x", "its geometry is of no type"},
		{"no coordinates", `{"type":"Feature","id":"x","geometry":{"type":"Polygon"}}`, "x", "expected a list of rings, found nothing"},
		{"coordinates null", polygon("x", `null`), "x", "expected a list of rings, found null"},
		{"coordinates empty", polygon("x", `[]`), "x", "empty list of rings"},
		{"ring empty", polygon("x", `[[]]`), "x", "ring 0: empty list of positions"},
		{"position empty", polygon("x", `[[[]]]`), "x", "ring 0: vertex 0: empty list of numbers"},
		{"position of one number", polygon("x", `[[[1]]]`), "x", "2 to 4 numbers"},
		{"position of five numbers", polygon("x", `[[[1,2,3,4,5]]]`), "x", "2 to 4 numbers"},
		{"nulls for numbers", polygon("x", `[[[null,null],[107,10],[107,11],[null,null]]]`), "x", "expected a number, found null"},
		{"texts for numbers", polygon("x", `[[["106","10"]]]`), "x", "expected a number, found a text"},
		{"truth for a number", polygon("x", `[[[true,1]]]`), "x", "expected a number, found true or false"},
		{"an object for a position", polygon("x", `[[{"lon":1}]]`), "x", "found an object"},
		{"one list too few", polygon("x", `[[106,10],[107,10],[107,11],[106,10]]`), "x", "expected a list of numbers, found a number"},
		{"one list too many", polygon("x", `[`+square+`]`), "x", "expected a number, found a list"},
		{"deep", polygon("x", strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), "x", "expected a number, found a list"},
		{"three positions", polygon("x", `[[[106,10],[107,10],[106,10]]]`), "x", "ring 0 has 3 positions"},
		{"open ring", polygon("x", `[[[106,10],[107,10],[107,11],[106,11]]]`), "x", "ring 0 is open: it begins at 106.000000,10.000000 and ends at 106.000000,11.000000"},
		{"one place four times", polygon("x", `[[[106,10],[106,10],[106,10],[106,10]]]`), "x", "fewer than 3 different positions"},
		{"there and back", polygon("x", `[[[106,10],[107,10],[106,10],[106,10]]]`), "x", "fewer than 3 different positions"},
		{"flat", polygon("x", `[[[106,10],[107,10],[108,10],[106,10]]]`), "x", "ring 0 crosses or touches itself"},
		{"bow tie", polygon("x", `[[[106,10],[107,11],[107,10],[106,11],[106,10]]]`), "x", "ring 0 crosses or touches itself near 106.500000,10.500000"},
		{"bow tie by a shared vertex", polygon("x", `[[[106,10],[106.5,10.5],[107,10],[107,11],[106.5,10.5],[106,11],[106,10]]]`), "x", "near 106.500000,10.500000"},
		{"spike", polygon("x", `[[[106,10],[107,10],[107,11],[107,12],[107,11],[106,11],[106,10]]]`), "x", "ring 0 crosses or touches itself"},
		{"ring walked twice", polygon("x", `[[[106,10],[107,10],[107,11],[106,10],[107,10],[107,11],[106,10]]]`), "x", "ring 0 crosses or touches itself"},
		{"hole outside", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[108,10],[108,11],[109,11],[108,10]]]`), "x", "ring 1, a hole, lies outside the shell at 108.000000,10.000000"},
		{"hole crossing the shell", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.5,10.5],[107.5,10.5],[107.5,10.6],[106.5,10.5]]]`), "x", "rings 0 and 1 cross"},
		{"hole along the shell", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.2,10],[106.8,10],[106.5,10.5],[106.2,10]]]`), "x", "rings 0 and 1 cross or run along"},
		{"hole like the shell", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106,10],[107,10],[107,11],[106,11],[106,10]]]`), "x", "rings 0 and 1 cross or run along"},
		{"hole round the shell", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[105,9],[108,9],[108,12],[105,12],[105,9]]]`), "x", "outside the shell"},
		{"hole in a hole", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.1,10.1],[106.9,10.1],[106.9,10.9],[106.1,10.9],[106.1,10.1]],[[106.4,10.4],[106.6,10.4],[106.6,10.6],[106.4,10.4]]]`), "x", "ring 2, a hole, lies in the hole that is ring 1"},
		{"holes crossing", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.1,10.1],[106.5,10.1],[106.5,10.5],[106.1,10.1]],[[106.4,10.2],[106.8,10.2],[106.8,10.6],[106.4,10.2]]]`), "x", "rings 1 and 2 cross"},
		{"hole open", polygon("x", `[[[106,10],[107,10],[107,11],[106,11],[106,10]],[[106.1,10.1],[106.5,10.1],[106.5,10.5],[106.2,10.2]]]`), "x", "ring 1 is open"},
		{"1e308", polygon("x", `[[[106,10],[1e308,10],[107,11],[106,10]]]`), "x", "vertex 1: longitude 1e+308 is outside"},
		{"latitude 1e308", polygon("x", `[[[106,1e308],[107,10],[107,11],[106,1e308]]]`), "x", "vertex 0: latitude 1e+308 is outside"},
		{"1e309", polygon("x", `[[[106,10],[107,-1e309],[107,11],[106,10]]]`), "x", "latitude -Inf is outside"},
		{"altitude 1e999", polygon("x", `[[[106,10,1e999]]]`), "x", "not finite"},
		{"latitude first", polygon("x", `[[[10,106],[10,107],[11,107],[10,106]]]`), "x", "latitude 106 is outside"},
		{"over the antimeridian", polygon("x", `[[[179,10],[-179,10],[-179,11],[179,11],[179,10]]]`), "x", "crosses the antimeridian"},
		{"too many vertices", polygon("x", `[[`+strings.Repeat(`[1,2],`, maxVertices)+`[1,2]]]`), "x", "more than 200000 vertices"},
		{"a second polygon that is bad", `{"type":"Feature","id":"x","geometry":{"type":"MultiPolygon","coordinates":[` + square + `,[[[1,1],[2,2],[2,1],[1,2],[1,1]]]]}}`, "x", "polygon 1: ring 0 crosses or touches itself near 1.500000,1.500000"},
		{"an empty polygon among several", `{"type":"Feature","id":"x","geometry":{"type":"MultiPolygon","coordinates":[` + square + `,[]]}}`, "x", "polygon 1: empty list of rings"},
		{"holes between teeth made to defeat the check", polygon("x", holedComb(5000)), "x", "too close across each other"},
		{"a comb made to defeat the check", polygon("x", comb(20_000)), "x", "too close across each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := collection(polygon("good-1", square), c.feature, polygon("good-2", square))
			accepted, refused, err := a.PutZones(t.Context(), strings.NewReader(text))
			if err != nil || accepted != 2 || len(refused) != 1 {
				t.Fatalf("accepted %d, refused %v, %v", accepted, refused, err)
			}
			if r := refused[0]; r.Index != 1 || r.ID != c.id || !strings.Contains(r.Why, c.why) {
				t.Errorf("refused %+v; want index 1, id %q, why with %q", r, c.id, c.why)
			}
			if got := len(a.Zones()); got != 2 {
				t.Errorf("%d zones", got)
			}
			if len(refused[0].Why) > 300 {
				t.Errorf("a long answer: %q", refused[0].Why)
			}
		})
	}
}

// comb is a valid polygon of n long slanted teeth, every one of whose boxes meets every other.
func comb(n int) string {
	var there []string
	for i := range n {
		d := float64(i) / float64(n)
		there = append(there, fmt.Sprintf("[%.7f,%.7f],[%.7f,%.7f]", d, -d, d+10.00001, -d+10))
	}
	there = append(there, "[12,8]", "[12,20]", "[-9,20]", "[-9,0]", "[0,0]")
	return "[[" + strings.Join(there, ",") + "]]"
}

// holedComb is a valid polygon of n tall upright teeth with n holes in its back.
func holedComb(n int) string {
	shell := []Point{{0, -10}, {20, -10}}
	rings := [][]Point{nil}
	for i := n; i > 0; i-- {
		x, w := 20*float64(i)/float64(n), 20/float64(n)
		shell = append(shell, Point{x, 0}, Point{x, 50}, Point{x - w/2, 50}, Point{x - w/2, 0})
		rings = append(rings, []Point{{x - 0.8*w, -0.1}, {x - 0.5*w, -0.2}, {x - 0.2*w, -0.1}, {x - 0.8*w, -0.1}})
	}
	rings[0] = append(shell, Point{0, 0}, shell[0])
	return string(appendPolygon(nil, rings))
}

func TestHostileRivers(t *testing.T) {
	a := openAtlas(t)
	for _, c := range []struct{ name, feature, id, why string }{
		{"a polygon", polygon("x", square), "x", "its geometry is Polygon; a river is a LineString"},
		{"several lines", `{"type":"Feature","id":"x","geometry":{"type":"MultiLineString","coordinates":[[[106,10],[107,10]]]}}`, "x", "its geometry is MultiLineString"},
		{"no position", lineString("x", `[]`), "x", "empty list of positions"},
		{"one position", lineString("x", `[[106,10]]`), "x", "at least 2"},
		{"one place", lineString("x", `[[106,10],[106,10]]`), "x", "one place"},
		{"1e308", lineString("x", `[[106,10],[106,1e308]]`), "x", "latitude 1e+308 is outside"},
		{"over the antimeridian", lineString("x", `[[179.9,10],[-179.9,10]]`), "x", "crosses the antimeridian"},
		{"too many vertices", lineString("x", `[`+strings.Repeat(`[1,2],`, maxVertices)+`[1,2]]`), "x", "more than 200000 vertices"},
		{"the id of another", lineString("good-1", `[[106,10],[107,10]]`), "good-1", "that of feature 0"},
		{"joins a text", `{"type":"Feature","id":"x","properties":{"joins":"tien"},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "properties.joins is not"},
		{"joins no river", `{"type":"Feature","id":"x","properties":{"joins":{"km":1,"end":"upstream"}},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "properties.joins is not"},
		{"joins at 1e999", `{"type":"Feature","id":"x","properties":{"joins":{"river":"tien","km":1e999,"end":"upstream"}},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "properties.joins is not"},
		{"joins sideways", `{"type":"Feature","id":"x","properties":{"joins":{"river":"tien","km":1,"end":"sideways"}},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "joins.end"},
		{"joins below the mouth", `{"type":"Feature","id":"x","properties":{"joins":{"river":"tien","km":-1,"end":"upstream"}},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "below 0"},
		{"joins a bad id", `{"type":"Feature","id":"x","properties":{"joins":{"river":"a b","km":1,"end":"upstream"}},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "joins.river is not an id"},
		{"mouth a number", `{"type":"Feature","id":"x","properties":{"mouth":1},"geometry":{"type":"LineString","coordinates":[[106,10],[107,10]]}}`, "x", "properties.mouth is not a text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := `[[106,10],[107,10]]`
			accepted, refused, err := a.PutRivers(t.Context(), strings.NewReader(collection(lineString("good-1", good), c.feature, lineString("good-2", good))))
			if err != nil || accepted != 2 || len(refused) != 1 {
				t.Fatalf("accepted %d, refused %v, %v", accepted, refused, err)
			}
			if r := refused[0]; r.Index != 1 || r.ID != c.id || !strings.Contains(r.Why, c.why) {
				t.Errorf("refused %+v; want index 1, id %q, why with %q", r, c.id, c.why)
			}
		})
	}
}

func TestUnreadableText(t *testing.T) {
	a := openAtlas(t)
	a.OnChange(func() { t.Error("told of a change") })
	good := polygon("a", square)
	for _, c := range []struct {
		name, text string
		notJSON    bool
		why        string
	}{
		{"empty", "", true, "not JSON"},
		{"blank", " \n", true, "not JSON"},
		{"words", "hello", true, "not JSON"},
		{"truncated", collection(good)[:80], true, "not JSON"},
		{"truncated after the features", strings.TrimSuffix(collection(good), "}"), true, "not JSON"},
		{"a closing brace for a bracket", `{"type":"FeatureCollection","features":[}`, true, "not JSON"},
		{"two collections", collection(good) + collection(good), true, "more text follows"},
		{"not UTF-8", collection(strings.Replace(good, `"n"`, "\"\xff\"", 1)), true, "not UTF-8"},
		{"NaN", collection(polygon("a", `[[[NaN,1]]]`)), true, "not JSON"},
		{"too deep", collection(polygon("a", strings.Repeat("[", 20_000))), true, "not JSON"},
		{"a list", "[" + good + "]", false, "found something else"},
		{"a list, truncated", "[" + good, true, "not JSON"},
		{"null", "null", false, "found something else"},
		{"a text", `"FeatureCollection"`, false, "found something else"},
		{"a feature", good, false, "found Feature"},
		{"a long type", `{"type":"` + strings.Repeat("x", 1e6) + `"}`, false, "found xxx"},
		{"a number too large for Go", "1e700", false, "found something else"},
		{"no features", `{"type":"FeatureCollection"}`, false, `with "features"`},
		{"features null", `{"type":"FeatureCollection","features":null}`, false, "not a list"},
		{"features an object", `{"type":"FeatureCollection","features":{}}`, false, "not a list"},
		{"features twice", `{"features":[],"type":"FeatureCollection","features":[]}`, false, "twice"},
		{"no type", `{"features":[]}`, false, "expected a GeoJSON FeatureCollection"},
		{"too many features", collection(strings.TrimSuffix(strings.Repeat("0,", MaxFeatures+1), ",")), false, "more than 20000 features"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, put := range map[string]func() (int, []Refusal, error){
				"zones":  func() (int, []Refusal, error) { return a.PutZones(t.Context(), strings.NewReader(c.text)) },
				"rivers": func() (int, []Refusal, error) { return a.PutRivers(t.Context(), strings.NewReader(c.text)) },
			} {
				accepted, refused, err := put()
				var input *InputError
				if !errors.As(err, &input) || accepted != 0 || len(refused) != 0 {
					t.Fatalf("%s: accepted %d, refused %v, error %v", name, accepted, refused, err)
				}
				if input.NotJSON != c.notJSON || !strings.Contains(input.Why, c.why) || len(input.Why) > 300 {
					t.Errorf("%s: %+v; want NotJSON %v, why with %q", name, input, c.notJSON, c.why)
				}
			}
		})
	}
}

func TestTextTooLong(t *testing.T) {
	_, err := readCollection(strings.NewReader(strings.Repeat(" ", MaxBytes+1)))
	var input *InputError
	if !errors.As(err, &input) || input.NotJSON || !strings.Contains(input.Why, "longer than 64 MiB") {
		t.Errorf("%v", err)
	}
}

// A reader that fails (a body over the caller's bound) shows its own error through ours.
func TestReaderFails(t *testing.T) {
	a := openAtlas(t)
	cause := errors.New("http: request body too large")
	_, _, err := a.PutZones(t.Context(), io.MultiReader(strings.NewReader(`{"type":`), iotest.ErrReader(cause)))
	var input *InputError
	if !errors.As(err, &input) || !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}
