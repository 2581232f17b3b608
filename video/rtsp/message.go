package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Bounds of a message. No camera seen comes near them; who passes them is
// broken or hostile.
const (
	maxLine    = 4 << 10   // bytes of a start line, or of a header with its continuations
	maxHeaders = 64        // header lines of a message
	maxBody    = 256 << 10 // bytes of a body
	maxBlank   = 8         // empty lines before a message
)

// header is a message's header lines in their order. Names are compared without
// regard to case, and written as they were set: some cameras know "CSeq" alone.
type header []field

type field struct{ name, value string }

// get gives the first value of name, "" if there is none.
func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// values gives all values of name.
func (h header) values(name string) (all []string) {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			all = append(all, f.value)
		}
	}
	return all
}

// add puts a line behind the others.
func (h *header) add(name, value string) { *h = append(*h, field{name, value}) }

// set replaces the first line of that name, or adds one.
func (h *header) set(name, value string) {
	for i, f := range *h {
		if strings.EqualFold(f.name, name) {
			(*h)[i].value = value
			return
		}
	}
	h.add(name, value)
}

// request is an RTSP request. Content-Length is written by itself.
type request struct {
	method string
	url    string
	header header
	body   []byte
}

// response is an RTSP response. Content-Length is written by itself; an empty
// reason is filled in.
type response struct {
	status int
	reason string
	header header
	body   []byte
}

// cseq gives the sequence number of the request that r answers, -1 if it has none.
func (r *response) cseq() int { return parseCSeq(r.header) }

// cseq gives the request's sequence number, -1 if it has none.
func (r *request) cseq() int { return parseCSeq(r.header) }

