package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"cuulong/geo"
)

// maxPages bounds what is held in memory, so that a stray file in dist is noticed.
const maxPages = 64 << 20

// asset is one file, ready to be sent.
type asset struct {
	plain   []byte
	gzipped func() []byte // compressed once, when first asked for; nil where it saves nothing
	kind    string
	etag    string
	forever bool // its name changes with its content
}

// kinds are the content types of what Vite builds; a bare machine has no mime.types.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".geojson": "application/geo+json",
	".webmanifest": "application/manifest+json", ".map": "application/json", ".svg": "image/svg+xml", ".png": "image/png",
	".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon", ".woff2": "font/woff2", ".woff": "font/woff",
	".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
}

func newAsset(name string, text []byte) *asset {
	sum := sha256.Sum256(text)
	a := &asset{plain: text, kind: kinds[path.Ext(name)], etag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		forever: strings.HasPrefix(name, "assets/")}
	if a.kind == "" {
		a.kind = "application/octet-stream"
	}
	a.gzipped = func() []byte { return nil }
	switch path.Ext(name) {
	case ".woff2", ".woff", ".png", ".jpg", ".webp", ".mp3", ".ogg": // compressed already
	default:
		if len(text) >= 1024 {
			a.gzipped = sync.OnceValue(func() []byte { return compress(text) })
		}
	}
	return a
}

func compress(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(text) // a Buffer does not fail
	z.Close()
	if b.Len() > len(text)*9/10 {
		return nil
	}
	return b.Bytes()
}

// loadPages reads the built pages.
func loadPages(dist fs.FS) (map[string]*asset, error) {
	pages := map[string]*asset{}
	total := 0
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		text, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		if total += len(text); total > maxPages {
			return fmt.Errorf("the built pages exceed %d bytes at %s", maxPages, name)
		}
		pages[name] = newAsset(name, text)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("built pages: %w", err)
	}
	return pages, nil
}

const notBuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Cuu Long</title>
<h1>The web part has not been built</h1>
<p>Run <code>make run</code> in the source folder, or <code>npm ci &amp;&amp; npm run build</code> in <code>ui/web</code> and build <code>ioc</code> again.
The API is at work and, after log-in, described at <code>/api/openapi.json</code>.</p>
`

// noPages are paths of programs: what is not there is not a page of the application.
var noPages = []string{"assets/", "tiles/", "feeds/"}

// servePage serves the built files; any other path that names no file is a page
// of the application.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		var allow []string
		if _, known := s.routes.mux.Handler(&http.Request{Method: http.MethodGet, URL: r.URL, Host: r.Host}); known == "/" {
			allow = []string{"GET", "HEAD"}
		}
		s.refuseMethod(w, r, allow)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	a := s.pages[name]
	if a == nil {
		if kinds[path.Ext(name)] != "" || slices.ContainsFunc(noPages, func(p string) bool { return strings.HasPrefix(name, p) }) {
			writeProblem(w, notFound("file"))
			return
		}
		a = s.pages["index.html"]
	}
	a.serve(w, r)
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	if a.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if z := a.gzipped(); z != nil {
			h.Set("Content-Encoding", "gzip")
			text = z
		}
	}
	h.Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}

// baseFiles of the map, by the name in /base/{file}.
var baseFiles = []string{"land.geojson", "water.geojson", "reaches.geojson", "rivers.geojson", "places.geojson"}

func loadBase() (map[string]*asset, error) {
	base := map[string]*asset{}
	for _, name := range baseFiles {
		text, err := geo.BaseFile(name)
		if err != nil {
			return nil, fmt.Errorf("base map: %w", err)
		}
		base[name] = newAsset(name, text)
	}
	return base, nil
}

func (s *Server) serveBase(w http.ResponseWriter, r *http.Request) {
	a := s.base[r.PathValue("file")]
	if a == nil {
		writeProblem(w, notFound("file"))
		return
	}
	a.serve(w, r)
}
