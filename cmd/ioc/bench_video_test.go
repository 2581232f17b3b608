//go:build bench

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The cameras of the figures: 1080p25 at 4 Mbit/s, a key frame every 2 seconds.
const (
	benchBits = 4_000_000
	benchGOP  = 2 * time.Second
)

// cpuTime is what a process has used of the processor.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold spaces
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// settled waits until the memory of starting and logging in has been given back.
func settled(p *process) int64 {
	least := p.rss()
	for still := 0; still < 10; still++ {
		time.Sleep(time.Second)
		if now := p.rss(); now < least-1<<20 {
			least, still = now, 0
		}
	}
	return least
}

// benchClip makes their picture.
func benchClip(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "1080p25.h264")
	rate := fmt.Sprint(benchBits)
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25,noise=alls=12:allf=t", "-t", "8",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate,
		"-x264-params", "nal-hrd=cbr:aud=1", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "0", "-f", "h264", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return file
}

// simulator is the other program of a benchmark, which it ends with the test.
func simulator(t *testing.T, args ...string) (lines *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("../../bin/fieldsim", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// filming starts n cameras and returns their addresses.
func filming(t *testing.T, clip string, n int) []string {
	t.Helper()
	lines := simulator(t, "cameras", "--addr", "127.0.0.1:0", "--count", fmt.Sprint(n), "--clip", clip, "--fps", "25", "--stamp")
	var urls []string
	for len(urls) < n && lines.Scan() {
		if at := strings.Index(lines.Text(), "rtsp://"); at >= 0 {
			urls = append(urls, strings.Fields(lines.Text()[at:])[0])
		}
	}
	if len(urls) < n {
		t.Fatalf("only %d of %d cameras: %v", len(urls), n, lines.Err())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	return urls
}

// pulling waits until all cameras of p are live.
func pulling(t *testing.T, c *client, n int) {
	t.Helper()
	eventually(t, "all cameras live", func() bool {
		var answer struct{ Items []camera }
		c.must(http.MethodGet, "/api/v1/cameras?limit=1000", nil, http.StatusOK, &answer)
		live := 0
		for _, cam := range answer.Items {
			if cam.Status.State == "live" {
				live++
			}
		}
		return live == n
	})
}

// share is the processor time that a process took over d, of one core.
func share(t *testing.T, pid int, d time.Duration) float64 {
	t.Helper()
	before, from := cpuTime(t, pid), time.Now()
	time.Sleep(d)
	return (cpuTime(t, pid) - before).Seconds() / time.Since(from).Seconds()
}

// 50 cameras pulled and nobody looking, beside a process that only reads the same sockets.
func benchCameras(t *testing.T) {
	clip := benchClip(t)
	const n = 50
	urls := filming(t, clip, n)
	// One after the other, since both at once would be 100 streams to serve.
	_, reader, end := startBare(t, "reader", urls...)
	time.Sleep(3 * time.Second)
	bare := share(t, reader, 15*time.Second)
	end()

	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	c.must(http.MethodGet, "/api/v1/cameras", nil, http.StatusOK, nil)
	before := settled(p)
	for i, u := range urls {
		c.addCamera(fmt.Sprintf("cam-%02d", i), u)
	}
	pulling(t, c, n)
	time.Sleep(3 * benchGOP)
	ours := share(t, p.cmd.Process.Pid, 20*time.Second)
	most := p.rss()
	gop := float64(benchBits) / 8 * benchGOP.Seconds()
	row("50 cameras pulled, of one core (bare reading of the same sockets)", "≤ 15 %", "%.1f %% (%.1f %%)", 100*ours, 100*bare)
	row("memory of a camera", fmt.Sprintf("≤ %.1f MB", 2+2*gop/1e6), "%.2f MB (RSS %.0f → %.0f MB; GOP %.1f MB)", float64(most-before)/n/1e6, float64(before)/1e6, float64(most)/1e6, gop/1e6)
}

// One camera to 200 viewers, beside a process that writes as many bytes to as many sockets.
func benchViewers(t *testing.T) {
	const n = 200
	urls := filming(t, benchClip(t), 1)
	bare := barePour(t, n)

	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	c := login(t, p.Addrs.HTTP[0])
	c.addCamera("cam", urls[0])
	pulling(t, c, 1)
	token := c.token()
	// Started again: what logging in took of memory is not the viewers'.
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p.start()
	pulling(t, c, 1)
	time.Sleep(3 * benchGOP)
	few := viewers(t, c.base, token, 8, 10*time.Second)()
	row("first picture at a viewer, from the cache", "≤ 500 ms", "%.0f ms at most (median %.0f ms; %d viewers)", few.FirstMax, few.FirstP50, few.Viewers)
	row("what the relay adds to a picture's way, camera to viewer", "≤ 40 ms (one frame)", "median %.1f ms, p99 %.1f ms", few.DelayP50, few.DelayP99)

	before := settled(p)
	seen := viewers(t, c.base, token, n, 25*time.Second)
	time.Sleep(5 * time.Second)
	ours := share(t, p.cmd.Process.Pid, 15*time.Second)
	most := p.rss()
	all := seen()
	if all.Pictured != n {
		t.Errorf("%d of %d viewers saw a picture: %+v", all.Pictured, n, all)
	}
	row("one camera to 200 viewers, of one core (bare writing of as much)", "≤ 25 %", "%.1f %% (%.1f %%; %d of %d pictures passed over)", 100*ours, 100*bare, all.Dropped, all.Fragments)
	row("memory of a viewer", "≤ 256 KB", "%.0f KB (RSS %.1f → %.1f MB)", float64(most-before)/n/1e3, float64(before)/1e6, float64(most)/1e6)
}

// sight is what `fieldsim viewers` reports.
type sight struct {
	Viewers   int     `json:"viewers"`
	Pictured  int     `json:"pictured"`
	Fragments int64   `json:"fragments"`
	Dropped   int64   `json:"dropped"`
	FirstP50  float64 `json:"first_picture_p50_ms"`
	FirstMax  float64 `json:"first_picture_max_ms"`
	DelayP50  float64 `json:"delay_p50_ms"`
	DelayP99  float64 `json:"delay_p99_ms"`
}

// viewers lets n look for d; the func returned waits for what they saw.
func viewers(t *testing.T, api, token string, n int, d time.Duration) func() sight {
	t.Helper()
	lines := simulator(t, "viewers", "--api", api, "--token", token, "--camera", "cam", "--count", fmt.Sprint(n), "--for", d.String())
	return func() (s sight) {
		t.Helper()
		for lines.Scan() {
			if json.Unmarshal(lines.Bytes(), &s) == nil && s.Viewers == n {
				return s
			}
		}
		t.Fatal("the viewers reported nothing")
		return s
	}
}

// barePour is the share of a core that a process needs to write the camera's
// bytes, picture by picture, to n sockets that this one reads.
func barePour(t *testing.T, n int) float64 {
	t.Helper()
	addr, pid, end := startBare(t, "pour")
	defer end()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{conn}) }()
	}
	time.Sleep(2 * time.Second)
	return share(t, pid, 10*time.Second)
}

