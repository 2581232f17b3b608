package ui

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"cuulong/devices"
	"cuulong/geo"
	"cuulong/ui/access"
	"cuulong/video"
)

const (
	maxCameraImport = 4 << 20 // CSV; some 20,000 cameras
	maxNear         = 100
	maxProbes       = 8 // at a time; each holds a connection for some seconds
)

// cameraBody is a camera as posted. What the server adds is taken and ignored,
// so that what GET gave can be put.
type cameraBody struct {
	ID       string    `json:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"identifier"`
	Name     string    `json:"name" minLength:"1" maxLength:"200"`
	URL      string    `json:"url" minLength:"1" maxLength:"2048" doc:"rtsp://[user:password@]host[:port]/path. It is written with credentials and read without; a URL without them, as it was read, keeps the stored ones while scheme, host and port stay"`
	Position pointBody `json:"position"`
	Bearing  *float64  `json:"bearing,omitempty" minimum:"0" maximum:"360" doc:"degrees clockwise from north, the axis of view"`
	ViewDeg  *float64  `json:"view_deg,omitempty" exclusiveMinimum:"0" maximum:"360" doc:"horizontal angle of view, degrees"`
	Kind     string    `json:"kind,omitempty" enum:"traffic,security"`
	Group    string    `json:"group,omitempty" maxLength:"200"`
	Pull     string    `json:"pull,omitempty" enum:"always,on_demand" default:"always" doc:"when the stream is fetched: always, or while somebody looks"`

	Created any `json:"created,omitempty" readOnly:"true"`
	Status  any `json:"status,omitempty" readOnly:"true"`
}

func (b cameraBody) camera() video.Camera {
	return video.Camera{ID: devices.ID(b.ID), Name: b.Name, URL: b.URL, Position: geo.Point(b.Position), Bearing: b.Bearing,
		ViewDeg: b.ViewDeg, Kind: video.Kind(b.Kind), Group: b.Group, Pull: video.Pull(b.Pull)}
}

func cameraBodyOf(c video.Camera) cameraBody {
	return cameraBody{ID: string(c.ID), Name: c.Name, URL: c.URL, Position: pointBody(c.Position), Bearing: c.Bearing,
		ViewDeg: c.ViewDeg, Kind: string(c.Kind), Group: c.Group, Pull: string(c.Pull)}
}

// CameraView is a camera as it is read. Its name is exported for huma, which
// passes over fields that are not, also where they are embedded.
type CameraView struct {
	ID       devices.ID   `json:"id"`
	Name     string       `json:"name"`
	URL      string       `json:"url" doc:"without credentials, always; the value of a parameter that looks like a secret is *"`
	Position geo.Point    `json:"position"`
	Bearing  *float64     `json:"bearing,omitempty" doc:"degrees clockwise from north, the axis of view"`
	ViewDeg  *float64     `json:"view_deg,omitempty" doc:"horizontal angle of view, degrees"`
	Kind     video.Kind   `json:"kind,omitempty" enum:"traffic,security"`
	Group    string       `json:"group,omitempty"`
	Pull     video.Pull   `json:"pull" enum:"always,on_demand"`
	Created  time.Time    `json:"created"`
	Status   video.Status `json:"status"`
}

// nearView is a camera and how it stands to a place.
type nearView struct {
	CameraView
	DistanceM float64 `json:"distance_m"`
	Sees      bool    `json:"sees" doc:"the place lies in its angle of view, near enough to be made out; false where that is not known"`
}

func (s *Server) cameraView(c video.Camera) CameraView {
	v := CameraView{ID: c.ID, Name: c.Name, URL: c.URL, Position: c.Position, Bearing: c.Bearing, ViewDeg: c.ViewDeg,
		Kind: c.Kind, Group: c.Group, Pull: c.Pull, Created: c.Created.UTC(),
		Status: deleted(s.o.Now())}
	if st, ok := s.o.Cameras.Status(c.ID); ok { // else it was deleted meanwhile
		v.Status = shown(st)
	}
	return v
}

type cameraQuery struct {
	Paging
	BBox  boxParam `query:"bbox"`
	Kind  string   `query:"kind" enum:"traffic,security"`
	Group string   `query:"group" maxLength:"200"`
}

type nearQuery struct {
	Lon float64 `query:"lon" required:"true" minimum:"-180" maximum:"180"`
	Lat float64 `query:"lat" required:"true" minimum:"-90" maximum:"90"`
	N   int     `query:"n" minimum:"1" maximum:"100" default:"10"`
}

