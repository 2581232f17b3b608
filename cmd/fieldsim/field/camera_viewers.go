package field

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// ViewOptions of viewers that look at one camera.
type ViewOptions struct {
	API      string // base URL of the server
	Token    string
	Camera   string
	Count    int           // viewers at once; default 1
	Duration time.Duration // how long they look; 0: until ctx ends
}

// Views is what viewers saw, all together. Durations are in ms, 0 where there is nothing to measure.
type Views struct {
	Viewers   int   `json:"viewers"`   // asked for
	Connected int   `json:"connected"` // let in
	Pictured  int   `json:"pictured"`  // that saw a picture
	Fragments int64 `json:"fragments"`
	Bytes     int64 `json:"bytes"`
	Streams   int64 `json:"streams"` // descriptions of a stream, one for each viewer at least
	Lost      int64 `json:"lost"`    // times the camera was said to be lost
	Dropped   int64 `json:"dropped"` // fragments that were passed over: gaps in the fragments' numbers

	// From dialling to the first fragment.
	FirstP50 float64 `json:"first_picture_p50_ms"`
	FirstP95 float64 `json:"first_picture_p95_ms"`
	FirstMax float64 `json:"first_picture_max_ms"`

	// From the camera's sending to the viewer's having all of it; pictures with a
	// stamp that were sent after the viewer had begun.
	Stamped  int64   `json:"stamped"`
	DelayP50 float64 `json:"delay_p50_ms"`
	DelayP95 float64 `json:"delay_p95_ms"`
	DelayP99 float64 `json:"delay_p99_ms"`
	DelayMax float64 `json:"delay_max_ms"`

	Seconds float64        `json:"seconds"`
	Closed  map[string]int `json:"closed,omitempty"` // ends before the time, by close code or word
}

// View lets viewers look at a camera over the live socket and counts. It fails
// only if none is let in.
func View(ctx context.Context, o ViewOptions) (Views, error) {
	u, err := url.Parse(o.API)
	if err != nil {
		return Views{}, errors.New("the API's URL cannot be read")
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return Views{}, errors.New("the API's URL is neither http nor https")
	}
	u = u.JoinPath("api/v1/cameras", o.Camera, "live")
	if o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Duration)
		defer cancel()
	}
	began := time.Now()
	viewers := make([]cameraViewer, max(1, o.Count))
	var done sync.WaitGroup
	for i := range viewers {
		done.Go(func() { viewers[i].look(ctx, u.String(), o.Token) })
	}
	done.Wait()
	v := sumUp(viewers)
	v.Seconds = time.Since(began).Seconds()
	if v.Connected == 0 {
		return v, fmt.Errorf("no viewer was let in: %w", viewers[0].err)
	}
	return v, nil
}

func sumUp(viewers []cameraViewer) Views {
	v := Views{Viewers: len(viewers), Closed: map[string]int{}}
	var first, delay latencies
	for i := range viewers {
		one := &viewers[i]
		if one.connected {
			v.Connected++
		}
		if one.first > 0 {
			v.Pictured++
			first.add(one.first)
		}
		v.Fragments += one.fragments
		v.Bytes += one.bytes
		v.Streams += one.streams
		v.Lost += one.lost
		v.Dropped += one.dropped
		delay.merge(&one.delay)
		if one.end != "" {
			v.Closed[one.end]++
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	v.FirstP50, v.FirstP95, v.FirstMax = ms(first.quantile(0.5)), ms(first.quantile(0.95)), ms(first.most)
	v.Stamped = delay.n
	v.DelayP50, v.DelayP95, v.DelayP99, v.DelayMax =
		ms(delay.quantile(0.5)), ms(delay.quantile(0.95)), ms(delay.quantile(0.99)), ms(delay.most)
	return v
}

// cameraViewer is one live socket and what came over it. Owned by look.
type cameraViewer struct {
	began     time.Time
	connected bool
	first     time.Duration // 0: no picture
	init      bool          // the next binary message is an init segment
	sequence  uint32        // of the fragment before; 0: none
	head      [4 << 10]byte // of the message in hand
	rest      []byte

	fragments, bytes, streams, lost, dropped int64

	delay latencies
	end   string // why it ended before its time
	err   error
}

// viewPatience is how long a viewer waits for the next message, a ping of the server's among them.
const viewPatience = 60 * time.Second

func (v *cameraViewer) look(ctx context.Context, address, token string) {
	v.began = time.Now()
	dialer := websocket.Dialer{HandshakeTimeout: 15 * time.Second, ReadBufferSize: 32 << 10}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	conn, response, err := dialer.DialContext(ctx, address, header)
	if err != nil {
		if v.err = err; response != nil {
			v.err = fmt.Errorf("%w: %s", err, response.Status)
			v.end = strconv.Itoa(response.StatusCode)
		} else if ctx.Err() == nil {
			v.end = "not_connected"
		}
		return
	}
	v.connected = true
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		if err := conn.SetReadDeadline(time.Now().Add(viewPatience)); err != nil {
			return err
		}
		return ping(data)
	})
	v.rest = make([]byte, 32<<10)
	for {
		if err = conn.SetReadDeadline(time.Now().Add(viewPatience)); err != nil {
			break
		}
		var kind int
		var message io.Reader
		if kind, message, err = conn.NextReader(); err != nil {
			break
		}
		if err = v.take(kind, message); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return // its time is over
	}
	v.err = err
	v.end = "broken"
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		v.end = strconv.Itoa(closed.Code)
	}
}

// take reads a message: its beginning, where everything of interest stands, and
// the rest only for its length.
func (v *cameraViewer) take(kind int, message io.Reader) error {
	n, err := io.ReadFull(message, v.head[:])
	size := int64(n)
	switch {
	case err == nil:
		more, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, message, v.rest)
		if err != nil {
			return err
		}
		size += more
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	}
	head := v.head[:n]
	v.bytes += size
	if kind == websocket.TextMessage {
		return v.text(head)
	}
	if v.init {
		v.init, v.sequence = false, 0
		return nil
	}
	v.fragments++
	if v.first == 0 {
		v.first = time.Since(v.began)
	}
	if s, ok := fragmentNumber(head); ok {
		if v.sequence > 0 && s > v.sequence+1 {
			v.dropped += int64(s - v.sequence - 1)
		}
		v.sequence = s
	}
	if _, sent, ok := ReadStamp(head); ok && sent.After(v.began) {
		v.delay.add(time.Since(sent))
	}
	return nil
}

func (v *cameraViewer) text(b []byte) error {
	var m struct{ Codecs, State string }
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("a text that is no JSON: %w", err)
	}
	if m.Codecs != "" {
		v.streams++
		v.init = true
	} else {
		v.lost++
	}
	return nil
}

// fragmentNumber is the sequence number of a movie fragment (ISO/IEC 14496-12
// §8.8.5): moof begins with mfhd, which holds it after version and flags.
func fragmentNumber(b []byte) (uint32, bool) {
	if len(b) < 24 || string(b[4:8]) != "moof" || string(b[12:16]) != "mfhd" {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[20:]), true
}
