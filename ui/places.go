package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"cuulong/geo"
)

type zoneView struct {
	ID   string     `json:"id"`
	Name string     `json:"name"`
	Kind string     `json:"kind,omitempty"`
	BBox [4]float64 `json:"bbox" doc:"west, south, east, north in degrees"`
}

type riverView struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Mouth    string     `json:"mouth,omitempty"`
	Joins    *geo.Join  `json:"joins,omitempty"`
	LengthKM float64    `json:"length_km"`
	BBox     [4]float64 `json:"bbox" doc:"west, south, east, north in degrees"`
}

func corners(b geo.Box) [4]float64 { return [4]float64{b.W, b.S, b.E, b.N} }

type importOut struct {
	Accepted int           `json:"accepted"`
	Refused  []geo.Refusal `json:"refused" nullable:"false"`
}

// featureOut is a GeoJSON Feature as it was put.
type featureOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func feature(raw json.RawMessage) *featureOut {
	return &featureOut{"application/geo+json", raw}
}

// geoJSONIn is a text that the atlas reads itself.
type geoJSONIn struct {
	RawBody []byte
}

type putCollection func(ctx context.Context, r io.Reader) (int, []geo.Refusal, error)

func (s *Server) placeRoutes() {
	a := s.o.Atlas
	route(s, "GET /api/v1/zones", "List zones; with at, those that hold the point", http.StatusOK, func(ctx context.Context, in *struct {
		Paging
		At string `query:"at" doc:"lon,lat in degrees"`
	}) (*answer[list[zoneView]], error) {
		zones := a.Zones()
		if in.At != "" {
			p, err := parsePoint(in.At)
			if err != nil {
				return nil, err
			}
			zones = a.ZonesAt(p)
		}
		shown := views(zones, func(z geo.Zone) zoneView { return zoneView{z.ID, z.Name, z.Kind, corners(z.Box)} })
		return paged(ctx, s, shown, func(z zoneView) string { return z.ID }, in.Paging)
	}, csvToo[list[zoneView]](s))
	route(s, "GET /api/v1/rivers", "List rivers", http.StatusOK, func(ctx context.Context, in *Paging) (*answer[list[riverView]], error) {
		shown := views(a.Rivers(), func(r geo.River) riverView {
			return riverView{r.ID, r.Name, r.Mouth, r.Joins, r.LengthKM, corners(r.Box)}
		})
		return paged(ctx, s, shown, func(r riverView) string { return r.ID }, *in)
	}, csvToo[list[riverView]](s))
	collection(s, "zones", "zone", a.PutZones, a.DeleteZone, func(id string) (json.RawMessage, bool) {
		z, ok := a.Zone(id)
		return z.GeoJSON, ok
	})
	collection(s, "rivers", "river", a.PutRivers, a.DeleteRiver, func(id string) (json.RawMessage, bool) {
		r, ok := a.River(id)
		return r.GeoJSON, ok
	})
}

// collection are the routes that zones and rivers share.
func collection(s *Server, many, one string, put putCollection, del func(context.Context, string) (bool, error), get func(string) (json.RawMessage, bool)) {
	route(s, "POST /api/v1/"+many, "Take a GeoJSON FeatureCollection, each feature with an id; features that fail are refused one by one", http.StatusOK,
		func(ctx context.Context, in *geoJSONIn) (*body[importOut], error) {
			n, refused, err := put(ctx, bytes.NewReader(in.RawBody))
			if refused == nil {
				refused = []geo.Refusal{}
			}
			return &body[importOut]{importOut{n, refused}}, err
		}, takesGeoJSON)
	route(s, "GET /api/v1/"+many+"/{id}", "One "+one+" as a GeoJSON Feature", http.StatusOK, func(_ context.Context, in *ByID) (*featureOut, error) {
		raw, ok := get(in.ID)
		if !ok {
			return nil, notFound(one)
		}
		return feature(raw), nil
	}, givesGeoJSON)
	route(s, "PUT /api/v1/"+many+"/{id}", "Replace a "+one+" by a GeoJSON Feature", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		geoJSONIn
	}) (*featureOut, error) {
		if _, ok := get(in.ID); !ok {
			return nil, notFound(one)
		}
		if err := putFeature(ctx, put, in.ID, in.RawBody); err != nil {
			return nil, err
		}
		raw, ok := get(in.ID)
		if !ok { // deleted meanwhile
			return nil, notFound(one)
		}
		return feature(raw), nil
	}, takesGeoJSON, givesGeoJSON)
	route(s, "DELETE /api/v1/"+many+"/{id}", "Delete a "+one, http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		ok, err := del(ctx, in.ID)
		if err == nil && !ok {
			err = notFound(one)
		}
		return nil, err
	})
}

// putFeature takes one Feature as a collection of one.
func putFeature(ctx context.Context, put putCollection, id string, text []byte) error {
	var f struct {
		Type string `json:"type"`
		ID   any    `json:"id"`
	}
	if err := unmarshalStrict(text, &f); err != nil {
		if !json.Valid(text) {
			return problem(http.StatusBadRequest, "not JSON", ProblemDetail{"body", "not JSON"})
		}
		return invalid("body", "expected a GeoJSON Feature")
	}
	if f.Type != "Feature" {
		return invalid("body.type", "expected Feature")
	}
	if got, ok := f.ID.(string); !ok || got != id {
		return invalid("body.id", "is not the id of the path, and an id cannot change")
	}
	whole := bytes.Join([][]byte{[]byte(`{"type":"FeatureCollection","features":[`), text, []byte(`]}`)}, nil)
	_, refused, err := put(ctx, bytes.NewReader(whole))
	if err == nil && len(refused) > 0 {
		err = invalid("body", refused[0].Why)
	}
	return err
}

// importPatience is how long the text of an import may take to arrive.
const importPatience = 2 * time.Minute

func takesGeoJSON(op *huma.Operation) {
	object := &huma.Schema{Type: "object", Description: "GeoJSON (RFC 7946)"}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/geo+json": {Schema: object}, "application/json": {Schema: object}}}
	// Its schema is documentation: the atlas reads the text, and refuses feature by feature.
	op.SkipValidateBody = true
	op.MaxBodyBytes, op.BodyReadTimeout = maxImport, importPatience
}

func givesGeoJSON(op *huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		"application/geo+json": {Schema: &huma.Schema{Type: "object", Description: "GeoJSON Feature"}}}}}
}

func parsePoint(s string) (geo.Point, error) {
	lon, lat, ok := strings.Cut(s, ",")
	x, err1 := strconv.ParseFloat(strings.TrimSpace(lon), 64)
	y, err2 := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	p := geo.Point{Lon: x, Lat: y}
	if !ok || err1 != nil || err2 != nil || !p.Valid() {
		return geo.Point{}, invalid("query.at", "lon,lat in degrees")
	}
	return p, nil
}
