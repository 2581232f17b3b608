package field

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"syscall"
)

// dial connects to a broker; with TLS where it is given. The certificate must
// be of secure's ServerName, or of addr's host where that is empty.
func dial(ctx context.Context, addr string, secure *tls.Config) (net.Conn, error) {
	if secure != nil {
		return (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// filesSpare are open files beside those of connections.
const filesSpare = 64

// enoughFiles says beforehand what would fail one connection after the other.
func enoughFiles(want int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(want+filesSpare) > limit.Cur { // the runtime has raised it to the hard limit
		return fmt.Errorf("load: %d open files are wanted and %d allowed (ulimit -n)", want+filesSpare, limit.Cur)
	}
	return nil
}
