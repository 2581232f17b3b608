package ui

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cuulong/devices"
	"cuulong/geo"
)

// deviceBody is a device as posted. What the server adds is taken and ignored,
// so that what GET gave can be put.
type deviceBody struct {
	ID          string             `json:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"identifier"`
	Name        string             `json:"name"`
	Kind        string             `json:"kind" enum:"station,gateway,access_point,bridge"`
	Position    *pointBody         `json:"position,omitempty"`
	Parent      string             `json:"parent,omitempty" doc:"its gateway"`
	Agency      string             `json:"agency,omitempty"`
	Tags        []string           `json:"tags,omitempty"`
	Public      bool               `json:"public,omitempty"`
	Maintenance bool               `json:"maintenance,omitempty"`
	Metrics     []devices.Expected `json:"metrics,omitempty"`

	Quality map[string]devices.Limits `json:"quality,omitempty" doc:"QARTOD tests by metric; without it the catalogue's gross range alone"`
	Derive  map[string]string         `json:"derive,omitempty" doc:"salinity or salinity_pss78, by PSS-78 from ec25, or from ec and water_temperature"`

	Created    any `json:"created,omitempty" readOnly:"true"`
	Chainage   any `json:"chainage,omitempty" readOnly:"true"`
	Attributes any `json:"attributes,omitempty" readOnly:"true"`
	State      any `json:"state,omitempty" readOnly:"true"`
	Heard      any `json:"heard,omitempty" readOnly:"true"`
	Clock      any `json:"clock_offset_ms,omitempty" readOnly:"true"`
}

type pointBody struct {
	Lon float64 `json:"lon" minimum:"-180" maximum:"180"`
	Lat float64 `json:"lat" minimum:"-90" maximum:"90"`
}

func (b deviceBody) device() devices.Device {
	d := devices.Device{ID: devices.ID(b.ID), Name: b.Name, Kind: devices.Kind(b.Kind), Parent: devices.ID(b.Parent),
		Agency: b.Agency, Tags: b.Tags, Public: b.Public, Maintenance: b.Maintenance, Metrics: b.Metrics, Quality: b.Quality, Derive: b.Derive}
	if b.Position != nil {
		d.Position = &geo.Point{Lon: b.Position.Lon, Lat: b.Position.Lat}
	}
	return d
}

func bodyOf(d devices.Device) deviceBody {
	b := deviceBody{ID: string(d.ID), Name: d.Name, Kind: string(d.Kind), Parent: string(d.Parent),
		Agency: d.Agency, Tags: d.Tags, Public: d.Public, Maintenance: d.Maintenance, Metrics: d.Metrics, Quality: d.Quality, Derive: d.Derive}
	if d.Position != nil {
		b.Position = &pointBody{d.Position.Lon, d.Position.Lat}
	}
	return b
}

// deviceView is a device with what is known of its voice.
type deviceView struct {
	devices.Device
	State devices.State `json:"state" enum:"never,online,silent,maintenance"`
	Heard int64         `json:"heard,omitempty" doc:"when a message of it last arrived, Unix ms"`
	Clock *int64        `json:"clock_offset_ms,omitempty" doc:"how far its clock is ahead of ours (below 0: behind, way included), from the values of the last minutes"`
}

func (s *Server) view(d devices.Device) deviceView {
	v := deviceView{Device: d, State: s.o.Registry.State(d.ID, s.o.Now())}
	if t, ok := s.o.Registry.LastHeard(d.ID); ok {
		v.Heard = t.UnixMilli()
	}
	if s.o.Clocks != nil {
		if ms, ok := s.o.Clocks.Offset(d.ID); ok {
			v.Clock = &ms
		}
	}
	return v
}

type deviceMade struct {
	Device      deviceView          `json:"device"`
	Credentials devices.Credentials `json:"credentials" doc:"shown once"`
}

type deviceQuery struct {
	Paging
	BBox boxParam `query:"bbox"`
	Zone string   `query:"zone"`
	Kind string   `query:"kind" enum:"station,gateway,access_point,bridge"`
}

type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

type patchIn struct {
	ByID
	RawBody []byte `contentType:"application/merge-patch+json"`
}

