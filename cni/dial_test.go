package cni_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// TestDial: what listens on a pod's own loopback only is reached, over either
// family; the host's is not.
func TestDial(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web")
	w.wire(cfg)
	path := w.namespace(cfg)
	for name, at := range map[string]struct{ network, address string }{
		"IPv4": {"tcp4", "127.0.0.1:0"}, "IPv6": {"tcp6", "[::1]:0"},
	} {
		var l net.Listener
		within(t, path, func() {
			var err error
			if l, err = net.Listen(at.network, at.address); err != nil {
				t.Fatal(err)
			}
		})
		go greet(l)
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if text, err := w.readFrom(cfg, port); text != "hello" || err != nil {
					t.Errorf("%s: %q, %v", name, text, err)
				}
			})
		}
		all.Wait()
		l.Close()
		var f *pod.Failure
		if _, err := w.readFrom(cfg, port); !errors.As(err, &f) || f.Kind != pod.Transient {
			t.Errorf("%s: nobody listens: %v", name, err)
		}
	}
	host, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := w.readFrom(cfg, uint16(host.Addr().(*net.TCPAddr).Port)); err == nil {
		t.Error("the host's loopback was reached")
	}
	var f *pod.Failure
	if _, err := w.readFrom(w.pod("other"), 80); !errors.As(err, &f) || f.Kind != pod.NotFound {
		t.Errorf("a pod without a network: %v", err)
	}
}

func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "hello")
		c.Close()
	}
}

func (w *world) readFrom(cfg pod.NetworkConfig, port uint16) (string, error) {
	ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
	defer cancel()
	p := &corev1.Pod{}
	p.UID, p.Namespace, p.Name = cfg.UID, cfg.Namespace, cfg.Name
	conn, err := w.Dial(ctx, p, port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	return string(text), err
}
