package field

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What the load generator speaks of MQTT 3.1.1 and 5: CONNECT, PUBLISH at QoS 0
// and 1, PUBACK, PINGREQ, DISCONNECT. It is our own, since a library's publish
// may complete with nothing stored and the ledger wants each PUBACK itself.
const (
	packetConnack    = 2
	packetPublish    = 3
	packetPuback     = 4
	packetPingresp   = 13
	packetDisconnect = 14

	packetMost = 1 << 20 // what the generator reads; brokers send it little
)

var (
	pingreq    = []byte{12 << 4, 0}
	disconnect = []byte{packetDisconnect << 4, 0}
)

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendLength writes a variable byte integer (MQTT 5 §1.5.5).
func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// connectPacket asks for a clean session; version is 4 (3.1.1) or 5.
func connectPacket(version byte, login Login, keepAliveS uint16) []byte {
	flags := byte(0x02)
	if login.Password != "" {
		flags |= 0x80 | 0x40
	}
	v := appendString(nil, "MQTT")
	v = append(v, version, flags)
	v = binary.BigEndian.AppendUint16(v, keepAliveS)
	if version == 5 {
		v = append(v, 0) // no properties
	}
	v = appendString(v, login.Username) // client id: the device's own
	if login.Password != "" {
		v = appendString(v, login.Username)
		v = appendString(v, login.Password)
	}
	return append(appendLength([]byte{1 << 4}, len(v)), v...)
}

// appendPublish writes a PUBLISH; id is left out at QoS 0.
func appendPublish(b []byte, version, qos byte, id uint16, topic string, payload []byte) []byte {
	n := 2 + len(topic) + len(payload)
	if qos > 0 {
		n += 2
	}
	if version == 5 {
		n++
	}
	b = append(b, packetPublish<<4|qos<<1)
	b = appendLength(b, n)
	b = appendString(b, topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if version == 5 {
		b = append(b, 0)
	}
	return append(b, payload...)
}

// A packet from the broker; body is valid until the next read.
type packet struct {
	kind byte
	body []byte
}

// packetReader reads packets into one buffer.
type packetReader struct {
	in  *bufio.Reader
	buf []byte
}

func (r *packetReader) next() (packet, error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return packet{}, err
	}
	n, shift := 0, 0
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return packet{}, err
		}
		n |= int(c&0x7f) << shift
		if c&0x80 == 0 {
			break
		}
		if shift += 7; shift > 21 { // [MQTT-1.5.5] at most four bytes
			return packet{}, errors.New("mqtt: length of more than four bytes")
		}
	}
	if n > packetMost {
		return packet{}, fmt.Errorf("mqtt: packet of %d bytes", n)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	p := packet{kind: first >> 4, body: r.buf[:n]}
	_, err = io.ReadFull(r.in, p.body)
	return p, err
}

// puback reads packet id and reason; 3.1.1 has no reason.
func (p packet) puback() (id uint16, reason byte, err error) {
	if len(p.body) < 2 {
		return 0, 0, errors.New("mqtt: short PUBACK")
	}
	if len(p.body) > 2 {
		reason = p.body[2]
	}
	return binary.BigEndian.Uint16(p.body), reason, nil
}

// connack reads the answer to CONNECT and the broker's receive maximum (65,535 if untold).
func (p packet) connack(version byte) (code byte, receiveMost int, err error) {
	receiveMost = 65_535
	if p.kind != packetConnack || len(p.body) < 2 {
		return 0, 0, errors.New("mqtt: no CONNACK")
	}
	code = p.body[1]
	if version != 5 || len(p.body) < 3 {
		return code, receiveMost, nil
	}
	n, size := binary.Uvarint(p.body[2:]) // the same encoding, at these lengths
	if size <= 0 || n > uint64(len(p.body)-2-size) {
		return 0, 0, errors.New("mqtt: broken CONNACK properties")
	}
	props := p.body[2+size : 2+size+int(n)]
	for len(props) > 0 {
		width, ok := propertyWidth(props)
		if !ok || width > len(props) {
			return 0, 0, errors.New("mqtt: broken CONNACK properties")
		}
		if props[0] == 0x21 { // MQTT 5 §3.2.2.3.3
			receiveMost = int(binary.BigEndian.Uint16(props[1:]))
		}
		props = props[width:]
	}
	if receiveMost == 0 {
		return 0, 0, errors.New("mqtt: receive maximum of 0")
	}
	return code, receiveMost, nil
}

// propertyWidth is the length of the first property, its identifier included (MQTT 5 §2.2.2.2).
func propertyWidth(b []byte) (int, bool) {
	text := func(at int) (int, bool) {
		if len(b) < at+2 {
			return 0, false
		}
		return at + 2 + int(binary.BigEndian.Uint16(b[at:])), true
	}
	switch b[0] {
	case 0x24, 0x25, 0x28, 0x29, 0x2a, 0x17, 0x19, 0x01:
		return 2, true
	case 0x13, 0x21, 0x22, 0x23:
		return 3, true
	case 0x11, 0x27, 0x02, 0x18:
		return 5, true
	case 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f:
		return text(1)
	case 0x26: // a pair
		n, ok := text(1)
		if !ok {
			return 0, false
		}
		return text(n)
	}
	return 0, false
}
