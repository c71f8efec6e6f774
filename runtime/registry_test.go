package runtime

import (
	"encoding/base64"
	"testing"
)

func TestFits(t *testing.T) {
	const hub, own = "docker.io/library/busybox:1.36", "registry.example.org:5000/team/app:v1"
	for _, c := range []struct {
		key, name string
		want      bool
	}{
		{"https://index.docker.io/v1/", hub, true},
		{"docker.io", hub, true},
		{"index.docker.io/library", hub, true},
		{"index.docker.io/other", hub, false},
		{"registry.example.org:5000", own, true},
		{"https://registry.example.org:5000/v2/", own, true},
		{"registry.example.org:5000/team", own, true},
		{"registry.example.org:5000/team/app", own, true},
		{"registry.example.org:5000/v1team", own, false},
		{"registry.example.org", own, false},
		{"*.example.org:5000", own, true},
		{"reg*.example.org:5000", own, true},
		{"*.org:5000", own, false},
		{"[", own, false},
		{"", own, false},
	} {
		if got := fits(c.key, c.name); got != c.want {
			t.Errorf("fits(%q, %q) = %t", c.key, c.name, got)
		}
	}
}

func TestCredentialsFor(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("coded:pass:word"))
	secrets := [][]byte{
		[]byte(`{"auths":{"example.org":{"username":"wide","password":"1"},"example.org/team":{"auth":"` + auth + `"},"other.org":{"username":"x"}}}`),
		[]byte(`{"example.org":{"identitytoken":"token"}}`),
	}
	got, err := credentialsFor("example.org/team/app:v1", secrets)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range [][2]string{{"coded", "pass:word"}, {"wide", "1"}, {"", "token"}} {
		user, secret, err := got[i].login()
		if err != nil || user != want[0] || secret != want[1] {
			t.Errorf("%d: %q %q %v", i, user, secret, err)
		}
	}
	if _, _, err := (credential{Auth: "%"}).login(); err == nil {
		t.Error("a broken auth is no error")
	}
	if got, err := credentialsFor("example.org/app", [][]byte{[]byte("{}")}); err != nil || len(got) != 0 {
		t.Errorf("an empty secret: %+v, %v", got, err)
	}
}

func TestNormalize(t *testing.T) {
	for ref, want := range map[string]string{
		"busybox": "docker.io/library/busybox:latest", "busybox:1.36": "docker.io/library/busybox:1.36",
		"me/app": "docker.io/me/app:latest", "localhost:5000/app:v1": "localhost:5000/app:v1",
		"example.org/app@sha256:0123456789012345678901234567890123456789012345678901234567890123": "example.org/app@sha256:0123456789012345678901234567890123456789012345678901234567890123",
	} {
		if got, err := Normalize(ref); err != nil || got != want {
			t.Errorf("%s: %s, %v", ref, got, err)
		}
	}
	if got, err := Normalize("Upper"); err == nil {
		t.Errorf("it became %s", got)
	}
}

func TestArchiveName(t *testing.T) {
	for ref, want := range map[string]string{
		"v1": "", "latest": "", "": "", "Bad:Name": "", "app:v1": "docker.io/library/app:v1", "example.org/app": "example.org/app:latest",
	} {
		if got := archiveName(ref); got != want {
			t.Errorf("%q: %q", ref, got)
		}
	}
}