func pour() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	picture := make([]byte, benchBits/8/25)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for range time.Tick(time.Second / 25) {
					if _, err := conn.Write(picture); err != nil {
						return
					}
				}
			}()
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return l.Close()
}

// The references: what the sockets alone cost.
func init() {
	childRoles["reader"] = func() error {
		for _, u := range strings.Fields(os.Getenv(childArgs)) {
			if err := bareRead(u); err != nil {
				return err
			}
		}
		fmt.Println("reading")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return nil
	}
	childRoles["pour"] = pour
}

// bareRead says RTSP's least and throws away what comes.
func bareRead(address string) error {
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "rtsp://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	session := ""
	ask := func(seq int, line, more string) error { // any answer but 200 ends it
		if _, err := fmt.Fprintf(conn, "%s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n", line, seq, more); err != nil {
			return err
		}
		length := 0
		status, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(status, "RTSP/1.0 200 ") {
			return fmt.Errorf("%s: %q, %v", line, status, err)
		}
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if text = strings.TrimSpace(text); text == "" {
				break
			}
			if v, ok := strings.CutPrefix(text, "Session: "); ok {
				session, _, _ = strings.Cut(v, ";")
			}
			if v, ok := strings.CutPrefix(text, "Content-Length: "); ok {
				_, _ = fmt.Sscan(v, &length)
			}
		}
		_, err = r.Discard(length)
		return err
	}
	if err := ask(1, "DESCRIBE "+address, "Accept: application/sdp\r\n"); err != nil {
		return err
	}
	if err := ask(2, "SETUP "+address+"/track0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"); err != nil {
		return err
	}
	if err := ask(3, "PLAY "+address, "Session: "+session+"\r\nRange: npt=0.000-\r\n"); err != nil {
		return err
	}
	go func() {
		defer conn.Close()
		_, _ = io.Copy(io.Discard, struct{ io.Reader }{conn})
	}()
	return nil
}
