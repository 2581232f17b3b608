package video

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cuulong/devices"
)

const (
	maxImport = 4 << 20 // bytes of a file
	maxLines  = 10_000  // cameras in it
	maxFields = 64      // columns; more are no list of cameras
)

// Refusal is a line of an import that was not taken.
type Refusal struct {
	Line int    `json:"line"`
	Why  string `json:"why"` // repeats nothing of the line
}

// importColumns are the names a header may have; the first five it must.
var importColumns = []string{"id", "name", "url", "lon", "lat", "bearing", "view_deg", "kind", "group", "pull"}

const neededColumns = 5

// toldColumns are those that lists of cameras write beside: passed over, so that
// a list which was exported can be taken again.
var toldColumns = []string{"created", "state", "since", "why", "code", "distance_m", "sees"}

// Import reads CSV with a header: id, name, url, lon, lat, and optional bearing,
// view_deg, kind, group, pull, in any order; between them commas, or semicolons or
// tabs as a spreadsheet may write. Lines are taken one by one; a known id is
// replaced as by Update, but that columns which the file has not stay. All that is
// taken is stored at once, or nothing. The error is about the file as a whole,
// devices.FieldErrors at "file", or the database's.
func (c *Cameras) Import(ctx context.Context, r io.Reader) (accepted int, refused []Refusal, err error) {
	lines, err := readLines(r)
	if err != nil {
		return 0, nil, err
	}
	taken, refused, err := c.takeLines(ctx, lines)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range taken {
		c.tell(Change{ID: id})
	}
	return len(taken), refused, nil
}

func (c *Cameras) takeLines(ctx context.Context, lines []line) (taken []devices.ID, refused []Refusal, err error) {
	c.write.Lock()
	defer c.write.Unlock()
	type ready struct {
		row  row
		full *url.URL
	}
	var all []ready
	first := map[devices.ID]int{} // line of an id
	for _, l := range lines {
		if l.why != "" {
			refused = append(refused, Refusal{l.number, l.why})
			continue
		}
		id := devices.ID(l.cells["id"])
		before, _ := c.find(id)
		cam, faults := l.camera(before)
		row, full, err := c.prepare(cam, before)
		var more devices.FieldErrors
		if err != nil && !errors.As(err, &more) {
			return nil, nil, err
		}
		faults = append(faults, more...)
		if earlier, twice := first[id]; twice {
			faults = append(faults, &devices.FieldError{Field: "id", Why: fmt.Sprintf("is on line %d, too", earlier)})
		} else if len(faults) == 0 {
			first[id] = l.number
		}
		if len(faults) > 0 {
			refused = append(refused, Refusal{l.number, faults.Error()})
			continue
		}
		all = append(all, ready{row, full})
	}
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("import cameras: %w", err)
	}
	defer tx.Rollback()
	for _, x := range all {
		if err := store(ctx, tx, x.row); err != nil {
			return nil, nil, fmt.Errorf("import camera %s: %w", x.row.ID, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, nil, fmt.Errorf("import cameras: %w", err)
	}
	for _, x := range all {
		c.adopt(x.row, x.full)
		taken = append(taken, x.row.ID)
	}
	return taken, refused, nil
}

// line is one record of the file.
type line struct {
	number int               // of its first line in the file, from 1
	why    string            // it cannot be read at all
	cells  map[string]string // by column; those that the file has
}

// bad is a fault of the whole file. It repeats nothing of it: where the header
// is missing, the first line has an address and a password in it.
func bad(why string, args ...any) error {
	var faults devices.FieldErrors
	faults.Add("file", why, args...)
	return faults
}

func readLines(r io.Reader) ([]line, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	if len(raw) > maxImport {
		return nil, bad("must be at most %d MiB", maxImport>>20)
	}
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff}) {
		return nil, bad("is UTF-16; save it as CSV UTF-8")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	skipped := 0
	// A spreadsheet's own first line: which separator follows.
	if head, rest, ok := bytes.Cut(raw, []byte("\n")); ok && len(bytes.TrimSpace(head)) == 5 && bytes.HasPrefix(bytes.ToLower(head), []byte("sep=")) {
		raw, skipped = rest, 1
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, bad("is empty; its first line must name the columns")
	}
	cr := csv.NewReader(bytes.NewReader(raw))
	cr.Comma = separator(raw)
	cr.FieldsPerRecord = -1
	cr.TrimLeadingSpace = cr.Comma != '\t'
	head, err := cr.Read()
	if err != nil {
		return nil, bad("its first line cannot be read: its quotes do not match")
	}
	names, err := header(head)
	if err != nil {
		return nil, err
	}
	var lines []line
	for {
		cells, err := cr.Read()
		if err == io.EOF {
			return lines, nil
		}
		if len(lines) == maxLines {
			return nil, bad("must have at most %d cameras", maxLines)
		}
		l := line{}
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken):
			l.number, l.why = broken.StartLine, "its quotes do not match"
		case err != nil:
			return nil, fmt.Errorf("read the file: %w", err)
		default:
			l.number, _ = cr.FieldPos(0)
			l.read(cells, names)
		}
		l.number += skipped
		lines = append(lines, l)
	}
}

