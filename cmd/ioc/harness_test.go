//go:build process || bench || long

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"cuulong/cmd/fieldsim/field"
)

// The binary under test is the normal build, made once by make.
const iocBinary = "../../bin/ioc"

// loopbackAddr finds the addresses in the line that tells them, HTTP first, in either format.
var loopbackAddr = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// process is a running ioc that may be killed and started again on its own
// folder and addresses.
type process struct {
	t     testing.TB
	args  []string
	env   []string
	cmd   *exec.Cmd
	Addrs Addrs

	mu  sync.Mutex
	log []string // its last lines, for a failure's message
}

// startProcess starts `ioc serve` on dir; addresses are chosen at the first
// start and kept. more are further lines of its configuration, with those
// below mqtt indented.
func startProcess(t testing.TB, dir string, more ...string) *process {
	t.Helper()
	p := &process{t: t, env: []string{"IOC_ADMIN_PASSWORD=" + testPassword, "IOC_VIDEO_ALLOW=127.0.0.0/8"}}
	config := filepath.Join(t.TempDir(), "ioc.yaml")
	text := fmt.Sprintf("data_dir: %q\nhttp: {addr: \"127.0.0.1:0\"}\nlog: {format: json}\nmqtt:\n  addr: \"127.0.0.1:0\"\n%s\n", dir, strings.Join(more, "\n"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{"serve", "--config", config}
	p.start()
	p.env = append(p.env, "IOC_HTTP_ADDR="+p.Addrs.HTTP[0], "IOC_MQTT_ADDR="+p.Addrs.MQTT[0])
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(iocBinary, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout = io.Discard
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("%v (make build makes it)", err)
	}
	ready := make(chan Addrs, 1)
	go p.read(stderr, ready)
	select {
	case a, ok := <-ready:
		if !ok {
			p.t.Fatalf("ioc ended at start:\n%s", p.tail())
		}
		p.Addrs = a
	case <-time.After(60 * time.Second):
		p.kill()
		p.t.Fatalf("ioc is not ready after a minute:\n%s", p.tail())
	}
}

// read keeps the last lines of the log and tells the addresses.
func (p *process) read(r io.Reader, ready chan<- Addrs) {
	defer close(ready)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		if p.log = append(p.log, line); len(p.log) > 50 {
			p.log = p.log[1:]
		}
		p.mu.Unlock()
		if !strings.Contains(line, "listening") {
			continue
		}
		if found := loopbackAddr.FindAllString(line, -1); len(found) >= 2 {
			select {
			case ready <- Addrs{HTTP: found[:1], MQTT: found[1:2]}:
			default:
			}
		}
	}
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// stop is SIGTERM and says how it ended.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	err := p.cmd.Wait()
	p.cmd = nil
	return err
}

// rss is the resident memory in bytes.
func (p *process) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// outcome is what came of a load.
type outcome struct {
	field.LoadResult
	err error
}

// loading is a load that runs beside the test.
type loading struct {
	ended chan outcome // one
	stop  context.CancelFunc
}

// startLoad begins one; it ends by its options, by stop, or with the test.
func startLoad(t testing.TB, o field.LoadOptions) *loading {
	ctx, stop := context.WithCancel(t.Context())
	l := &loading{ended: make(chan outcome, 1), stop: stop}
	go func() {
		r, err := field.Load(ctx, o)
		l.ended <- outcome{r, err}
	}()
	return l
}

// processSeed is what PROCESS_SEED says, to replay a run, or a new one; it is logged.
func processSeed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PROCESS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PROCESS_SEED=%d", seed)
	return seed
}

// runToEnd runs ioc until it ends by itself.
func runToEnd(t testing.TB, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, iocBinary, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// pahoClient is a connection of a device, or of anybody to an open broker.
func pahoClient(t testing.TB, addr, user, password string) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetUsername(user).SetPassword(password).SetClientID(user).SetMessageChannelDepth(1000)
	client := paho.NewClient(o)
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	return client
}