type probeBody struct {
	URL string `json:"url" minLength:"1" maxLength:"2048" doc:"as in a camera"`
	ID  string `json:"id,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"identifier" doc:"a camera whose stored credentials stand in where the URL has none"`
}

// probeView says what a camera offers, or what is wrong with it.
type probeView struct {
	OK     bool   `json:"ok"`
	Codecs string `json:"codecs,omitempty" doc:"RFC 6381: avc1.64001f,mp4a.40.2"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	FPS    int    `json:"fps,omitempty" doc:"absent where the camera does not say"`
	Code   string `json:"code,omitempty" doc:"what is wrong, for a machine: no_route, timeout, unauthorized, not_found, unsupported_codec, ..."`
	Why    string `json:"why,omitempty" doc:"English, one clause; holds no secret"`
}

type cameraImportIn struct {
	RawBody []byte `contentType:"text/csv"`
}

type cameraImportOut struct {
	Accepted int           `json:"accepted"`
	Refused  []refusedLine `json:"refused" nullable:"false"`
}

type refusedLine struct {
	Line int    `json:"line" doc:"of the file, from 1; the header is one"`
	Why  string `json:"why" doc:"repeats nothing of the line"`
}

// seesCameras is what else a writing route asks: its answers show cameras, and a
// token of an administrator may be one without them.
func seesCameras(ctx context.Context) error {
	if !principal(ctx).May(access.ViewCameras) {
		return access.ErrForbidden
	}
	return nil
}

func (s *Server) cameraRoutes() {
	c := s.o.Cameras
	route(s, "GET /api/v1/cameras", "List cameras", http.StatusOK, func(ctx context.Context, in *cameraQuery) (*answer[list[CameraView]], error) {
		chosen := slices.DeleteFunc(slices.Clone(c.All()), func(cam video.Camera) bool {
			return in.Kind != "" && string(cam.Kind) != in.Kind || in.Group != "" && cam.Group != in.Group || !within(in.BBox.Box, &cam.Position)
		})
		if wantsCSV(ctx) {
			return csvAnswer[list[CameraView]](func(w *csvWriter) error { return s.camerasCSV(w, chosen) }), nil
		}
		l, err := pageOf(chosen, func(cam video.Camera) string { return string(cam.ID) }, in.Limit, in.Cursor)
		if err != nil {
			return nil, err
		}
		return jsonAnswer(s, list[CameraView]{views(l.Items, s.cameraView), l.Next}), nil
	}, csvToo[list[CameraView]](s))
	route(s, "POST /api/v1/cameras", "Add a camera", http.StatusCreated, func(ctx context.Context, in *body[cameraBody]) (*created[CameraView], error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		cam, err := c.Create(ctx, in.Body.camera())
		if err != nil {
			return nil, err
		}
		return &created[CameraView]{"/api/v1/cameras/" + string(cam.ID), s.cameraView(cam)}, nil
	})
	route(s, "GET /api/v1/cameras/{id}", "One camera", http.StatusOK, func(_ context.Context, in *ByID) (*body[CameraView], error) {
		cam, ok := c.Get(devices.ID(in.ID))
		if !ok {
			return nil, notFound("camera")
		}
		return &body[CameraView]{s.cameraView(cam)}, nil
	})
	put := func(ctx context.Context, id string, b cameraBody) (*body[CameraView], error) {
		if err := sameID(id, b.ID); err != nil {
			return nil, err
		}
		cam, err := c.Update(ctx, b.camera())
		if err != nil {
			return nil, err
		}
		return &body[CameraView]{s.cameraView(cam)}, nil
	}
	route(s, "PUT /api/v1/cameras/{id}", "Replace a camera's record; a URL without credentials keeps the stored ones", http.StatusOK, func(ctx context.Context, in *struct {
		ByID
		Body cameraBody
	}) (*body[CameraView], error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		return put(ctx, in.ID, in.Body)
	})
	route(s, "PATCH /api/v1/cameras/{id}", "Change a camera's record (RFC 7396)", http.StatusOK, func(ctx context.Context, in *patchIn) (*body[CameraView], error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		cam, ok := c.Get(devices.ID(in.ID))
		if !ok {
			return nil, notFound("camera")
		}
		b, err := mergePatch(s, cameraBodyOf(cam), in.RawBody)
		if err != nil {
			return nil, err
		}
		return put(ctx, in.ID, b)
	}, patches[cameraBody](s))
	route(s, "DELETE /api/v1/cameras/{id}", "Delete a camera; who looks at it is told", http.StatusNoContent, func(ctx context.Context, in *ByID) (*struct{}, error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		return nil, c.Delete(ctx, devices.ID(in.ID))
	})
	s.cameraImportRoute()
	s.cameraProbeRoute()
	s.cameraNearRoute()
	s.documentCameraLive()
}

func (s *Server) cameraImportRoute() {
	route(s, "POST /api/v1/cameras/import", "Take cameras as CSV with a header: id, name, url, lon, lat, and optional bearing, view_deg, kind, group, pull; "+
		"lines that fail are refused one by one, a known id is replaced", http.StatusOK, func(ctx context.Context, in *cameraImportIn) (*body[cameraImportOut], error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		n, refused, err := s.o.Cameras.Import(ctx, bytes.NewReader(in.RawBody))
		var faults devices.FieldErrors
		if errors.As(err, &faults) { // of the file, which is the body
			at := views(faults, func(f *devices.FieldError) ProblemDetail { return ProblemDetail{"body", f.Why} })
			return nil, problem(http.StatusUnprocessableEntity, "the file could not be taken", at...)
		}
		if err != nil {
			return nil, err
		}
		lines := views(refused, func(r video.Refusal) refusedLine { return refusedLine(r) })
		return &body[cameraImportOut]{cameraImportOut{n, lines}}, nil
	}, func(op *huma.Operation) {
		// video reads the text, and refuses line by line.
		op.SkipValidateBody = true
		op.MaxBodyBytes, op.BodyReadTimeout = maxCameraImport, importPatience
	})
}

func (s *Server) cameraProbeRoute() {
	room := make(chan struct{}, maxProbes)
	route(s, "POST /api/v1/cameras/probe", "Try a camera's address, for some seconds; nothing is stored", http.StatusOK, func(ctx context.Context, in *body[probeBody]) (*body[probeView], error) {
		if err := seesCameras(ctx); err != nil {
			return nil, err
		}
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			return nil, busy("too many cameras are tried at a time")
		}
		p, err := s.o.Cameras.Probe(ctx, in.Body.URL, devices.ID(in.Body.ID))
		var fault *video.Fault
		switch {
		case errors.As(err, &fault):
			return &body[probeView]{probeView{Code: string(fault.Code), Why: fault.Detail}}, nil
		case err != nil:
			return nil, err
		}
		return &body[probeView]{probeView{OK: true, Codecs: p.Codecs, Width: p.Width, Height: p.Height, FPS: p.FPS}}, nil
	})
}

func (s *Server) cameraNearRoute() {
	route(s, "GET /api/v1/cameras/near", "The cameras nearest to a place, nearest first", http.StatusOK, func(ctx context.Context, in *nearQuery) (*answer[list[nearView]], error) {
		p := geo.Point{Lon: in.Lon, Lat: in.Lat}
		if !p.Valid() { // NaN passes the bounds of the schema
			return nil, invalid("query", "lon and lat in degrees")
		}
		near := views(s.o.Cameras.Near(p, min(in.N, maxNear)), func(n video.Near) nearView {
			return nearView{s.cameraView(n.Camera), n.DistanceM, n.Sees}
		})
		if wantsCSV(ctx) {
			return csvAnswer[list[nearView]](func(w *csvWriter) error { return csvRows(w, near) }), nil
		}
		return jsonAnswer(s, list[nearView]{Items: near}), nil
	}, csvToo[list[nearView]](s))
}

// camerasCSV writes the columns that an import takes, then what it does not.
func (s *Server) camerasCSV(w *csvWriter, cameras []video.Camera) error {
	w.row("id", "name", "url", "lon", "lat", "bearing", "view_deg", "kind", "group", "pull", "state", "since", "why")
	for _, c := range cameras {
		v := s.cameraView(c)
		w.row(string(v.ID), v.Name, v.URL, number(v.Position.Lon), number(v.Position.Lat), degrees(v.Bearing), degrees(v.ViewDeg),
			string(v.Kind), v.Group, string(v.Pull), string(v.Status.State), v.Status.Since.Format(rfc3339ms), cmp.Or(v.Status.Why, string(v.Status.Code)))
	}
	return nil
}

func degrees(d *float64) string {
	if d == nil {
		return ""
	}
	return number(*d)
}
