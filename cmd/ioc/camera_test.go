package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/cmd/fieldsim/field"
)

// camera is a camera as the API shows it.
type camera struct {
	ID, URL string
	Status  struct{ State, Why, Code string }
}

// addCamera registers a camera by its URL.
func (c *client) addCamera(id, address string) camera {
	c.t.Helper()
	var cam camera
	c.must(http.MethodPost, "/api/v1/cameras", map[string]any{"id": id, "name": "Camera " + id, "url": address,
		"position": map[string]float64{"lon": 106.58, "lat": 10.29}, "bearing": 180, "view_deg": 60, "kind": "traffic"}, http.StatusCreated, &cam)
	return cam
}

// look opens a camera's live socket with the session cookie, as a browser does.
func (c *client) look(id string) *websocket.Conn {
	c.t.Helper()
	u, err := url.Parse(c.base)
	if err != nil {
		c.t.Fatal(err)
	}
	d := websocket.Dialer{Jar: c.http.Jar, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.Dial("ws://"+u.Host+"/api/v1/cameras/"+id+"/live", http.Header{"Origin": {c.base}})
	if err != nil {
		c.t.Fatalf("live socket of %s: %v (%v)", id, err, resp)
	}
	c.t.Cleanup(func() { ws.Close() })
	return ws
}

// footage is what a live socket gave.
type footage struct {
	codecs        string
	width, height int
	lost          []string // states told
	streams       int      // times that a stream began
	file          []byte   // the last stream's init segment and fragments
	fragments     int      // of it
}

// watch reads the socket until the last stream told has n fragments.
func watch(t testing.TB, ws *websocket.Conn, n int, f *footage) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(60 * time.Second))
	for begun := false; !begun || f.fragments < n; {
		kind, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("after %d fragments, states %v: %v", f.fragments, f.lost, err)
		}
		if kind == websocket.BinaryMessage {
			if len(f.file) > 0 {
				f.fragments++
			}
			f.file = append(f.file, data...)
			continue
		}
		var said struct {
			Codecs, State string
			Width, Height int
		}
		if err := json.Unmarshal(data, &said); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if said.State != "" {
			f.lost = append(f.lost, said.State)
			continue
		}
		f.codecs, f.width, f.height = said.Codecs, said.Width, said.Height
		f.file, f.fragments, begun = nil, 0, true
		f.streams++
	}
}

// probe lets ffprobe read the footage: no complaint, and times that rise.
func (f *footage) probe(t testing.TB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "live.mp4")
	if err := os.WriteFile(file, f.file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ffprobe", "-v", "warning", "-select_streams", "v", "-show_entries", "frame=pts", "-of", "csv=p=0", file)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil || complaint.Len() > 0 {
		t.Fatalf("ffprobe: %v: %s", err, complaint.String())
	}
	last, frames := int64(-1), 0
	for line := range strings.Lines(string(out)) {
		pts, err := strconv.ParseInt(strings.TrimRight(line, ",\n"), 10, 64)
		if err != nil {
			t.Fatalf("frame time %q", line)
		}
		if pts <= last {
			t.Fatalf("frame %d has time %d after %d", frames, pts, last)
		}
		last = pts
		frames++
	}
	if frames < f.fragments-1 {
		t.Fatalf("ffprobe sees %d frames in %d fragments", frames, f.fragments)
	}
}

