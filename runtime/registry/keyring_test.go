package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestFits(t *testing.T) {
	const hub, own = "docker.io/library/busybox", "registry.example.org:5000/team/app"
	for _, c := range []struct {
		key, repository string
		want            bool
	}{
		{"index.docker.io/v1/", hub, true},
		{"docker.io", hub, true},
		{"index.docker.io/library", hub, true},
		{"index.docker.io/other", hub, false},
		{"registry.example.org:5000", own, true},
		{"registry.example.org:5000/v2/", own, true},
		{"registry.example.org:5000/team", own, true},
		{"registry.example.org:5000/team/app", own, true},
		{"registry.example.org:5000/v1team", own, false},
		{"registry.example.org", own, false},
		{"registry.example.*:5000", own, true},
		{"registry.example.*", own, false},
		{"registry.example.org:*", own, false},
		{"*.example.org:5000", own, true},
		{"reg*.example.org:5000", own, true},
		{"*.org:5000", own, false},
		{"[", own, false},
		{"", own, false},
	} {
		if got := fits(c.key, c.repository); got != c.want {
			t.Errorf("fits(%q, %q) = %t", c.key, c.repository, got)
		}
	}
}

// accessFor is by secrets alone.
func accessFor(t *testing.T, cfg Config, name string, secrets ...string) (*Access, error) {
	t.Helper()
	var raw [][]byte
	for _, secret := range secrets {
		raw = append(raw, []byte(secret))
	}
	return New(cfg, zap.NewNop()).Access(t.Context(), name, raw)
}

func TestSecretsInTheOrderOfAKubelet(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("coded:pass:word"))
	a, err := accessFor(t, Config{}, "example.org/team/app:v1",
		`{"auths":{"https://example.org":{"username":"wide","password":"1"},"other.org":{"username":"x","password":"x"},"example.org/":{}}}`,
		`{"auths":{"example.org/team":{"auth":"`+auth+`"},"example.org/team/app":{"auth":"`+strings.TrimRight(auth, "=")+`"}}}`,
		`{"example.org":{"identitytoken":"token"}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Credential{{"coded", "pass:word"}, {"wide", "1"}, {"", "token"}}
	if got := a.Credentials(); !equal(got, want) {
		t.Errorf("%d credentials, or others than expected: %q", len(got), users(got))
	}
}

func equal(a, b []Credential) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func users(all []Credential) (names []string) {
	for _, c := range all {
		names = append(names, c.User)
	}
	return names
}

func TestNobodyIsTheLastResort(t *testing.T) {
	a, err := accessFor(t, Config{}, "example.org/app:v1", "{}", `{"auths":{"other.org":{"username":"u","password":"p"}}}`)
	if err != nil || !equal(a.Credentials(), []Credential{{}}) {
		t.Errorf("%q, %v", users(a.Credentials()), err)
	}
}

// TestBrokenSecrets: they are told, and what is in them is not.
func TestBrokenSecrets(t *testing.T) {
	for _, text := range []string{
		"hush", `{"auths":"hush"}`, `{"auths":{"example.org":"hush"}}`, `{"auths":{"example.org":{"auth":"hush!"}}}`,
		`{"auths":{"example.org":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hush")) + `"}}}`, `["hush"]`,
	} {
		_, err := accessFor(t, Config{}, "example.org/app:v1", text)
		if err == nil || !strings.Contains(err.Error(), "does not hold a Docker configuration") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestTheHelpersOfDocker are not run, and missed only where they would be asked.
func TestTheHelpersOfDocker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	for text, want := range map[string]bool{
		`{"auths":{"example.org":{}},"credsStore":"pass"}`:                                       true,
		`{"auths":{"other.org":{}},"credsStore":"pass"}`:                                         false,
		`{"credHelpers":{"example.org":"ecr-login"}}`:                                            true,
		`{"credHelpers":{"other.org":"ecr-login"}}`:                                              false,
		`{"auths":{"example.org":{"username":"me","password":"hush"}},"credsStore":"pass"}`:      false,
		`{"HttpHeaders":{"User-Agent":"x"},"proxies":{"default":{"httpProxy":"http://x:3128"}}}`: false,
	} {
		write(t, file, text)
		a, err := accessFor(t, Config{AuthFile: file}, "example.org/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(a.Visit(Credential{}).Failure(errors.New("x")).Error(), file); told != want {
			t.Errorf("%s: told: %t", text, told)
		}
	}
}

func TestACredentialIsNotPrinted(t *testing.T) {
	c := Credential{"me", "hush"}
	if text := fmt.Sprintf("%v %+v %#v %s %d %v", c, c, &c, c, c, struct{ C []Credential }{[]Credential{c}}); strings.Contains(text, "hush") || strings.Contains(text, "me") {
		t.Error(text)
	}
}