func (s *Server) deviceRoutes() {
	reg := s.o.Registry
	route(s, "GET /api/v1/devices", "List devices", http.StatusOK, func(ctx context.Context, in *deviceQuery) (*answer[list[deviceView]], error) {
		chosen, err := s.chooseDevices(in.BBox.Box, in.Zone, in.Kind)
		if err != nil {
			return nil, err
		}
		if wantsCSV(ctx) {
			return csvAnswer[list[deviceView]](func(w *csvWriter) error { return s.devicesCSV(w, chosen) }), nil
		}
		l, err := pageOf(chosen, func(d devices.Device) string { return string(d.ID) }, in.Limit, in.Cursor)
		if err != nil {
			return nil, err
		}
		out := list[deviceView]{Items: make([]deviceView, len(l.Items)), Next: l.Next}
		for i, d := range l.Items {
			out.Items[i] = s.view(d)
		}
		return jsonAnswer(s, out), nil
	}, csvToo[list[deviceView]](s))
	route(s, "POST /api/v1/devices", "Register a device", http.StatusCreated, func(ctx context.Context, in *body[deviceBody]) (*created[deviceMade], error) {
		d, cred, err := reg.Create(ctx, in.Body.device())
		if err != nil {
			return nil, err
		}
		return &created[deviceMade]{"/api/v1/devices/" + string(d.ID), deviceMade{s.view(d), cred}}, nil
	})
	route(s, "GET /api/v1/devices/{id}", "One device", http.StatusOK, func(_ context.Context, in *ByID) (*body[deviceView], error) {
		d, ok := reg.Get(devices.ID(in.ID))
		if !ok {
			return nil, notFound("device")
		}
		return &body[deviceView]{s.view(d)}, nil
	})
	put := func(ctx context.Context, b deviceBody) (*body[deviceView], error) {
		d, err := reg.Update(ctx, b.device())
		return &body[deviceView]{s.view(d)}, err
	}
	route(s, "PUT /api/v1/devices/{id}", "Replace a device's record", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		Body deviceBody
	}) (*body[deviceView], error) {
		if err := sameID(in.ID, in.Body.ID); err != nil {
			return nil, err
		}
		return put(ctx, in.Body)
	})
	route(s, "PATCH /api/v1/devices/{id}", "Change a device's record (RFC 7396)", http.StatusOK, func(ctx context.Context, in *patchIn) (*body[deviceView], error) {
		d, ok := reg.Get(devices.ID(in.ID))
		if !ok {
			return nil, notFound("device")
		}
		b, err := mergePatch(s, bodyOf(d), in.RawBody)
		if err != nil {
			return nil, err
		}
		if err := sameID(in.ID, b.ID); err != nil {
			return nil, err
		}
		return put(ctx, b)
	}, patches[deviceBody](s))
	route(s, "DELETE /api/v1/devices/{id}", "Delete a device; what it observed stays", http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return nil, reg.Delete(ctx, devices.ID(in.ID))
	})
	route(s, "POST /api/v1/devices/{id}/credentials", "Make new credentials; the old ones end", http.StatusCreated, func(ctx context.Context, in *ByID) (*body[devices.Credentials], error) {
		c, err := reg.ResetCredentials(ctx, devices.ID(in.ID))
		return &body[devices.Credentials]{c}, err
	})
}

// sameID: an object is not renamed.
func sameID(path, body string) error {
	if path != body {
		return invalid("body.id", "is not the id of the path, and an id cannot change")
	}
	return nil
}

// chooseDevices filters the registry, in order of id.
func (s *Server) chooseDevices(box *geo.Box, zone, kind string) ([]devices.Device, error) {
	if zone != "" {
		if _, ok := s.o.Atlas.Zone(zone); !ok {
			return nil, invalid("query.zone", "no such zone")
		}
	}
	all := s.o.Registry.All()
	if box == nil && zone == "" && kind == "" {
		return all, nil
	}
	var out []devices.Device
	for _, d := range all {
		if kind != "" && string(d.Kind) != kind || !within(box, d.Position) {
			continue
		}
		if zone != "" && (d.Position == nil || !s.o.Atlas.InZone(zone, *d.Position)) {
			continue
		}
		out = append(out, d)
	}
	return out, nil
}

func (s *Server) devicesCSV(w *csvWriter, ds []devices.Device) error {
	w.row("id", "name", "kind", "lon", "lat", "parent", "agency", "public", "state", "heard")
	for _, d := range ds {
		v := s.view(d)
		lon, lat := "", ""
		if d.Position != nil {
			lon, lat = number(d.Position.Lon), number(d.Position.Lat)
		}
		heard := ""
		if v.Heard > 0 {
			heard = integer(v.Heard)
		}
		w.row(string(d.ID), d.Name, string(d.Kind), lon, lat, string(d.Parent), d.Agency, boolean(d.Public), string(v.State), heard)
	}
	return nil
}

// patches documents a merge patch of T.
func patches[T any](s *Server) func(*huma.Operation) {
	schema := schemaOf[T](s.api.OpenAPI().Components.Schemas)
	return func(op *huma.Operation) {
		op.Description = "A JSON merge patch: null removes a field. The result is checked as a whole body is."
		s.patched[op.Path] = schema
	}
}
