package systemd

import (
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are the unix sockets that systemd listens on for podd, by path. Their
// files are systemd's: closing one leaves it. It is called once, before another
// process is started.
func Sockets() (map[string]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take over sockets from systemd: %w", err)
	}
	out := map[string]net.Listener{}
	for _, l := range all {
		if l == nil {
			return nil, fmt.Errorf("take over sockets from systemd: one of them is no stream")
		}
		if l.Addr().Network() != "unix" {
			return nil, fmt.Errorf("take over sockets from systemd: %s is no unix socket", l.Addr())
		}
		out[l.Addr().String()] = l
	}
	return out, nil
}
