package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"cuulong/cmd/fieldsim/field"
)

// client speaks the contract as an outsider would: HTTP with the session
// cookie, the live socket, and mosquitto's own tools for devices.
type client struct {
	t    testing.TB
	base string // http://host:port
	http *http.Client
}

const testPassword = "mật-khẩu-thử-nghiệm"

func login(t testing.TB, httpAddr string) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, base: "http://" + httpAddr, http: &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{}}}
	t.Cleanup(c.http.CloseIdleConnections)
	c.must(http.MethodPost, "/api/v1/session", map[string]any{"username": "admin", "password": testPassword}, http.StatusNoContent, nil)
	return c
}

// call sends body as JSON and returns status and answer.
func (c *client) call(method, path string, body any) (int, []byte, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, c.base+path, r)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

func (c *client) must(method, path string, body any, want int, into any) {
	c.t.Helper()
	status, text, err := c.call(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if status != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// login of a device at the edge.
type deviceLogin struct {
	Username, Password string
}

// station registers a station and returns its credentials.
func (c *client) station(id string, lon, lat float64, more map[string]any) deviceLogin {
	c.t.Helper()
	body := map[string]any{"id": id, "name": "Trạm " + id, "kind": "station", "position": map[string]float64{"lon": lon, "lat": lat}}
	for k, v := range more {
		body[k] = v
	}
	var answer struct{ Credentials deviceLogin }
	c.must(http.MethodPost, "/api/v1/devices", body, http.StatusCreated, &answer)
	return answer.Credentials
}

// latest returns the newest value of a datastream.
func (c *client) latest(device, metric string) (value float64, ok bool) {
	c.t.Helper()
	var answer struct {
		Items []struct {
			Device, Metric string
			Value          float64
		}
	}
	c.must(http.MethodGet, "/api/v1/latest?device="+url.QueryEscape(device)+"&metric="+metric, nil, http.StatusOK, &answer)
	if len(answer.Items) == 0 {
		return 0, false
	}
	return answer.Items[0].Value, true
}

// live opens the live socket with the session cookie, as a browser does.
func (c *client) live() *websocket.Conn {
	c.t.Helper()
	u, err := url.Parse(c.base)
	if err != nil {
		c.t.Fatal(err)
	}
	d := websocket.Dialer{Jar: c.http.Jar, Subprotocols: []string{"ioc.v1"}, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.Dial("ws://"+u.Host+"/live", http.Header{"Origin": {c.base}})
	if err != nil {
		c.t.Fatalf("live: %v (%v)", err, resp)
	}
	c.t.Cleanup(func() { ws.Close() })
	return ws
}

// frame is any server message of ioc.v1.
type frame struct {
	Op   string
	ID   string
	Ep   string
	Seq  uint64
	More bool
	D    []json.RawMessage
	Set  [][]any
	E    struct {
		Type  string
		At    time.Time
		Alarm struct{ ID, Rule, Subject, State string }
	}
	Code, Detail, Why string
}

// until reads frames until match says so.
func until(t testing.TB, ws *websocket.Conn, what string, match func(frame) bool) frame {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		var f frame
		if err := ws.ReadJSON(&f); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if f.Op == "err" {
			t.Fatalf("waiting for %s: server says %s: %s", what, f.Code, f.Detail)
		}
		if match(f) {
			return f
		}
	}
}

// eventually asks again until ok, and fails after a bound that only a hang reaches.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// publish lets mosquitto_pub speak for a device; it returns what it printed.
func publish(mqttAddr, protocol string, as deviceLogin, topic, payload string, more ...string) (string, error) {
	host, port, ok := strings.Cut(mqttAddr, ":")
	if !ok {
		return "", fmt.Errorf("address %q", mqttAddr)
	}
	args := append([]string{"-V", protocol, "-h", host, "-p", port, "-u", as.Username, "-P", as.Password, "-q", "1", "-t", topic, "-m", payload}, more...)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mosquitto_pub", args...).CombinedOutput()
	return string(out), err
}

// loadLogins registers n stations for a load and returns who they are.
func loadLogins(t testing.TB, c *client, n int) []field.Login {
	t.Helper()
	api := &field.API{URL: c.base, Token: c.token()}
	byID, err := api.Register(t.Context(), field.LoadDevices(n), filepath.Join(t.TempDir(), "logins.json"), false)
	if err != nil {
		t.Fatal(err)
	}
	logins := make([]field.Login, n)
	for i := range logins {
		logins[i] = byID[field.LoadDevice(i)]
	}
	return logins
}

// audit holds the store against the publishers' own ledger.
func audit(t testing.TB, c *client, ledger string) {
	t.Helper()
	verdict, err := field.Audit(t.Context(), ledger, (&field.API{URL: c.base, Token: c.token()}).Stored)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("audit: %+v", verdict)
	if !verdict.OK() || verdict.Acked == 0 || verdict.Stored < verdict.Acked {
		t.Errorf("the store does not hold what was acknowledged: %+v", verdict)
	}
}

// token makes an API token and returns its secret.
func (c *client) token() string {
	c.t.Helper()
	var answer struct{ Token string }
	c.must(http.MethodPost, "/api/v1/tokens", map[string]any{"name": "test"}, http.StatusCreated, &answer)
	return answer.Token
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
