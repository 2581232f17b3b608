package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"cuulong/geo"
)

// The topics of /live.
const (
	topicTelemetry = "telemetry"
	topicDevices   = "devices"
	topicCameras   = "cameras"
	topicAlarms    = "alarms"
)

const (
	maxMessageBytes = 16 << 10
	maxSubs         = 16
	maxHz           = 4
)

// message is what a client may say: {op:"sub",id,topic,from?,bbox?,hz?},
// {op:"view",id,bbox}, {op:"unsub",id}, {op:"seen",id,seq}.
type message struct {
	op    string
	id    string
	topic string
	from  *position
	box   *geo.Box
	hz    float64 // 0: not given
	seq   uint64
}

// position is a place in a topic's history.
type position struct {
	EP  string `json:"ep"`
	Seq uint64 `json:"seq"`
}

var errNotUTF8 = errors.New("not UTF-8")

// decodeMessage reads one text message, strictly. On an error the message may
// hold the id, for the answer.
func decodeMessage(data []byte) (message, error) {
	if !utf8.Valid(data) {
		return message{}, errNotUTF8
	}
	var raw struct {
		Op    string    `json:"op"`
		ID    string    `json:"id"`
		Topic *string   `json:"topic"`
		From  *position `json:"from"`
		BBox  []float64 `json:"bbox"`
		Hz    *float64  `json:"hz"`
		Seq   *uint64   `json:"seq"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return message{}, fmt.Errorf("not a message: %s", plainly(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return message{}, errors.New("more than one JSON value")
	}
	m := message{op: raw.Op}
	if n := len(raw.ID); n == 0 || n > 64 {
		return m, errors.New("id: a string of 1 to 64 bytes")
	}
	m.id = raw.ID
	type has struct{ topic, from, bbox, hz, seq bool }
	given := has{raw.Topic != nil, raw.From != nil, raw.BBox != nil, raw.Hz != nil, raw.Seq != nil}
	var may, must has
	switch raw.Op {
	case "sub":
		may, must = has{topic: true, from: true, bbox: true, hz: true}, has{topic: true}
	case "view":
		may, must = has{bbox: true}, has{bbox: true}
	case "unsub":
	case "seen":
		may, must = has{seq: true}, has{seq: true}
	default:
		return m, errors.New("op: sub, view, unsub or seen")
	}
	for _, f := range []struct {
		name             string
		given, may, must bool
	}{
		{"topic", given.topic, may.topic, must.topic}, {"from", given.from, may.from, must.from},
		{"bbox", given.bbox, may.bbox, must.bbox}, {"hz", given.hz, may.hz, must.hz}, {"seq", given.seq, may.seq, must.seq},
	} {
		if f.given && !f.may {
			return m, fmt.Errorf("%s: not part of %s", f.name, raw.Op)
		}
		if !f.given && f.must {
			return m, fmt.Errorf("%s: missing", f.name)
		}
	}
	if given.topic {
		m.topic = *raw.Topic
	}
	if given.bbox {
		b, err := boxOf(raw.BBox)
		if err != nil {
			return m, fmt.Errorf("bbox: %w", err)
		}
		m.box = &b
	}
	if given.hz {
		if m.hz = *raw.Hz; !(m.hz >= 0.01 && m.hz <= maxHz) {
			return m, errors.New("hz: 0.01 to 4")
		}
	}
	if given.seq {
		m.seq = *raw.Seq
	}
	m.from = raw.From
	return m, nil
}

// plainly says what is wrong with JSON without our types' names.
func plainly(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return "an object is expected"
	case errors.As(err, &kind):
		return kind.Field + ": a value of the wrong type"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// boxOf checks w,s,e,n in degrees.
func boxOf(v []float64) (geo.Box, error) {
	if len(v) != 4 {
		return geo.Box{}, errors.New("four numbers: west, south, east, north")
	}
	b := geo.Box{W: v[0], S: v[1], E: v[2], N: v[3]}
	// Written so that NaN fails.
	if !(b.W >= -180 && b.E <= 180 && b.S >= -90 && b.N <= 90) {
		return geo.Box{}, errors.New("degrees beyond the earth")
	}
	if !(b.W <= b.E && b.S <= b.N) {
		return geo.Box{}, errors.New("west, south, east, north in this order")
	}
	return b, nil
}