// A camera's way from its address to a picture, and that its password is
// nowhere on it: no answer, log line, metric or file tells it.
func TestFromCameraToWall(t *testing.T) {
	const password = "Tr0ng+Đồng/77:@?"
	cameras, err := field.NewCameraServer(field.CameraOptions{User: "ioc", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = cameras.Serve(l) }()
	defer cameras.Close()

	dir, log := t.TempDir(), new(syncBuffer)
	addrs, stop := startHere(t, dir, false, func(c *Config, o *runOptions) {
		c.Video.Allow = []string{"127.0.0.0/8"}
		o.logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	defer func() { stop() }()
	c := login(t, addrs.HTTP[0])
	secret := url.UserPassword("ioc", password).String()
	address := "rtsp://" + secret + "@" + l.Addr().String() + "/cam-1"
	var told [][]byte // all that was answered
	cam := c.addCamera("cam-a", address)
	if strings.Contains(cam.URL, "@") || cam.URL != "rtsp://"+l.Addr().String()+"/cam-1" {
		t.Errorf("the API shows the address %q", cam.URL)
	}
	c.addCamera("cam-wrong", "rtsp://ioc:"+url.QueryEscape(password)+"x@"+l.Addr().String()+"/cam-1")

	ws := c.look("cam-a")
	var f footage
	watch(t, ws, 30, &f)
	if !strings.HasPrefix(f.codecs, "avc1.") || f.width != 640 || f.height != 360 {
		t.Errorf("stream told as %q, %d × %d", f.codecs, f.width, f.height)
	}
	f.probe(t)

	eventually(t, "the wrong password is told", func() bool {
		var wrong camera
		c.must(http.MethodGet, "/api/v1/cameras/cam-wrong", nil, http.StatusOK, &wrong)
		return wrong.Status.Code == "unauthorized"
	})
	// Kept while the address stays, asked for when it changes, gone with a redirect of the record.
	c.must(http.MethodPatch, "/api/v1/cameras/cam-a", map[string]any{"name": "Cống"}, http.StatusOK, &cam)
	c.must(http.MethodPatch, "/api/v1/cameras/cam-a", map[string]any{"url": "rtsp://" + l.Addr().String() + "/cam-2"}, http.StatusOK, &cam)
	watch(t, ws, 5, &f)
	status, text, err := c.call(http.MethodPatch, "/api/v1/cameras/cam-a", map[string]any{"url": "rtsp://127.0.0.9:554/cam-1"})
	if err != nil || status != http.StatusUnprocessableEntity {
		t.Errorf("another host without credentials: %d %v", status, err)
	}
	told = append(told, text)
	for _, try := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/cameras", ""}, {http.MethodGet, "/api/v1/cameras/cam-a", ""}, {http.MethodGet, "/api/openapi.json", ""}, {http.MethodGet, "/metrics", ""},
		{http.MethodGet, "/api/v1/cameras/near?lon=106.58&lat=10.29&n=5", ""},
		{http.MethodPost, "/api/v1/cameras", `{"id":"cam-a","name":"x","url":"` + address + `","position":{"lon":1,"lat":1}}`},
		{http.MethodPost, "/api/v1/cameras", `{"id":"cam-b","name":"x","url":"http` + address[4:] + `","position":{"lon":1,"lat":91}}`},
		{http.MethodPost, "/api/v1/cameras", `{"id":"cam-b","name":"x","url":["` + address + `"],"position":{"lon":1,"lat":1}}`},
		{http.MethodPost, "/api/v1/cameras/probe", `{"url":"` + address + `x"}`},
		{http.MethodPost, "/api/v1/cameras/probe", `{"url":"rtsp://` + secret + `@127.0.0.1:1/"}`},
		{http.MethodPost, "/api/v1/cameras/probe", `{"url":"rtsp://` + secret + `@[::1/"}`},
	} {
		var body any
		if try.body != "" {
			body = try.body
		}
		_, text, err := c.call(try.method, try.path, body)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, text)
	}
	stop()
	stop = func() {}
	told = append(told, log.bytes())
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		told = append(told, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password), strings.TrimPrefix(secret, "ioc:"),
		base64.StdEncoding.EncodeToString([]byte("ioc:" + password)), strings.Trim(strconv.QuoteToASCII(password), `"`)} {
		for _, text := range told {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				t.Errorf("the password stands in %.60q", text[max(0, i-30):])
			}
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "keys", "cameras.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
}

// syncBuffer takes a log from many goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
