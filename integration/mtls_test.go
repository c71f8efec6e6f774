package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// authority signs certificates; its own is in a file.
type authority struct {
	t    *testing.T
	path func(name string) string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, n *node, name string) *authority {
	t.Helper()
	a := &authority{t: t, path: func(file string) string { return n.path(file) }}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.sign(name, template, template)
	return a
}

// issue makes a certificate, NAME.crt, and its key, NAME.key.
func (a *authority) issue(name string, usage x509.ExtKeyUsage) {
	a.t.Helper()
	a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, a.cert)
}

func (a *authority) sign(name string, template, parent *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == template {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == template {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", secret)
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// TestOverTCP: who shows a certificate of the client CA may do everything over
// TCP, others nothing; certificates can be replaced while podd runs.
func TestOverTCP(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	ca, stranger := newAuthority(t, n, "ca"), newAuthority(t, n, "stranger-ca")
	ca.issue("podd", x509.ExtKeyUsageServerAuth)
	ca.issue("me", x509.ExtKeyUsageClientAuth)
	stranger.issue("stranger", x509.ExtKeyUsageClientAuth)
	n.stop()
	address := fmt.Sprintf("tcp://localhost:%d", freePort(t))
	n.extra = append(n.extra, "--listen", address,
		"--tls-cert-file", n.path("podd.crt"), "--tls-private-key-file", n.path("podd.key"), "--client-ca-file", n.path("ca.crt"))
	n.start()

	podctl := func(args ...string) (string, error) {
		cmd := exec.Command(bin(t, "podctl"), args...)
		cmd.Env = append(os.Environ(), "PODD_CONFIG="+n.path("contexts.yaml"), "PODD_ADDRESS=")
		cmd.Stdin = strings.NewReader(shell("web", "echo hello; exec sleep 1000"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	as := func(name, ca string) []string {
		return []string{"--address", address, "--certificate-authority", n.path(ca), "--client-certificate", n.path(name + ".crt"), "--client-key", n.path(name + ".key")}
	}
	works := func(args ...string) string {
		t.Helper()
		out, err := podctl(args...)
		if err != nil {
			t.Errorf("podctl %s: %v\n%s", args, err, out)
		}
		return out
	}
	refused := func(why string, args ...string) {
		t.Helper()
		if out, err := podctl(args...); err == nil || !strings.Contains(out, why) {
			t.Errorf("podctl %s: %v\n%s", args, err, out)
		}
	}
	refused("are needed for a tcp:// address", "--address", address, "get", "pods")
	works(append([]string{"config", "set-context", "far"}, as("me", "ca.crt")...)...)
	works("config", "use-context", "far")
	works("apply", "-f", "-", "--wait")
	if out := works("exec", "web", "--", "echo", "over TCP"); out != "over TCP\n" {
		t.Errorf("exec: %s", out)
	}
	refused("client-ca-file", append(as("stranger", "ca.crt"), "get", "pods")...)
	refused("unknown authority", append(as("me", "stranger-ca.crt"), "get", "pods")...)

	// What can't be read leaves what was; a new authority counts at once.
	if err := os.WriteFile(n.path("podd.crt"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	works("get", "pods")
	stranger.issue("podd", x509.ExtKeyUsageServerAuth)
	works(append(as("me", "stranger-ca.crt"), "get", "pods")...)
}
