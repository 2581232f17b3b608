package field

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cuulong/alerts"
	"cuulong/devices"
	"cuulong/geo"
)

// API is the operations centre's HTTP side as the field needs it: to register
// a province, and to read back what was stored.
type API struct {
	URL    string // http://host:port, without a path
	Token  string // administrator's to register, viewer's to read
	Client *http.Client
}

// A StatusError is an answer that was not the hoped for one.
type StatusError struct {
	Status       int
	Route, Title string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.Route, e.Status, e.Title)
}

const answerMost = 16 << 20 // bytes of a JSON answer

func (a *API) open(ctx context.Context, method, path, accept string, body []byte) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.URL, "/")+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.Token)
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	var problem struct{ Title, Detail string } // RFC 9457
	_ = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&problem)
	route, _, _ := strings.Cut(path, "?")
	return nil, &StatusError{Status: res.StatusCode, Route: method + " " + route,
		Title: strings.TrimSpace(problem.Title + " " + problem.Detail)}
}

// call sends body as JSON (raw text as it is) and decodes the answer into out, unless nil.
func (a *API) call(ctx context.Context, method, path string, body, out any) error {
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			return err
		}
	}
	res, err := a.open(ctx, method, path, "application/json", text)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(res.Body, answerMost))
		return err
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, answerMost)).Decode(out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func isStatus(err error, status int) bool {
	var e *StatusError
	return errors.As(err, &e) && e.Status == status
}

// Register sees to it that each device is there and that its credentials are
// known: they are read from and kept in file (JSON, mode 0600), so that a later
// run goes on with them. A device that is there without known credentials is
// somebody else's until reset says otherwise; then it gets new ones.
func (a *API) Register(ctx context.Context, list []devices.Device, file string, reset bool) (map[devices.ID]Login, error) {
	logins, err := ReadLogins(file)
	if errors.Is(err, fs.ErrNotExist) {
		logins, err = map[devices.ID]Login{}, nil
	}
	if err != nil {
		return nil, err
	}
	mine := make(map[devices.ID]Login, len(list))
	for _, d := range list {
		login, fresh, err := a.register(ctx, d, logins, reset)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.ID, err)
		}
		mine[d.ID] = login
		if fresh { // kept at once: credentials are shown only once
			logins[d.ID] = login
			if err := writeLogins(file, logins); err != nil {
				return nil, err
			}
		}
	}
	return mine, nil
}

func (a *API) register(ctx context.Context, d devices.Device, known map[devices.ID]Login, reset bool) (login Login, fresh bool, err error) {
	path := "/api/v1/devices/" + url.PathEscape(string(d.ID))
	if login, ok := known[d.ID]; ok {
		err := a.call(ctx, http.MethodGet, path, nil, nil)
		if !isStatus(err, http.StatusNotFound) {
			return login, false, err
		}
	}
	var made struct{ Credentials Login }
	err = a.call(ctx, http.MethodPost, "/api/v1/devices", struct {
		ID       devices.ID         `json:"id"`
		Name     string             `json:"name"`
		Kind     devices.Kind       `json:"kind"`
		Position *geo.Point         `json:"position,omitempty"`
		Parent   devices.ID         `json:"parent,omitempty"`
		Agency   string             `json:"agency,omitempty"`
		Tags     []string           `json:"tags,omitempty"`
		Public   bool               `json:"public,omitempty"`
		Metrics  []devices.Expected `json:"metrics,omitempty"`
	}{d.ID, d.Name, d.Kind, d.Position, d.Parent, d.Agency, d.Tags, d.Public, d.Metrics}, &made)
	if err == nil {
		return made.Credentials, true, nil
	}
	if !isStatus(err, http.StatusConflict) {
		return Login{}, false, err
	}
	if !reset {
		return Login{}, false, errors.New("is registered already and its credentials are not in the file; --reset-credentials gives it new ones")
	}
	err = a.call(ctx, http.MethodPost, path+"/credentials", struct{}{}, &login)
	return login, err == nil, err
}

// Propose posts zones and rules that are not there yet; what is there stays.
func (a *API) Propose(ctx context.Context, zones []byte, rules []alerts.Rule) error {
	var took struct {
		Refused []geo.Refusal `json:"refused"`
	}
	if err := a.call(ctx, http.MethodPost, "/api/v1/zones", zones, &took); err != nil {
		return err
	}
	if len(took.Refused) > 0 {
		return fmt.Errorf("zone %s was refused: %s", took.Refused[0].ID, took.Refused[0].Why)
	}
	for _, r := range rules {
		err := a.call(ctx, http.MethodPost, "/api/v1/rules", proposal(r), nil)
		if err != nil && !isStatus(err, http.StatusConflict) {
			return fmt.Errorf("rule %s: %w", r.ID, err)
		}
	}
	return nil
}

// proposal is a rule as it is posted: without what the server adds.
func proposal(r alerts.Rule) any {
	return struct {
		ID       string          `json:"id"`
		Title    string          `json:"title"`
		Metric   string          `json:"metric"`
		Scope    alerts.Scope    `json:"scope"`
		On       alerts.Limit    `json:"on"`
		Off      alerts.Limit    `json:"off"`
		Priority alerts.Priority `json:"priority"`
		Public   bool            `json:"public,omitempty"`
	}{r.ID, r.Title, r.Metric, r.Scope, r.On, r.Off, r.Priority, r.Public}
}

// Stored reads raw observations as CSV, which is streamed whole. It is a Stored func.
func (a *API) Stored(ctx context.Context, device devices.ID, metric string, from, to int64, yield func(at int64, value float64) bool) error {
	q := url.Values{"device": {string(device)}, "metric": {metric},
		"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
	res, err := a.open(ctx, http.MethodGet, "/api/v1/observations?"+q.Encode(), "text/csv", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var alien error
	err = readCSV(res.Body, func(r csvRow) bool {
		if r.device != string(device) || r.metric != metric || r.at < from || r.at >= to {
			alien = fmt.Errorf("csv: asked for %s/%s, got %s/%s at %d", device, metric, r.device, r.metric, r.at)
			return false
		}
		return yield(r.at, r.value)
	})
	if err == nil {
		err = alien
	}
	return err
}

// ReadLogins reads a credentials file: {"<device id>": {"username","password"}, ...}.
func ReadLogins(file string) (map[devices.ID]Login, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var logins map[devices.ID]Login
	if err := json.Unmarshal(text, &logins); err != nil || logins == nil {
		return nil, fmt.Errorf("%s: not a credentials file", file) // its text may hold a password
	}
	return logins, nil
}

// writeLogins replaces the file whole, readable by its owner alone.
func writeLogins(file string, logins map[devices.ID]Login) error {
	text, err := json.MarshalIndent(logins, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// LoadDevices are n stations for a load to speak for.
func LoadDevices(n int) []devices.Device {
	list := make([]devices.Device, n)
	for i := range list {
		list[i] = devices.Device{ID: LoadDevice(i), Name: "Trạm thử tải " + strconv.Itoa(i+1), Kind: devices.Station,
			Metrics: promise(int((10 * time.Minute).Seconds()), LoadMetrics)}
	}
	return list
}
