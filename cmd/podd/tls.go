package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
)

// identity is what a TCP endpoint shows its callers, and what it asks of them: a
// certificate that the client CA has signed. There are no lesser rights: who has
// one may do what root may on the unix socket.
type identity struct {
	cfg Config
	log *zap.Logger
	// last is what the files held when they were good.
	last atomic.Pointer[tls.Config]
}

// newIdentity reads the files. They are read again for every connection, so that
// they can be replaced while podd runs; files that are bad then leave what was.
func newIdentity(cfg Config, log *zap.Logger) (*identity, error) {
	read, err := cfg.readIdentity()
	if err != nil {
		return nil, err
	}
	i := &identity{cfg: cfg, log: log}
	i.last.Store(read)
	return i, nil
}

// over has a listener speak TLS.
func (i *identity) over(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return i.now(), nil },
	})
}

func (i *identity) now() *tls.Config {
	read, err := i.cfg.readIdentity()
	if err != nil {
		i.log.Warn("could not read the certificates of the tcp endpoints again: the last good ones stay in force", zap.Error(err))
		return i.last.Load()
	}
	i.last.Store(read)
	return read
}

func (c Config) readIdentity() (*tls.Config, error) {
	for _, key := range []struct{ name, value string }{
		{"tls-cert-file", c.TLSCert}, {"tls-private-key-file", c.TLSKey}, {"client-ca-file", c.ClientCA},
	} {
		if key.value == "" {
			return nil, fmt.Errorf("%s: a tcp:// endpoint needs it: callers are known by their certificates alone", key.name)
		}
	}
	own, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert-file, tls-private-key-file: %w", err)
	}
	text, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client-ca-file: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client-ca-file: there is no certificate in %s", c.ClientCA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, // HTTP/2, which gRPC insists on
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}, nil
}

// checkTCP is about the files of tcp:// endpoints; without such an endpoint they
// are not read.
func (c Config) checkTCP() error {
	if !slices.ContainsFunc(c.Listen, isTCP) {
		return nil
	}
	_, err := c.readIdentity()
	return err
}

func isTCP(address string) bool { return strings.HasPrefix(address, tcpScheme) }

// listen opens the control endpoints.
func (d *podd) listen(ctx context.Context, passed map[string]net.Listener) ([]net.Listener, error) {
	if lost := unnamed(d.cfg.Listen, passed); len(lost) > 0 {
		d.log.Warn("systemd listens for podd where podd is not to listen: callers get no answer there; add it to the key listen, or disable podd.socket",
			zap.Strings("socket", lost))
	}
	if !slices.ContainsFunc(d.cfg.Listen, isTCP) {
		return listenAll(ctx, d.cfg.Listen, passed, nil)
	}
	id, err := newIdentity(d.cfg, d.log)
	if err != nil {
		return nil, err
	}
	return listenAll(ctx, d.cfg.Listen, passed, id)
}
