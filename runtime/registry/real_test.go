package registry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podd-io/podd/runtime/registry"
)

// secretFor is a dockerconfigjson value.
func secretFor(host, password string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"username":"me","password":%q}}}`, host, password)
}

// htpasswd has "me" with the password "secret", in bcrypt.
const htpasswd = "me:$2y$05$nIJuyf8OYnK/jHX9PiQ23uZ/uOhb.tD8iqGMaeIgDop1nCIs0flX2\n"

// withPassword is what a docker-registry's configuration has to ask for one.
func withPassword(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	must(t, os.WriteFile(file, []byte(htpasswd), 0o600))
	return fmt.Sprintf("auth: {htpasswd: {realm: here, path: %s}}\n", file)
}

func TestARegistryWithAPrivateCA(t *testing.T) {
	n, a := newNode(t), newAuthority(t)
	host, _ := serve(t, stock(t, "team/app"), fmt.Sprintf("  tls: {certificate: %s, key: %s}\n", a.cert, a.keyPEM))
	const ref = "registry.test/team/app:v1"
	n.hosts("registry.test", fmt.Sprintf("server = %q\n", "https://"+host))
	n.fails("no CA", ref, host, "certificate signed by unknown authority")
	n.hosts("registry.test", fmt.Sprintf("server = %q\nca = %q\n", "https://"+host, a.ca))
	n.pulls("the CA", ref)
	n.hosts("registry.test", fmt.Sprintf("[host.%q]\nskip_verify = true\n", "https://"+host))
	n.pulls("not verified", ref)
	n.hosts("registry.test", fmt.Sprintf("[host.%q]\nca = \"nosuch.pem\"\n", "https://"+host))
	n.fails("no such file", ref, "certs.d/registry.test/hosts.toml", "certs.d/registry.test/nosuch.pem")
	must(t, os.RemoveAll(n.Path("certs.d")))
	must(t, os.MkdirAll(n.Path("certs.d", host), 0o755))
	ca, err := os.ReadFile(a.ca)
	must(t, err)
	n.write(filepath.Join("certs.d", host, "ca.crt"), string(ca))
	n.pulls("the layout of Docker", host+"/team/app:v1")
}

func TestARegistryByHTTP(t *testing.T) {
	n := newNode(t)
	host, _ := serve(t, stock(t, "team/app"), "")
	n.pulls("on the loopback interface", host+"/team/app:v1")
	n.hosts("registry.test", fmt.Sprintf("[host.%q]\n", "http://"+host))
	n.pulls("as hosts.toml says", "registry.test/team/app:v1")
	n.hosts("registry.test", fmt.Sprintf("server = %q\n", "https://"+host))
	n.fails("HTTPS is not there", "registry.test/team/app:v1", host+": tls: first record does not look like a TLS handshake")
	n.fails("no such tag", host+"/team/app:v2", "answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)")
	n.fails("no such repository", host+"/team/other:v2", "404 Not Found")
}

func TestBrokenHostsFiles(t *testing.T) {
	n := newNode(t)
	for text, want := range map[string]string{
		"server = ":             "line 1",
		"servr = \"https://x\"": `line 1: unknown key "servr"`,
		"[host.\"https://x\"]\nskip-verify = true\n":   `line 2: unknown key "host.https://x.skip-verify"`,
		"[host.\"https://x\"]\nskip_verify = \"no\"":   "line 2",
		"[host.\"https://x\"]\ncapabilities = [\"x\"]": "unknown capability x",
		"[host.\"https://x\"]\nca = 1":                 "ca",
		"[host.\"https://x\"]\ndial_timeout = \"x\"":   "invalid duration",
	} {
		n.hosts("registry.test", text)
		n.fails(text, "registry.test/app:v1", n.Path("certs.d", "registry.test", "hosts.toml"), want)
	}
}

func TestARegistryWithPasswords(t *testing.T) {
	n := newNode(t)
	host, _ := serve(t, stock(t, "team/app"), withPassword(t))
	ref := host + "/team/app:v1"
	good, bad := secretFor(host, "secret"), secretFor(host+"/team", "wrong")
	n.fails("nobody", ref, "answered 401 Unauthorized", "no credentials are known")
	n.failsWith("a wrong password", ref, [][]byte{bad}, "answered 401 Unauthorized (UNAUTHORIZED: authentication required)")
	n.pulls("a pull secret", ref, good)
	n.pulls("a wrong one first", ref, bad, good)

	n.config.AuthFiles = []string{n.Path("none.json"), n.write("config.json", string(good))}
	n.pulls("the node's file", ref)
	n.pulls("a wrong secret, then the node's file", ref, bad)
	n.write("config.json", "{")
	n.fails("a broken file", ref, n.Path("config.json"), "401 Unauthorized")
	n.pulls("a secret in spite of it", ref, good)
	n.config.AuthFile = n.Path("none.json")
	n.fails("a named file is missing", ref, n.Path("none.json"))
	n.config = registry.Config{}

	n.plugin(host, "echo '{\"apiVersion\":\"credentialprovider.kubelet.k8s.io/v1\",\"kind\":\"CredentialProviderResponse\","+
		"\"cacheKeyType\":\"Registry\",\"auth\":{\"127.0.0.1:1\":{\"username\":\"me\",\"password\":\"wrong\"},\""+host+"\":{\"username\":\"me\",\"password\":\"secret\"}}}'\n")
	n.pulls("a plugin", ref)
	n.plugin(host, "echo secret >&2; exit 3\n")
	n.fails("a plugin that fails", ref, "the credential provider plugin failed", "exit status 3", "401 Unauthorized")
}

// plugin is the node's only credential provider from now on.
func (n *node) plugin(match, script string) {
	n.t.Helper()
	n.write("bin/plugin", "#!/bin/sh\n"+script)
	config := n.write("providers.yaml", `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: plugin
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["`+match+`"]
  defaultCacheDuration: 1h
