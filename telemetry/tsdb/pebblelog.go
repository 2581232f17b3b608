package tsdb

import "fmt"

// logger hands Pebble's words on. Fatalf must not end the process (the default
// is os.Exit): it marks the engine failed, and the acknowledgement, which rests on our log, stops.
type logger struct {
	info func(string)
	errs func(string)
	fail func(error)
}

func (l logger) Infof(format string, args ...any)  { l.info(fmt.Sprintf(format, args...)) }
func (l logger) Errorf(format string, args ...any) { l.errs(fmt.Sprintf(format, args...)) }
func (l logger) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf("series: "+format, args...))
}
