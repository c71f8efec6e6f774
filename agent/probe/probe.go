package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/podd-io/podd/pod"
)

// Prober runs HTTP and TCP probes. It keeps no connection, and may be used by
// many goroutines.
type Prober struct{ client *http.Client }

// New makes a prober.
func New() *Prober { return &Prober{client: &http.Client{Transport: transport()}} }

// Probe runs one probe once, within its timeout. What the pod answers, or that
// it does not, is an outcome; an error means that there was nothing to run.
func (p *Prober) Probe(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	switch {
	case cfg.Handler.HTTPGet != nil:
		return p.http(ctx, cfg)
	case cfg.Handler.TCPSocket != nil:
		return tcp(ctx, cfg)
	}
	return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("%s probe of container %q: no handler that runs from the host", cfg.Kind, cfg.Container)}
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// tcp: a connection that is made is health; it is closed with a reset, so that
// nothing lingers on either side.
func tcp(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	h := cfg.Handler.TCPSocket
	host := cfg.Host
	if h.Host != "" {
		host = h.Host
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address(host, h.Port.IntValue()))
	if err != nil {
		return pod.ProbeOutcome{Output: timedOut(ctx, err).Error()}, nil
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // at worst it lingers
	}
	_ = conn.Close() // it stood: that is all that was asked
	return pod.ProbeOutcome{Healthy: true}, nil
}

// timedOut gives a probe's own timeout the words by which people know it.
func timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (%w)", err, context.DeadlineExceeded)
	}
	return err
}