`)
	var err error
	n.config.Providers, err = registry.LoadProviders(config, n.Path("bin"))
	must(n.t, err)
}

func TestARegistryWithTokens(t *testing.T) {
	n, a := newNode(t), newAuthority(t)
	tokens := a.tokenServer(t)
	host, _ := serve(t, stock(t, "team/app"), fmt.Sprintf(
		"auth: {token: {realm: %s/token, service: library, issuer: issuer, rootcertbundle: %s}}\n", tokens.URL, a.ca))
	ref := host + "/team/app:v1"
	n.pulls("a token for a password", ref, secretFor(host, "secret"))
	n.failsWith("a wrong password", ref, [][]byte{secretFor(host, "wrong")}, "401 Unauthorized (incorrect username or password)")
	n.fails("nobody", ref, "401 Unauthorized", "no credentials are known")
}

// counted is a proxy that counts the requests for manifests and blobs, and
// whether they had a password.
type counted struct {
	*httptest.Server
	manifests, blobs, passwords atomic.Int32
}

func count(t *testing.T, host string) *counted {
	t.Helper()
	target, err := url.Parse("http://" + host)
	must(t, err)
	c, proxy := &counted{}, httputil.NewSingleHostReverseProxy(target)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			c.manifests.Add(1)
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			c.blobs.Add(1)
		}
		if r.Header.Get("Authorization") != "" {
			c.passwords.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counted) zero() {
	c.manifests.Store(0)
	c.blobs.Store(0)
	c.passwords.Store(0)
}

func TestMirrors(t *testing.T) {
	n := newNode(t)
	images := stock(t, "team/app")
	full, _ := serve(t, images, "")
	empty, _ := serve(t, t.TempDir(), "")
	locked, _ := serve(t, images, withPassword(t))
	mirror, hollow, origin := count(t, full), count(t, empty), count(t, locked)
	const ref = "registry.test/team/app:v1"
	good := secretFor("registry.test", "secret")
	hosts := func(mirror, keys string) {
		mirrorHost := fmt.Sprintf("server = %q\n[host.%q]\n%s\n", origin.URL, mirror, keys)
		n.hosts("registry.test", mirrorHost)
		origin.zero()
	}

	hosts(mirror.URL, "")
	n.pulls("from the mirror", ref, good)
	if mirror.manifests.Load() == 0 || mirror.blobs.Load() != 3 || origin.manifests.Load()+origin.blobs.Load() != 0 {
		t.Errorf("not all came from the mirror: %d requests for manifests, %d for blobs", mirror.manifests.Load(), mirror.blobs.Load())
	}
	mirror.zero()
	hosts(mirror.URL, `capabilities = ["pull"]`)
	n.pulls("resolved by the origin", ref, good)
	if origin.manifests.Load() == 0 || mirror.blobs.Load() != 3 || origin.blobs.Load() != 0 {
		t.Errorf("a mirror without \"resolve\" was asked for the tag, or for no blobs")
	}
	hosts(hollow.URL, "")
	n.pulls("an empty mirror", ref, good)
	if hollow.manifests.Load() == 0 || origin.blobs.Load() == 0 {
		t.Error("the mirror was not asked, or the origin not thereafter")
	}
	n.failsWith("neither has it", "registry.test/team/other:v1", [][]byte{good}, hollow.Listener.Addr().String()+" answered 404", origin.Listener.Addr().String()+" answered 404")
	hollow.Close()
	core, logged := observer.New(zap.InfoLevel)
	n.log = zap.New(core)
	n.pulls("a mirror that is down", ref, good)
	if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["why"].(string), hollow.Listener.Addr().String()+": dial tcp") {
		t.Errorf("logged: %+v", all)
	}
	if mirror.passwords.Load()+hollow.passwords.Load() != 0 {
		t.Error("a mirror was shown the registry's password")
	}

	// A mirror that asks for a password gets one that is for it.
	hosts("http://"+locked, "")
	n.pulls("a mirror with a password of its own", ref, secretFor(locked, "secret"))
	if origin.blobs.Load() != 0 {
		t.Error("it did not come from the mirror")
	}
}
