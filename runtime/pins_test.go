package runtime_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive/compression"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/testbed"
)

// pinned tells of each image's name whether it is pinned.
func pinned(t *testing.T, bed *testbed.Bed) map[string]bool {
	t.Helper()
	all, err := bed.Client.Containerd().ImageService().List(bed.Client.Context(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, img := range all {
		got[img.Name] = img.Labels["io.cri-containerd.pinned"] == "pinned"
	}
	return got
}

// TestArchives: an image is pinned as long as an archive, or somebody who
// imported it, wants it.
func TestArchives(t *testing.T) {
	bed := testbed.New(t)
	load := func(file, version string, names ...string) {
		t.Helper()
		archive := compressed(t, busyboxArchive(t, names...), compression.Zstd)
		if _, err := bed.Images.LoadArchive(t.Context(), file, version, bytes.NewReader(archive)); err != nil {
			t.Fatal(err)
		}
	}
	unload := func(file string) {
		t.Helper()
		if err := bed.Images.UnloadArchive(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	archives := func(want map[string]string) {
		t.Helper()
		got, err := bed.Images.Archives(t.Context())
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("archives %v, %v, want %v", got, err, want)
		}
	}
	images := func(want map[string]bool) {
		t.Helper()
		if got := pinned(t, bed); !maps.Equal(got, want) {
			t.Errorf("pinned are %v, want %v", got, want)
		}
	}
	const a, b, c = "docker.io/library/aa:1", "docker.io/library/bb:1", "docker.io/library/cc:1"
	load("one.tar", "1", "aa:1", "bb:1")
	load("two.tar", "1", "bb:1", "cc:1")
	archives(map[string]string{"one.tar": "1", "two.tar": "1"})
	if _, err := bed.Images.Import(t.Context(), bytes.NewReader(busyboxArchive(t, "cc:1")), ""); err != nil {
		t.Fatal(err)
	}
	archives(map[string]string{"one.tar": "1", "two.tar": "1"})
	images(map[string]bool{a: true, b: true, c: true})
	unload("one.tar")
	archives(map[string]string{"two.tar": "1"})
	images(map[string]bool{a: false, b: true, c: true})
	unload("two.tar")
	archives(map[string]string{})
	images(map[string]bool{a: false, b: false, c: true})
	load("one.tar", "2", "aa:1", "bb:1")
	load("one.tar", "3", "aa:1")
	archives(map[string]string{"one.tar": "3"})
	images(map[string]bool{a: true, b: false, c: true})

	bed.Client.Doubt()
	spoil(t, bed, contentOf(t, bed, a))
	is(t, check(t, bed, a, true), pod.ImageLost, "not what its digest says")
	archives(map[string]string{})
	load("one.tar", "3", "aa:1")
	is(t, check(t, bed, a, true), pod.ImageSound, "")
}

// contentOf is where what an image's name leads to is.
func contentOf(t *testing.T, bed *testbed.Bed, ref string) string {
	t.Helper()
	img, err := bed.Client.Find(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return blob(img.Target().Digest.String())
}

// TestPullKeepsPins: an image that an archive brought stays pinned when a
// registry has a newer one.
func TestPullKeepsPins(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, _ := l.push(t, "app:v1")
	if _, err := bed.Images.LoadArchive(t.Context(), "app.tar", "1", bytes.NewReader(busyboxArchive(t, ref))); err != nil {
		t.Fatal(err)
	}
	got, err := bed.Images.Pull(t.Context(), pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}})
	if err != nil || !pinned(t, bed)[ref] {
		t.Errorf("pulled %+v, %v; pinned are %v", got, err, pinned(t, bed))
	}
}