// separator is what stands most often in the first line.
func separator(raw []byte) rune {
	head, _, _ := bytes.Cut(raw, []byte("\n"))
	best, most := ',', bytes.Count(head, []byte(","))
	for _, sep := range ";\t" {
		if n := bytes.Count(head, []byte(string(sep))); n > most {
			best, most = sep, n
		}
	}
	return best
}

// header checks the columns' names.
func header(head []string) ([]string, error) {
	if len(head) > maxFields {
		return nil, bad("must have at most %d columns", maxFields)
	}
	var faults devices.FieldErrors
	names := make([]string, len(head))
	for i, h := range head {
		name := strings.ToLower(strings.TrimSpace(h))
		switch {
		case slices.Contains(toldColumns, name):
		case !slices.Contains(importColumns, name):
			faults.Add("file", "column %d of the first line has none of the names %s", i+1, strings.Join(importColumns, ", "))
		case slices.Contains(names, name):
			faults.Add("file", "column %s is there twice", name)
		default:
			names[i] = name
		}
	}
	for _, name := range importColumns[:neededColumns] {
		if !slices.Contains(names, name) {
			faults.Add("file", "column %s is missing", name)
		}
	}
	return names, faults.Err()
}

func (l *line) read(cells, names []string) {
	if len(cells) != len(names) {
		l.why = fmt.Sprintf("has %d fields instead of %d", len(cells), len(names))
		return
	}
	l.cells = make(map[string]string, len(names))
	for i, cell := range cells {
		if !utf8.ValidString(cell) {
			l.why = "is not UTF-8; save the file as CSV UTF-8"
			return
		}
		l.cells[names[i]] = strings.TrimSpace(cell)
	}
}

// camera reads the cells over the record before it, if there is one.
func (l *line) camera(before *record) (cam Camera, faults devices.FieldErrors) {
	if before != nil {
		cam = *before.camera.Load()
	}
	cam.ID, cam.Name, cam.URL = devices.ID(l.cells["id"]), l.cells["name"], l.cells["url"]
	number := func(column, field string) *float64 {
		text := l.cells[column]
		x, err := strconv.ParseFloat(text, 64)
		switch {
		case text == "":
			return nil
		case err == nil:
			return &x
		case strings.Count(text, ",") == 1 && !strings.Contains(text, "."):
			faults.Add(field, "has a decimal comma; write a point")
		default:
			faults.Add(field, "must be a number")
		}
		return nil
	}
	place := func(column string, into *float64) {
		before := len(faults)
		x := number(column, "position."+column)
		if x != nil {
			*into = *x
		} else if len(faults) == before {
			faults.Add("position."+column, "is missing")
		}
	}
	place("lon", &cam.Position.Lon)
	place("lat", &cam.Position.Lat)
	if _, has := l.cells["bearing"]; has {
		cam.Bearing = number("bearing", "bearing")
	}
	if _, has := l.cells["view_deg"]; has {
		cam.ViewDeg = number("view_deg", "view_deg")
	}
	if kind, has := l.cells["kind"]; has {
		cam.Kind = Kind(strings.ToLower(kind))
	}
	if group, has := l.cells["group"]; has {
		cam.Group = group
	}
	if pull, has := l.cells["pull"]; has {
		cam.Pull = Pull(strings.ToLower(pull))
	}
	return cam, faults
}
