package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"cuulong/telemetry/tsdb"
)

// operator is a running server's own side of `ioc backup` and `ioc export-data`:
// HTTP on a Unix socket in the data folder. Who may open the socket is who owns
// the folder; there is no other log-in.
type operator struct {
	dir    *dataDir
	series *tsdb.DB
	log    *slog.Logger

	stopped context.Context
	cancel  func()
	server  *http.Server
	socket  *socketPath
	running sync.WaitGroup // the server, and requests
	backing sync.Mutex     // held by the one backup
}

// serveOperator listens until close. A folder that can hold no socket is said,
// and the server runs without: then backups want it stopped.
func serveOperator(dir *dataDir, series *tsdb.DB, log *slog.Logger) *operator {
	o := &operator{dir: dir, series: series, log: log}
	o.stopped, o.cancel = context.WithCancel(context.Background())
	l, err := o.listen()
	if err != nil {
		log.Warn("no control socket: backup and export-data want this server stopped", "err", err)
		return o
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", o.request(o.backup))
	mux.HandleFunc("POST /export", o.request(o.export))
	o.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return o.stopped },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	o.running.Go(func() {
		if err := o.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket", "err", err)
		}
	})
	return o
}

// listen makes the socket in a folder that is the owner's alone from before it
// is there. The data folder is locked, so that a socket found is a dead one's.
func (o *operator) listen() (net.Listener, error) {
	dir := filepath.Join(o.dir.path, controlFolder)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := errors.Join(os.Chmod(dir, 0o700), os.RemoveAll(filepath.Join(dir, stageFolder))); err != nil {
		return nil, err
	}
	s, err := openSocketPath(o.dir.path)
	if err != nil {
		return nil, err
	}
	l, err := o.bind(s)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	o.socket = s
	return l, nil
}

func (o *operator) bind(s *socketPath) (net.Listener, error) {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// close ends what is under way, and waits for it: the engine may be closed then.
func (o *operator) close() error {
	o.cancel()
	if o.server == nil {
		return nil
	}
	err := o.server.Close() // its listener removes the socket
	o.running.Wait()
	return errors.Join(err, o.socket.close())
}

// request counts a request as running, and answers its error.
func (o *operator) request(handle func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o.running.Add(1)
		defer o.running.Done()
		out := &begunWriter{ResponseWriter: w}
		switch err := handle(out, r); {
		case err == nil:
		case out.begun:
			o.log.Warn("control: an answer was cut off", "request", r.URL.Path, "err", err)
			panic(http.ErrAbortHandler) // half an answer is not to be taken for a whole one
		default:
			o.log.Warn("control: request failed", "request", r.URL.Path, "err", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// begunWriter knows whether an answer has begun, and ends one whose reader stands
// still: an export holds an iterator of the store open.
type begunWriter struct {
	http.ResponseWriter
	begun bool
}

// readerPatience is how long a reader may stand still, as in `ioc export-data | less`.
const readerPatience = 10 * time.Minute

func (w *begunWriter) Write(b []byte) (int, error) {
	w.begun = true
	// Without a deadline nothing is lost but the bound.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(readerPatience))
	return w.ResponseWriter.Write(b)
}

// maxRequest bounds what is asked through the socket, in bytes.
const maxRequest = 1 << 20

func decodeRequest(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("request: %w (is the server of this version?)", err)
	}
	return nil
}

type backupRequest struct {
	Dest        string `json:"dest"`
	WithoutKeys bool   `json:"without_keys"`
}

func (o *operator) backup(w http.ResponseWriter, r *http.Request) error {
	var ask backupRequest
	if err := decodeRequest(w, r, &ask); err != nil {
		return err
	}
	if !filepath.IsAbs(ask.Dest) {
		return fmt.Errorf("%q is not an absolute path", ask.Dest)
	}
	if !o.backing.TryLock() {
		return errors.New("another backup is under way")
	}
	defer o.backing.Unlock()
	begun := time.Now()
	m, err := takeBackup(r.Context(), backupOptions{
		dir: o.dir, dest: filepath.Clean(ask.Dest), withoutKeys: ask.WithoutKeys, seq: o.series.Head(),
		engine: func(into string) error { return o.backUpEngine(r.Context(), into) },
	})
	if err != nil {
		return err
	}
	o.log.Info("backup taken", "dest", ask.Dest, "files", len(m.Files), "bytes", m.bytes(), "seq", m.Seq, "took", time.Since(begun).Round(time.Millisecond))
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(m)
}

// backUpEngine backs the engine up. For another disk it does so beside the data
// first, where files are linked at once, and copies from there: a copy may take
// minutes, and meanwhile the engine tidies its log, and may be told to stop.
func (o *operator) backUpEngine(ctx context.Context, into string) (err error) {
	there, err := os.Stat(into)
	if err != nil {
		return err
	}
	here, err := os.Stat(o.dir.path)
	if err != nil {
		return err
	}
	if device(here) == device(there) {
		return o.series.Backup(into)
	}
	stage := filepath.Join(o.dir.path, controlFolder, stageFolder)
	if err := os.RemoveAll(stage); err != nil { // of a server that was killed
		return err
	}
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	if err := o.series.Backup(stage); err != nil {
		return err
	}
	for _, name := range []string{"log", "series"} {
		if err := copyTree(ctx, filepath.Join(stage, name), filepath.Join(into, name)); err != nil {
			return err
		}
	}
	return nil
}

// stageFolder holds a backup's links while they are copied; what a killed server
// left there would keep its disk from getting space back.
const stageFolder = "stage"

// The socket's place in the data folder.
const (
	controlFolder = "control"
	controlSocket = "control.sock"
)

// socketPath is a path that a socket's address can hold, which is 107 bytes: of
// a deeper folder it is one through the open folder.
type socketPath struct {
	path string
	dir  *os.File // nil: path is the socket's own
}

func openSocketPath(dataDir string) (*socketPath, error) {
	const most = len(syscall.RawSockaddrUnix{}.Path) - 1
	path := filepath.Join(dataDir, controlFolder, controlSocket)
	if len(path) <= most {
		return &socketPath{path: path}, nil
	}
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%s is longer than a socket's address can be, %d bytes: choose a shorter data_dir", path, most)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return &socketPath{path: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), controlSocket), dir: dir}, nil
}

func (s *socketPath) close() error {
	if s.dir == nil {
		return nil
	}
	return s.dir.Close()
}

// errNoServer says that nobody listens.
var errNoServer = errors.New("no server runs on the data folder")

// askServer asks the server that runs on dir; read takes its answer.
func askServer(ctx context.Context, dir, route string, ask any, read func(io.Reader) error) error {
	s, err := openSocketPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoServer
	}
	if err != nil {
		return err
	}
	defer s.close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", s.path)
	}}
	defer transport.CloseIdleConnections()
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ioc"+route, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return errNoServer
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run it as the user that the server runs as", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return errors.New("the server ended before it answered")
	}
	if err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return errors.New(string(bytes.TrimSpace(text)))
	}
	if err := read(resp.Body); err != nil {
		return fmt.Errorf("the running server's answer: %w", err)
	}
	return nil
}
