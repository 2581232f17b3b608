package telemetry

// looksLikeSenML tells a SenML pack from an array of the contract's objects by
// the first element's names: a pack has at least one of RFC 8428's and no "values".
func looksLikeSenML(b []byte) bool {
	s := scanner{b: b}
	if s.peek() != kindArray || s.open() != nil {
		return false
	}
	if more, err := s.more(']', true); err != nil || !more || s.peek() != kindObject || s.open() != nil {
		return false
	}
	var found bool
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return found
		}
		name, err := s.key()
		if err != nil {
			return found
		}
		if string(name) == "values" {
			return false
		}
		if _, ok := labels[string(name)]; ok {
			found = true
		}
		if _, err := s.skip(); err != nil {
			return found
		}
	}
}

// senmlJSON reads a pack (RFC 8428 §5).
func (r *reading) senmlJSON(s *scanner) error {
	p := pack{r: r, sources: map[string]string{}}
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(']', first)
		if err != nil || !more {
			return err
		}
		if s.peek() != kindObject {
			if _, err := s.skip(); err != nil {
				return err
			}
			r.setAside(BadSenML, "a record is no object", 1)
			continue
		}
		if err := p.recordJSON(s); err != nil {
			return err
		}
	}
}

func (p *pack) recordJSON(s *scanner) error {
	if err := s.open(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil {
			return err
		}
		if !more {
			return p.end()
		}
		name, err := s.key()
		if err != nil {
			return err
		}
		l, err := labelOf(name)
		if err != nil {
			return err
		}
		if err := p.fieldJSON(l, s); err != nil {
			return err
		}
	}
}

func (p *pack) fieldJSON(l label, s *scanner) error {
	k := s.peek()
	switch {
	case l.numeric() && k == kindNumber:
		v, err := s.number()
		if err != nil {
			return err
		}
		return p.number(l, v)
	case l.textual() && k == kindString:
		v, err := s.str()
		if err != nil {
			return err
		}
		p.text(l, v)
		return nil
	case l.attribute() && k == kindString:
		v, err := s.str()
		p.word = string(v)
		return err
	}
	raw, err := s.skip()
	switch {
	case err != nil:
		return err
	case l.attribute() && (k == kindTrue || k == kindFalse):
		p.word = raw[0] == 't'
	case l.numeric() || l.textual() || l.attribute():
		return p.wrong(l)
	}
	return nil
}
