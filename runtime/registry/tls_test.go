package registry_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority, with files for a server on 127.0.0.1.
type authority struct {
	key              *rsa.PrivateKey
	der              []byte
	ca, cert, keyPEM string // files
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var err error
	a.key, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.der, err = x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	must(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent, err := x509.ParseCertificate(a.der)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, &a.key.PublicKey, a.key)
	must(t, err)
	dir := t.TempDir()
	a.ca, a.cert, a.keyPEM = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, a.ca, "CERTIFICATE", a.der)
	writePEM(t, a.cert, "CERTIFICATE", der)
	writePEM(t, a.keyPEM, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(a.key))
	return a
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// tokenServer gives who knows the password a token for what was asked, by GET
// and by the OAuth form.
func (a *authority) tokenServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method == http.MethodPost {
			user, password = r.FormValue("username"), r.FormValue("password")
		}
		if user != "me" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"details":"incorrect username or password"}`))
			return
		}
		token := a.sign(r.FormValue("service"), r.FormValue("scope"))
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
	}))
	t.Cleanup(server.Close)
	return server
}

// sign makes a JSON web token that a docker-registry verifies by the authority.
func (a *authority) sign(service, scope string) string {
	now := time.Now().Unix()
	parts := append(strings.Split(scope, ":"), "", "", "")
	header := encode(map[string]any{"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(a.der)}})
	claims := encode(map[string]any{
		"iss": "issuer", "sub": "me", "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1",
		"access": []map[string]any{{"type": parts[0], "name": parts[1], "actions": strings.Split(parts[2], ",")}},
	})
	sum := sha256.Sum256([]byte(header + "." + claims))
	signature, _ := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	return header + "." + claims + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(value any) string {
	text, _ := json.Marshal(value)
	return base64.RawURLEncoding.EncodeToString(text)
}