func parseCSeq(h header) int {
	n, err := strconv.ParseUint(h.get("CSeq"), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// appendTo writes the request behind b.
func (r *request) appendTo(b []byte) []byte {
	b = appendClean(b, r.method)
	b = append(b, ' ')
	b = appendClean(b, r.url)
	b = append(b, " RTSP/1.0\r\n"...)
	return appendRest(b, r.header, r.body)
}

// appendTo writes the response behind b.
func (r *response) appendTo(b []byte) []byte {
	reason := r.reason
	if reason == "" {
		reason = statusText(r.status)
	}
	b = append(b, "RTSP/1.0 "...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, ' ')
	b = appendClean(b, reason)
	b = append(b, "\r\n"...)
	return appendRest(b, r.header, r.body)
}

func appendRest(b []byte, h header, body []byte) []byte {
	for _, f := range h {
		if strings.EqualFold(f.name, "Content-Length") {
			continue
		}
		b = appendClean(b, f.name)
		b = append(b, ": "...)
		b = appendClean(b, f.value)
		b = append(b, "\r\n"...)
	}
	if len(body) > 0 {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

// appendClean leaves control characters out, so that no text, wherever it came
// from, can begin a line of its own.
func appendClean(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c != 0x7f || c == '\t' {
			b = append(b, c)
		}
	}
	return b
}

// readRequest reads a request. Errors are *Error: Protocol, TooLarge, NotRTSP,
// or what became of the connection.
func readRequest(br *bufio.Reader) (*request, error) {
	line, err := readStart(br)
	if err != nil {
		return nil, err
	}
	method, rest, _ := strings.Cut(line, " ")
	at := strings.LastIndexByte(rest, ' ')
	if at < 0 || !isToken(method) {
		return nil, fault(NotRTSP, nil, "request line is not RTSP")
	}
	url, version := strings.TrimSpace(rest[:at]), rest[at+1:]
	if !strings.HasPrefix(version, "RTSP/") || url == "" {
		return nil, fault(NotRTSP, nil, "request line is not RTSP")
	}
	r := &request{method: method, url: url}
	if r.header, r.body, err = readRest(br); err != nil {
		return nil, err
	}
	return r, nil
}

// readResponse reads a response. Errors are as of readRequest.
func readResponse(br *bufio.Reader) (*response, error) {
	line, err := readStart(br)
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(version, "RTSP/") {
		return nil, fault(NotRTSP, nil, "status line is not RTSP")
	}
	digits, reason, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || status < 100 || status > 599 {
		return nil, fault(Protocol, nil, "status line without a status")
	}
	r := &response{status: int(status), reason: reason}
	if r.header, r.body, err = readRest(br); err != nil {
		return nil, err
	}
	return r, nil
}

// readStart reads a start line; a few empty ones before it are left out, which
// cameras send after bodies.
func readStart(br *bufio.Reader) (string, error) {
	for range maxBlank {
		line, err := readLine(br)
		if err != nil {
			return "", err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return string(line), nil
		}
	}
	return "", fault(Protocol, nil, "empty lines in place of a message")
}

// readRest reads what follows a start line.
func readRest(br *bufio.Reader) (header, []byte, error) {
	var h header
	for {
		line, err := readLine(br)
		if err != nil {
			return nil, nil, err
		}
		if len(line) == 0 {
			break
		}
		if (line[0] == ' ' || line[0] == '\t') && len(h) > 0 {
			last := &h[len(h)-1] // RFC 2326 §4, HTTP's folded header
			if len(last.value)+len(line) > maxLine {
				return nil, nil, fault(TooLarge, nil, "header line over %d bytes", maxLine)
			}
			last.value += " " + string(bytes.TrimSpace(line))
			continue
		}
		if len(h) == maxHeaders {
			return nil, nil, fault(TooLarge, nil, "more than %d header lines", maxHeaders)
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		name = bytes.TrimRight(name, " \t")
		if !ok || !isToken(string(name)) {
			return nil, nil, fault(Protocol, nil, "header line without a name")
		}
		h.add(string(name), string(bytes.TrimSpace(value)))
	}
	n, err := contentLength(h)
	if err != nil || n == 0 {
		return h, nil, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(br, body); err != nil {
		return nil, nil, ioFault(err, "in the body of a message")
	}
	return h, body, nil
}

// contentLength judges what a header says of the body. Digits alone are a
// number here, and two that differ are none.
func contentLength(h header) (int, error) {
	n := -1
	for _, v := range h.values("Content-Length") {
		for i := range len(v) {
			if v[i] < '0' || v[i] > '9' {
				return 0, fault(Protocol, nil, "Content-Length is not a number")
			}
		}
		u, err := strconv.ParseUint(v, 10, 63)
		switch {
		case errors.Is(err, strconv.ErrRange) || err == nil && u > maxBody:
			return 0, fault(TooLarge, nil, "body over %d bytes", maxBody)
		case err != nil:
			return 0, fault(Protocol, nil, "Content-Length is not a number")
		case n >= 0 && int(u) != n:
			return 0, fault(Protocol, nil, "two values of Content-Length")
		}
		n = int(u)
	}
	return max(n, 0), nil
}

// readLine reads up to LF and gives the line without its CR LF; it is valid
// until the next read. The reader's buffer must hold maxLine.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
		return nil, fault(TooLarge, nil, "line over %d bytes", maxLine)
	}
	if err != nil {
		return nil, ioFault(err, "in the head of a message")
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}

// isToken tells whether s is a name of a method or header, and not too long.
func isToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return true
}

// statusText names a status, "Status" if it has no name here. It is fixed text:
// a camera's own reason is never shown.
func statusText(status int) string {
	if s, ok := statusTexts[status]; ok {
		return s
	}
	return "Status"
}

// RFC 2326 §7.1.1.
var statusTexts = map[int]string{
	100: "Continue",
	200: "OK",
	301: "Moved Permanently",
	302: "Moved Temporarily",
	303: "See Other",
	307: "Temporary Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	408: "Request Time-out",
	413: "Request Entity Too Large",
	415: "Unsupported Media Type",
	451: "Parameter Not Understood",
	453: "Not Enough Bandwidth",
	454: "Session Not Found",
	455: "Method Not Valid in This State",
	457: "Invalid Range",
	459: "Aggregate Operation Not Allowed",
	460: "Only Aggregate Operation Allowed",
	461: "Unsupported Transport",
	462: "Destination Unreachable",
	500: "Internal Server Error",
	501: "Not Implemented",
	503: "Service Unavailable",
	505: "RTSP Version Not Supported",
	551: "Option not supported",
}
