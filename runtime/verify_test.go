package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/testbed"
)

// check verifies all images and gives what was found of one.
func check(t *testing.T, bed *testbed.Bed, ref string, repair bool) pod.ImageCheck {
	t.Helper()
	var got []pod.ImageCheck
	err := bed.Images.Verify(t.Context(), []string{ref}, repair, func(c pod.ImageCheck) error {
		got = append(got, c)
		return nil
	})
	if err != nil || len(got) != 1 {
		t.Fatalf("verified %+v, %v", got, err)
	}
	return got[0]
}

func is(t *testing.T, got pod.ImageCheck, want pod.ImageState, finding string) {
	t.Helper()
	if got.State != want || !strings.Contains(strings.Join(got.Findings, "\n"), finding) {
		t.Errorf("found %s %q, want %s %q", got.State, got.Findings, want, finding)
	}
}

// spoil changes the one file of a pattern below containerd's root.
func spoil(t *testing.T, bed *testbed.Bed, pattern string) {
	t.Helper()
	found, _ := filepath.Glob(bed.Path("lib", "containerd", pattern))
	if len(found) != 1 {
		t.Fatalf("%s: %v", pattern, found)
	}
	info, err := os.Stat(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], bytes.Repeat([]byte{0}, int(info.Size())), info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// layerFile is what random images have.
const layerFile = "io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/random_file_*.txt"

func blob(digest string) string {
	return "io.containerd.content.v1.content/blobs/sha256/" + strings.TrimPrefix(digest, "sha256:")
}

// TestVerify: damage on disk is found, and mended where that can be.
func TestVerify(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, digest := l.push(t, "team/app:v1")
	cfg := pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}}
	pull := func() {
		t.Helper()
		if _, err := bed.Images.Pull(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	is(t, check(t, bed, ref, false), pod.ImageSound, "")

	spoil(t, bed, layerFile)
	is(t, check(t, bed, ref, false), pod.ImageDamaged, "differs after 0 bytes")
	is(t, check(t, bed, ref, true), pod.ImageRepaired, "differs after 0 bytes")
	is(t, check(t, bed, ref, true), pod.ImageSound, "")

	spoil(t, bed, blob(digest))
	is(t, check(t, bed, ref, false), pod.ImageLost, "not what its digest says")
	is(t, check(t, bed, ref, true), pod.ImageLost, "not what its digest says")
	is(t, check(t, bed, ref, true), pod.ImageLost, "damaged since")
	if img, err := bed.Client.Find(t.Context(), ref); img != nil || err != nil {
		t.Errorf("a lost image is here: %v, %v", img, err)
	}
	pull()
	is(t, check(t, bed, ref, false), pod.ImageSound, "")
}

// TestVerifyLayerContent: a layer whose content is damaged is fetched again,
// though it is unpacked.
func TestVerifyLayerContent(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, _ := l.push(t, "team/app:v1")
	cfg := pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}}
	if _, err := bed.Images.Pull(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	spoil(t, bed, blob(l.layer))
	spoil(t, bed, layerFile)
	is(t, check(t, bed, ref, true), pod.ImageLost, "not what its digest says")
	if _, err := bed.Images.Pull(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	is(t, check(t, bed, ref, true), pod.ImageRepaired, "differs after 0 bytes")
	is(t, check(t, bed, ref, true), pod.ImageSound, "")
	if err := bed.Images.Verify(t.Context(), []string{"no/such"}, true, nil); err == nil {
		t.Error("an image that is not here was verified")
	}
	stop := errors.New("enough")
	if err := bed.Images.Verify(t.Context(), nil, false, func(pod.ImageCheck) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("verification went on: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bed.Images.Verify(ended, nil, false, func(pod.ImageCheck) error { return nil }); err == nil {
		t.Error("verification did not end with its context")
	}
}

// TestDoubt: after an unclean stop no container is made of a damaged layer; one
// that something runs on is left as it is.
func TestDoubt(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	first := w.config(script("while :; do sleep 0.05; done"))
	if err := w.Client.Create(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Start(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	var found []pod.ImageCheck
	w.Config.Checked = func(c pod.ImageCheck) { found = append(found, c) }
	w.Restart(func() {})
	w.Client.Doubt()
	programs, _ := filepath.Glob(w.Path("lib", "containerd", "io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/bin/busybox"))
	if err := os.Chmod(programs[0], 0o700); err != nil { // what runs would not survive worse
		t.Fatal(err)
	}
	second := w.config(script("exit 7"))
	second.ID, second.Attempt = pod.ID(w.pod.UID, "app", 1), 1
	if err := w.Client.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].State != pod.ImageDamaged || !strings.Contains(strings.Join(found[0].Findings, "\n"), "can't be unpacked anew while container app of pod") {
		t.Errorf("found %+v", found)
	}
	for _, cfg := range []pod.ContainerConfig{first, second} {
		if err := w.Client.Remove(t.Context(), cfg.ID); err != nil {
			t.Fatal(err)
		}
	}
	found = nil
	if err := w.Client.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].State != pod.ImageRepaired {
		t.Errorf("found %+v", found)
	}
	if err := w.Client.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	w.ended(second.ID)
	if seen := w.seen(second.ID); seen.ExitCode != 7 {
		t.Errorf("it ended with %d", seen.ExitCode)
	}
	found = nil
	if err := w.Images.VerifyOnce(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if err := w.Client.Remove(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
}

// TestUnneeded: what is pinned, a container's, or a reference leads to, is
// needed.
func TestUnneeded(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	spare, _ := l.push(t, "spare:v1")
	wanted, digest := l.push(t, "wanted:v1")
	byDigest := l.host() + "/wanted@" + digest
	secrets := [][]byte{secret(t, l.host(), user, password)}
	for _, ref := range []string{spare, wanted, byDigest} {
		if _, err := bed.Images.Pull(t.Context(), pod.PullConfig{Ref: ref, Secrets: secrets}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bed.Images.Import(t.Context(), bytes.NewReader(busyboxArchive(t, busybox)), ""); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{wanted, byDigest} {
		needed := map[string]string{ref: "default/web", "not:a:name": "default/odd"}
		got, err := bed.Images.Unneeded(t.Context(), needed)
		if err != nil || len(got) != 1 || got[0].Names[0] != spare {
			t.Errorf("%s: unneeded %+v, %v", ref, got, err)
		}
		_, err = bed.Images.Remove(t.Context(), ref, needed)
		var failure *pod.Failure
		if !errors.As(err, &failure) || failure.Kind != pod.Conflict || !strings.Contains(failure.Message, "pod default/web needs image "+ref) {
			t.Errorf("remove: %v", err)
		}
	}
}
