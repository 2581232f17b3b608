package mqtt

import (
	"io"
	"net"
	"testing"
	"time"

	"cuulong/devices"
)

// FuzzAfterConnect feeds what a logged-in device may send. Nothing may take
// the broker or a bystander down, or leave anything behind.
func FuzzAfterConnect(f *testing.F) {
	reg := registry(f)
	cred := map[byte]devices.Credentials{
		4: register(f, reg, devices.Device{ID: "st4", Name: "a", Kind: devices.Gateway}),
		5: register(f, reg, devices.Device{ID: "st5", Name: "b", Kind: devices.Gateway}),
	}
	watch := register(f, reg, devices.Device{ID: "watch", Name: "w", Kind: devices.Station})
	var b *Broker
	b, addr := serve(f, Options{Registry: reg, Handle: func(m Message, done func(error)) { done(nil); b.Flush() }})
	bystander := connect(f, addr, hello{v: 4, id: "watch", user: "watch", password: watch.Password})
	bystander.SetDeadline(time.Time{})
	f.Add(true, packet(0x82, join(u16(1), []byte{0}, str("devices/st5/commands"))...))
	f.Add(false, publish(4, "devices/st4/telemetry", 1, 1, []byte(`{"values":{"ph":7}}`)))
	f.Add(true, publish(5, "gateways/st5/telemetry", 1, 1, []byte("x")))
	f.Add(true, publish(5, "devices/other/telemetry", 1, 2, nil))
	f.Add(true, []byte{0xe0, 1, 4})
	f.Add(false, []byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, v5 bool, data []byte) {
		v := byte(4)
		if v5 {
			v = 5
		}
		who := cred[v].Username
		feed(t, b, bystander, hello{v: v, id: who, user: who, password: cred[v].Password}.bytes(), data)
	})
}

// FuzzConnect feeds what a stranger may send.
func FuzzConnect(f *testing.F) {
	reg := registry(f)
	cred := register(f, reg, devices.Device{ID: "st", Name: "a", Kind: devices.Station})
	watch := register(f, reg, devices.Device{ID: "watch", Name: "w", Kind: devices.Station})
	b, addr := serve(f, Options{Registry: reg, Handle: func(m Message, done func(error)) { done(nil) }})
	bystander := connect(f, addr, hello{v: 4, id: "watch", user: "watch", password: watch.Password})
	bystander.SetDeadline(time.Time{})
	will := &lastWords{topic: "devices/st/attributes", payload: "{}", qos: 1, delay: 3}
	for _, v := range []byte{3, 4, 5} {
		f.Add(hello{v: v, id: "st", user: "st", password: cred.Password, will: will}.bytes())
		f.Add(hello{v: v, id: "x", anonymous: true, expiry: 7}.bytes())
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) { feed(t, b, bystander, data) })
}

// feed gives the broker one connection's bytes and waits until nothing of the
// connection is left but the bystander's.
func feed(t *testing.T, b *Broker, bystander *client, parts ...[]byte) {
	near, far := net.Pipe()
	b.accept(near)
	answer := make(chan struct{})
	go func() { defer close(answer); io.Copy(io.Discard, far) }()
	far.SetDeadline(time.Now().Add(patience))
	for _, p := range parts {
		far.Write(p)
	}
	far.Close()
	<-answer
	bystander.t = t
	bystander.alive()
	eventually(t, "the connection is gone", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) == 1
	})
}
