package runtime

import "testing"

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
