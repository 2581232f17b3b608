package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// wire is a connection whose other side is a reader and a sink.
type wire struct {
	net.Conn
	r io.Reader
}

func (w wire) Read(b []byte) (int, error)       { return w.r.Read(b) }
func (w wire) Write(b []byte) (int, error)      { return len(b), nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }
func (w wire) Close() error                     { return nil }

func guarded(r io.Reader) *guard {
	return newGuard(wire{r: r}, time.Second, time.Second, func() {})
}

func TestGuardPassesOnWhatASubscriberGets(t *testing.T) {
	stream := join(packet(0x20, 1, 0), packet(0x90, 0, 1, 1), packet(0x90, 0, 2, 0x80), packet(0xb0, 0, 3), packet(0xd0),
		publish311("devices/st/telemetry", 1, 7, []byte("x")), publish311("devices/st/telemetry", 0, 0, nil), packet(0x3b, join(str("t"), u16(9))...))
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "by the byte": iotest.OneByteReader(bytes.NewReader(stream)), "by halves": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		got, err := io.ReadAll(guarded(r))
		if err != nil || !bytes.Equal(got, stream) {
			t.Errorf("%s: %v\n% x, not\n% x", name, err, got, stream)
		}
	}
}

func TestGuardCutsWhatIsTooLong(t *testing.T) {
	longest := strings.Repeat("t", 65535)
	for _, topic := range []string{"t", longest} {
		for _, size := range []int{MaxPayload, MaxPayload + 1, 3 << 20} {
			stream := append(publish311(topic, 1, 7, make([]byte, size)), packet(0xd0)...)
			for _, r := range []io.Reader{bytes.NewReader(stream), iotest.HalfReader(bytes.NewReader(stream))} {
				g := guarded(r)
				pk, err := packets.ReadPacket(g)
				if err != nil {
					t.Fatal(err)
				}
				p := pk.(*packets.PublishPacket)
				if p.MessageID != 7 || p.TopicName != topic || len(p.Payload) > cutPublish || (len(p.Payload) > MaxPayload) != (size > MaxPayload) {
					t.Errorf("%d bytes: id %d, %d bytes", size, p.MessageID, len(p.Payload))
				}
				if pk, err = packets.ReadPacket(g); err != nil {
					t.Errorf("after it: %v %v", pk, err)
				}
			}
		}
	}
}

// What would make paho panic or reserve 256 MB ends the connection.
func TestGuardEndsWhatASubscriberDoesNotGet(t *testing.T) {
	for name, stream := range map[string][]byte{
		"SUBACK with two codes":    packet(0x90, 0, 1, 0, 0),
		"SUBACK without a code":    packet(0x90, 0, 1),
		"a long CONNACK":           {0x20, 0xff, 0xff, 0xff, 0x7f},
		"a length without end":     {0x30, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"QoS 2":                    publish311("t", 2, 1, nil),
		"QoS 3":                    publish311("t", 3, 1, nil),
		"PUBLISH without a topic":  packet(0x30, 0),
		"topic beyond the end":     packet(0x30, 0, 9, 'x'),
		"no room for the id":       packet(0x32, 0, 1, 'x', 0),
		"PUBREL":                   packet(0x62, 0, 1),
		"CONNECT":                  hello{v: 4, id: "x"}.bytes(),
		"type 0":                   packet(0, 0),
		"type 15":                  packet(0xf0),
		"flags":                    packet(0x21, 0, 0),
		"ended within a header":    {0x30},
		"ended within a long body": publish311("t", 1, 1, make([]byte, 3<<20))[:2<<20],
	} {
		g := guarded(bytes.NewReader(stream))
		_, err := io.Copy(io.Discard, g)
		if err == nil {
			t.Errorf("%s: passed", name)
		}
		select {
		case <-g.lost:
		default:
			t.Errorf("%s: still open", name)
		}
	}
}

func TestGuardIsPatientOnlyWhileItReads(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	g := newGuard(near, 30*time.Millisecond, time.Second, func() {})
	go far.Write(packet(0xd0))
	if _, err := io.ReadFull(g, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond) // longer than its patience: the store is behind, nobody reads
	go far.Write(packet(0xd0))
	if _, err := io.ReadFull(g, make([]byte, 2)); err != nil {
		t.Fatalf("lost, though nobody waited: %v", err)
	}
	if _, err := g.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "silent") {
		t.Errorf("%v", err)
	}
	if _, err := g.Write(pingreq); err == nil {
		t.Error("open")
	}
}

