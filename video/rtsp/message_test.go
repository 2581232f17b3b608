package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func reader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), 8<<10) }

func TestReadMessages(t *testing.T) {
	r, err := readRequest(reader("\r\n\nSETUP rtsp://h/a b RTSP/1.0\nCSeq:7\nX-A : 1\r\n\t2\r\nCONTENT-length: 3\r\n\r\nabcd"))
	want := &request{method: "SETUP", url: "rtsp://h/a b", header: header{{"CSeq", "7"}, {"X-A", "1 2"}, {"CONTENT-length", "3"}}, body: []byte("abc")}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if r.cseq() != 7 || r.header.get("x-a") != "1 2" {
		t.Errorf("cseq %d, x-a %q", r.cseq(), r.header.get("x-a"))
	}
	a, err := readResponse(reader("RTSP/1.0 200\r\nCSeq: -1\r\n\r\n"))
	if err != nil || a.status != 200 || a.cseq() != -1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Text of others never makes a line of its own.
func TestWritingIsClean(t *testing.T) {
	r := request{method: "PLAY\r\n", url: "rtsp://h/\r\nX-Evil: 1", body: []byte("\r\n")}
	r.header.add("Session", "1\r\nX-Evil: 2\x00\x7f")
	r.header.add("Content-Length", "99")
	want := "PLAY rtsp://h/X-Evil: 1 RTSP/1.0\r\nSession: 1X-Evil: 2\r\nContent-Length: 2\r\n\r\n\r\n"
	if got := string(r.appendTo(nil)); got != want {
		t.Errorf("%q", got)
	}
	a := response{status: 454}
	if got := string(a.appendTo(nil)); got != "RTSP/1.0 454 Session Not Found\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func TestMessageBounds(t *testing.T) {
	const start = "RTSP/1.0 200 OK\r\n"
	line := strings.Repeat("x", maxLine-8)
	for _, c := range []struct {
		name, in string
		want     Code // "": taken
	}{
		{"as many headers as may be", start + strings.Repeat("A: b\r\n", maxHeaders) + "\r\n", ""},
		{"one more", start + strings.Repeat("A: b\r\n", maxHeaders+1) + "\r\n", TooLarge},
		{"as long a line as may be", start + "A: " + line + "\r\n\r\n", ""},
		{"a longer one", start + "A: " + line + "xxxxxxx\r\n\r\n", TooLarge},
		{"a line longer than the buffer", start + "A: " + strings.Repeat("x", 9<<10) + "\r\n\r\n", TooLarge},
		{"as long a body as may be", start + "Content-Length: 262144\r\n\r\n" + strings.Repeat("x", maxBody), ""},
		{"a longer one", start + "Content-Length: 262145\r\n\r\n", TooLarge},
		{"empty length", start + "Content-Length:\r\n\r\n", Protocol},
		{"length with a sign", start + "Content-Length: +5\r\n\r\nxxxxx", Protocol},
		{"the same length twice", start + "Content-Length: 1\r\nContent-Length: 01\r\n\r\nx", ""},
		{"header name with a space", start + "A b: c\r\n\r\n", Protocol},
		{"fold before any header", start + " x\r\n\r\n", Protocol},
		{"end in the head", start + "A: b\r\n", Ended},
		{"end in the body", start + "Content-Length: 5\r\n\r\nabc", Ended},
		{"nothing", "", Ended},
		{"HTTP", "HTTP/1.1 200 OK\r\n\r\n", NotRTSP},
		{"status 600", "RTSP/1.0 600 OK\r\n\r\n", Protocol},
	} {
		_, err := readResponse(reader(c.in))
		var f *Error
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &f) || f.Code != c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, in := range []string{"PLAY\r\n\r\n", "PLAY / HTTP/1.1\r\n\r\n", "P[Y / RTSP/1.0\r\n\r\n", "PLAY  RTSP/1.0\r\n\r\n"} {
		var f *Error
		if _, err := readRequest(reader(in)); !errors.As(err, &f) || f.Code != NotRTSP {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// What can be read can be written, and is the same when it is read again.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("DESCRIBE rtsp://h/x RTSP/1.0\r\nCSeq: 2\r\nA: b\r\n c\r\n\r\n"))
	f.Add([]byte("RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		clean := func(h header) (out header) { // without what writing leaves out
			for _, f := range h {
				if !strings.EqualFold(f.name, "Content-Length") {
					out = append(out, field{f.name, string(bytes.TrimSpace(appendClean(nil, f.value)))})
				}
			}
			return out
		}
		if r, err := readResponse(bufio.NewReaderSize(bytes.NewReader(b), 8<<10)); err == nil {
			again, err := readResponse(bufio.NewReaderSize(bytes.NewReader(r.appendTo(nil)), 8<<10))
			if err != nil || again.status != r.status || !bytes.Equal(again.body, r.body) || !reflect.DeepEqual(clean(again.header), clean(r.header)) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		} else if f := (*Error)(nil); !errors.As(err, &f) {
			t.Errorf("%v is no *Error", err)
		}
		if r, err := readRequest(bufio.NewReaderSize(bytes.NewReader(b), 8<<10)); err == nil {
			if len(appendClean(nil, r.url)) == 0 {
				return
			}
			again, err := readRequest(bufio.NewReaderSize(bytes.NewReader(r.appendTo(nil)), 8<<10))
			if err != nil || again.method != r.method || !bytes.Equal(again.body, r.body) || !reflect.DeepEqual(clean(again.header), clean(r.header)) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
