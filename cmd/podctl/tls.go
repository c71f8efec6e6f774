package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// tcpScheme begins the address of a podd that is reached over TCP.
const tcpScheme = "tcp://"

// certificates are the files by which podctl and a podd on tcp:// know each
// other, all PEM. The names are kubectl's.
type certificates struct {
	// CA has signed podd's certificate; empty for those that the system trusts.
	CA string `json:"certificate-authority,omitempty"`
	// Certificate and Key are podctl's own.
	Certificate string `json:"client-certificate,omitempty"`
	Key         string `json:"client-key,omitempty"`
	// ServerName is what podd's certificate is for; empty for the address's host.
	ServerName string `json:"tls-server-name,omitempty"`
}

func (c *certificates) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.CA, "certificate-authority", "", "file of the certificates that podd's at a tcp:// address has to be signed by (default those that the system trusts)")
	flags.StringVar(&c.Certificate, "client-certificate", "", "file of the certificate that is shown to podd at a tcp:// address")
	flags.StringVar(&c.Key, "client-key", "", "file of its private key")
	flags.StringVar(&c.ServerName, "tls-server-name", "", "name that podd's certificate has to be for (default the host of the address)")
}

// over fills in what c leaves open.
func (c certificates) over(other certificates) certificates {
	return certificates{
		CA:          cmp.Or(c.CA, other.CA),
		Certificate: cmp.Or(c.Certificate, other.Certificate),
		Key:         cmp.Or(c.Key, other.Key),
		ServerName:  cmp.Or(c.ServerName, other.ServerName),
	}
}

// transport is how podctl speaks to a target: TLS, unless it is a unix socket.
func (s *session) transport(target string) (credentials.TransportCredentials, error) {
	if strings.HasPrefix(target, "unix:") {
		return insecure.NewCredentials(), nil
	}
	cfg, err := s.certificates.over(s.inForce.certificates).config()
	if err != nil {
		return nil, fmt.Errorf("connect to podd at %s: %w", s.endpoint(), err)
	}
	return credentials.NewTLS(cfg), nil
}

func (c certificates) config() (*tls.Config, error) {
	if c.Certificate == "" || c.Key == "" {
		return nil, errors.New("--client-certificate and --client-key, or a context that has them, are needed for a tcp:// address")
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ServerName: c.ServerName}
	if c.CA == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authority: there is no certificate in %s", c.CA)
	}
	return cfg, nil
}

// absoluteCertificates are those of a context with what flags say instead. Paths are kept
// absolute: podctl will be called from elsewhere.
func (s *session) absoluteCertificates(kept certificates) (certificates, error) {
	given := s.certificates
	for _, path := range []*string{&given.CA, &given.Certificate, &given.Key} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return certificates{}, err
		}
	}
	return given.over(kept), nil
}
