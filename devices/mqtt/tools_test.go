package mqtt

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// tool runs a mosquitto client to its end.
func tool(t *testing.T, p *province, name string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	host, port, _ := net.SplitHostPort(p.addr)
	b, err := exec.CommandContext(ctx, name, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v does not end: %s", name, args, b)
	}
	return string(b), err
}

// storing answers at once what the inbox would hold.
func storing(t *testing.T) *province {
	t.Helper()
	var p *province
	ready := make(chan struct{})
	defer close(ready)
	p = newProvince(t, Options{Handle: func(m Message, done func(error)) {
		<-ready
		p.inbox <- held{m, done}
		done(nil)
		p.Flush()
	}})
	return p
}

func TestMosquittoClients(t *testing.T) {
	p := storing(t)
	for _, version := range []string{"5", "mqttv311", "mqttv31"} {
		login := []string{"-V", version, "-u", "st", "-P", p.cred["st"].Password}
		for _, qos := range []string{"0", "1"} {
			payload := fmt.Sprintf(`{"values":{"salinity":%s.5}}`, qos)
			out, err := tool(t, p, "mosquitto_pub", append(login, "-q", qos, "-t", "devices/st/telemetry", "-m", payload)...)
			if err != nil {
				t.Errorf("-V %s -q %s: %v %s", version, qos, err, out)
				continue
			}
			if m := p.inbox.next(t); string(m.Payload) != payload || m.Device != "st" {
				t.Errorf("-V %s: %+v", version, m.Message)
			}
		}
		for what, args := range map[string][]string{
			"wrong password": {"-u", "st", "-P", "x", "-t", "devices/st/telemetry", "-m", "1"},
			"anonymous":      {"-t", "devices/st/telemetry", "-m", "1"},
			"another's id":   {"-u", "st", "-P", p.cred["st"].Password, "-i", "other", "-t", "devices/st/telemetry", "-m", "1"},
			"another's will": {"-u", "st", "-P", p.cred["st"].Password, "--will-topic", "devices/other/telemetry", "--will-payload", "1",
				"-t", "devices/st/telemetry", "-m", "1"},
		} {
			if out, err := tool(t, p, "mosquitto_pub", append([]string{"-V", version, "-q", "1"}, args...)...); err == nil {
				t.Errorf("-V %s, %s: accepted: %s", version, what, out)
			}
		}
		if out, err := tool(t, p, "mosquitto_sub", append(login, "-E", "-t", "#")...); err == nil && !strings.Contains(out, "denied") {
			t.Errorf("-V %s: subscribed to everything: %s", version, out)
		}
		if out, err := tool(t, p, "mosquitto_sub", append(login, "-E", "-q", "1", "-t", "devices/st/commands")...); err != nil {
			t.Errorf("-V %s: own commands: %v %s", version, err, out)
		}
	}
	if out, _ := tool(t, p, "mosquitto_pub", "-V", "5", "-u", "st", "-P", p.cred["st"].Password, "-q", "1", "-d",
		"-t", "devices/other/telemetry", "-m", "1"); !strings.Contains(out, "RC:135") && !strings.Contains(out, "Not authorized") {
		t.Errorf("another's topic over v5: %s", out)
	}
	if len(p.inbox) != 0 {
		t.Error("a refused message was handled")
	}
}

func TestPahoClient(t *testing.T) {
	p := storing(t)
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + p.addr).SetClientID("gw").
		SetUsername("gw").SetPassword(p.cred["gw"].Password).SetCleanSession(false).SetAutoReconnect(false))
	wait := func(what string, tok paho.Token) {
		t.Helper()
		if !tok.WaitTimeout(patience) || tok.Error() != nil {
			t.Fatalf("%s: %v", what, tok.Error())
		}
	}
	wait("connect", c.Connect())
	defer c.Disconnect(250)
	const n = 200
	var tokens []paho.Token
	for i := range n {
		tokens = append(tokens, c.Publish("gateways/gw/telemetry", 1, false, fmt.Sprint(i)))
	}
	for _, tok := range tokens {
		wait("publish", tok)
	}
	for i := range n {
		if m := p.inbox.next(t); string(m.Payload) != fmt.Sprint(i) || !m.Gateway {
			t.Fatalf("message %d is %+v", i, m.Message)
		}
	}
	wait("subscribe", c.Subscribe("devices/gw/desired", 1, nil))
	sub := c.Subscribe("devices/st/desired", 1, nil)
	if !sub.WaitTimeout(patience) || sub.(*paho.SubscribeToken).Result()["devices/st/desired"] != 0x80 && sub.Error() == nil {
		t.Error("another's desired state was granted")
	}
}
