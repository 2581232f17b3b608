package field

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// publish builds the next message, books it and writes it.
func (p *publisher) publish(i int) error {
	now := time.Now()
	if ms := now.UnixMilli(); ms > p.row {
		p.row, p.cell = ms, 0
	}
	n := p.o.Batch
	p.payload = p.appendPayload(p.payload[:0], n)
	s := &p.slots[i] // ours: the reader lets it alone until the packet is out
	packet := appendPublish(s.packet[:0], p.o.Version, p.o.QoS, uint16(i+1), p.topic, p.payload)
	p.mu.Lock()
	s.packet, s.seq, s.sent, s.busy = packet, p.next, now, p.o.QoS > 0
	p.sent++
	if p.o.QoS == 0 {
		p.last = now
	}
	p.book.write(record{kind: recordSent, extra: byte(p.cell), n: uint16(n), seq: p.next, ts: p.row, us: now.UnixMicro()})
	p.mu.Unlock()
	p.next += uint64(n)
	p.row, p.cell = advance(p.row, p.cell, n, len(p.o.Metrics))
	return p.put(packet)
}

// put writes a packet; what may reach the network is booked before.
func (p *publisher) put(packet []byte) error {
	if p.out.Available() < len(packet) {
		if err := p.flush(); err != nil {
			return err
		}
		if len(packet) > p.out.Available() { // larger than the buffer: it goes out at once
			if err := p.book.settle(); err != nil {
				return fmt.Errorf("%w: %v", errLedger, err)
			}
		}
	}
	_, err := p.out.Write(packet)
	return err
}

// flush books, then sends.
func (p *publisher) flush() error {
	if p.out.Buffered() == 0 {
		return nil
	}
	if err := p.book.settle(); err != nil {
		return fmt.Errorf("%w: %v", errLedger, err)
	}
	return p.out.Flush()
}

// resend puts what is unacknowledged on a new connection, oldest first, with DUP.
func (p *publisher) resend() error {
	p.mu.Lock()
	var again []int
	for i := range p.slots {
		if p.slots[i].busy {
			again = append(again, i)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(again, func(a, b int) int { return cmp.Compare(p.slots[a].seq, p.slots[b].seq) })
	for _, i := range again {
		p.slots[i].packet[0] |= 0x08 // [MQTT-3.3.1-1]
		if err := p.put(p.slots[i].packet); err != nil {
			return err
		}
		p.resent++
	}
	return p.flush()
}

// appendPayload writes n observations from (row, cell) on: one sample as an
// object, several as an array.
func (p *publisher) appendPayload(b []byte, n int) []byte {
	metrics, seq, row, cell := p.o.Metrics, p.next, p.row, p.cell
	many := cell+n > len(metrics)
	if many {
		b = append(b, '[')
	}
	for open := false; n > 0; n-- {
		if open {
			b = append(b, ',')
		} else {
			b = append(b, `{"ts":`...)
			b = strconv.AppendInt(b, row, 10)
			b = append(b, `,"values":{`...)
			open = true
		}
		b = append(b, '"')
		b = append(b, metrics[cell]...)
		b = append(b, `":`...)
		b = strconv.AppendFloat(b, loadValue(p.valueKey, seq), 'f', -1, 64)
		seq++
		if cell++; cell == len(metrics) || n == 1 {
			b = append(b, "}}"...)
			open = false
			if n > 1 {
				b = append(b, ',')
			}
			row, cell = row+1, 0
		}
	}
	if many {
		b = append(b, ']')
	}
	return b
}