// FuzzGuard holds that nothing that passes makes paho panic, and that what
// passes is never more than came.
func FuzzGuard(f *testing.F) {
	f.Add(join(packet(0x20, 0, 0), packet(0x90, 0, 1, 1), publish311("devices/st/telemetry", 1, 7, []byte("x")), packet(0xd0)))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 't'})
	f.Add(packet(0x90, 0, 1, 0, 0))
	f.Fuzz(func(t *testing.T, stream []byte) {
		g := guarded(iotest.HalfReader(bytes.NewReader(stream)))
		for {
			pk, err := packets.ReadPacket(g)
			if err != nil {
				break
			}
			if s, ok := pk.(*packets.SubackPacket); ok && len(s.ReturnCodes) != 1 {
				t.Fatalf("SUBACK %v", s)
			}
		}
		passed, _ := io.ReadAll(guarded(bytes.NewReader(stream)))
		if len(passed) > len(stream)+4 || len(passed) > 0 && passed[0] != stream[0] {
			t.Fatalf("% x of % x", passed, stream)
		}
	})
}

// A hostile or broken broker takes nothing down and is told.
func TestExternalHostileBroker(t *testing.T) {
	for name, answer := range map[string][]byte{
		"not MQTT":              []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"nothing":               nil,
		"refusal":               packet(0x20, 0, 3),
		"SUBACK of its own":     join(packet(0x20, 0, 0), packet(0x90, 0, 1, 1, 1)),
		"PUBLISH out of bounds": join(packet(0x20, 0, 0), packet(0x30, 0, 9, 'x')),
		"ends":                  packet(0x20, 0, 0),
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1000))
				_, _ = c.Write(answer)
				c.Close()
			}
		}()
		x := newOutside(t, externalOptions("mqtt://"+l.Addr().String()))
		eventually(t, name+" is told", func() bool { return strings.Contains(x.log.String(), "trying again") })
		if x.value("ioc_mqtt_external_connected", "") != 0 {
			t.Errorf("%s: connected", name)
		}
		l.Close()
		x.close()
	}
}

func TestParseBroker(t *testing.T) {
	for raw, want := range map[string]Endpoint{
		"mqtt://broker.example.vn":        {"broker.example.vn:1883", "broker.example.vn", false},
		"tcp://10.0.0.7:1884":             {"10.0.0.7:1884", "10.0.0.7", false},
		"mqtts://broker.example.vn":       {"broker.example.vn:8883", "broker.example.vn", true},
		"ssl://[2001:db8::1]":             {"[2001:db8::1]:8883", "2001:db8::1", true},
		"mqtts://[fe80::1%25eth0]:8884/":  {"[fe80::1%eth0]:8884", "fe80::1", true},
		"MQTTS://Broker_1.example.vn:443": {"Broker_1.example.vn:443", "Broker_1.example.vn", true},
	} {
		if got, err := ParseBroker(raw); err != nil || got != want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	for raw, want := range map[string]error{
		"":                             errBrokerURL,
		"broker:1883":                  errBrokerURL,
		"mqtt://":                      errBrokerURL,
		"mqtt://[::1":                  errBrokerURL,
		"mqtt://::1:1883":              errBrokerHost,
		"mqtt://2001:db8::1":           errBrokerHost,
		"ws://broker":                  errBrokerScheme,
		"http://broker":                errBrokerScheme,
		"mqtt://broker:0":              errBrokerPort,
		"mqtt://broker:65536":          errBrokerPort,
		"mqtt://broker/path":           errBrokerPath,
		"mqtt://broker?x=1":            errBrokerPath,
		"mqtt://u:geheim@broker":       errBrokerUser,
		"mqtt://u:ge%zzheim@broker:xx": errBrokerUser,
		"mqtt://bro ker":               errBrokerURL,
	} {
		if got, err := ParseBroker(raw); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func FuzzParseBroker(f *testing.F) {
	for _, s := range []string{"mqtts://[2001:db8::1]:8883", "mqtt://u:p@h", "tcp://h%41:1", "ssl://a..b", "mqtt://[fe80::1%25eth0]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := ParseBroker(raw)
		if err != nil {
			if len(raw) > 20 && strings.Contains(err.Error(), raw) {
				t.Errorf("the fault repeats the address: %v", err)
			}
			return
		}
		if host, port, err := net.SplitHostPort(e.Addr); err != nil || host == "" || port == "" || e.Host == "" {
			t.Errorf("%q: %+v %v", raw, e, err)
		}
		if strings.ContainsAny(e.Addr, "@/ ") {
			t.Errorf("%q: %+v", raw, e)
		}
	})
}

func TestCheckShare(t *testing.T) {
	for _, good := range []string{"", "ioc", "tinh-ben-tre.1"} {
		if err := CheckShare(good); err != nil {
			t.Error(good, err)
		}
	}
	for _, bad := range []string{"a/b", "+", "#", "a b", "-a", strings.Repeat("x", 65)} {
		if CheckShare(bad) == nil {
			t.Error(bad)
		}
	}
	if got := fmt.Sprint(filters("g")); got != "[$share/g/devices/+/telemetry $share/g/devices/+/attributes $share/g/devices/+/netjson $share/g/gateways/+/telemetry]" {
		t.Error(got)
	}
}
