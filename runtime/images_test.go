package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/testbed"
)

func TestImport(t *testing.T) {
	bed := testbed.New(t)
	docker := busyboxArchive(t, "busybox:1.36", "example.org/tools/box:v1")
	for name, data := range map[string][]byte{"plain": docker, "gzip": compressed(t, docker, compression.Gzip), "zstd": compressed(t, docker, compression.Zstd)} {
		got, err := bed.Images.Import(t.Context(), bytes.NewReader(data), "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var names []string
		for _, img := range got {
			names = append(names, img.Names...)
		}
		slices.Sort(names)
		if want := []string{"docker.io/library/busybox:1.36", "example.org/tools/box:v1"}; !slices.Equal(names, want) {
			t.Errorf("%s: imported %v", name, names)
		}
	}
	all, err := bed.Images.List(t.Context())
	if err != nil || len(all) != 1 || len(all[0].Names) != 2 || !all[0].Pinned || all[0].Size == 0 || all[0].CreatedAt.IsZero() {
		t.Fatalf("images %+v, %v", all, err)
	}
	_, _, seen, err := bed.Client.Observe(t.Context(), "nobody", []string{"busybox:1.36", "busybox", "Not:A:Name"})
	if err != nil || len(seen) != 1 || seen["busybox:1.36"].ID != all[0].ID {
		t.Errorf("observed %+v, %v, want id %s", seen, err, all[0].ID)
	}
	if gone, err := bed.Images.Remove(t.Context(), "busybox:1.36", nil); err != nil || !slices.Equal(gone, []string{"docker.io/library/busybox:1.36"}) {
		t.Errorf("removed %v, %v", gone, err)
	}
	short := strings.TrimPrefix(all[0].ID, "sha256:")[:12]
	if gone, err := bed.Images.Remove(t.Context(), short, nil); err != nil || !slices.Equal(gone, []string{"example.org/tools/box:v1"}) {
		t.Errorf("removed %v, %v", gone, err)
	}
	var failure *pod.Failure
	if _, err := bed.Images.Remove(t.Context(), short, nil); !errors.As(err, &failure) || failure.Kind != pod.NotFound {
		t.Errorf("removed what is not there: %v", err)
	}
	if left := blobs(t, bed); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func compressed(t *testing.T, data []byte, kind compression.Compression) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := compression.CompressStream(&out, kind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// blobs is all content that containerd has, whole or begun.
func blobs(t *testing.T, bed *testbed.Bed) []string {
	t.Helper()
	ctx := bed.Client.Context(t.Context())
	store := bed.Client.Containerd().ContentStore()
	var all []string
	if err := store.Walk(ctx, func(i content.Info) error {
		all = append(all, i.Digest.String())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	begun, err := store.ListStatuses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range begun {
		all = append(all, "begun: "+s.Ref)
	}
	slices.Sort(all)
	return all
}

// TestImportName: a name is for what has none in the archive.
func TestImportName(t *testing.T) {
	bed := testbed.New(t)
	for name, c := range map[string]struct{ inArchive, given, want string }{
		"none":         {"", "app:v2", "docker.io/library/app:v2"},
		"a bare tag":   {"v1", "app:v2", "docker.io/library/app:v2"},
		"its own":      {"example.org/app:v1", "other:v2", "example.org/app:v1"},
		"no name":      {"v1", "", "import image archive: it names no image; give a name"},
		"a bad one":    {"", "Not:A:Name", "couldn't parse image name"},
		"short of one": {"app:v1", "", "docker.io/library/app:v1"},
	} {
		got, err := bed.Images.Import(t.Context(), bytes.NewReader(layoutArchive(t, c.inArchive)), c.given)
		switch {
		case err != nil && strings.Contains(err.Error(), c.want):
		case err == nil && len(got) == 1 && slices.Equal(got[0].Names, []string{c.want}):
		default:
			t.Errorf("%s: imported %+v, %v, want %s", name, got, err, c.want)
		}
	}
}

// layoutArchive is an OCI archive of one image, with a name in its index.
func layoutArchive(t *testing.T, name string) []byte {
	t.Helper()
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.ConfigFile(img, platformConfig(t, img, goruntime.GOARCH)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	var opts []layout.Option
	if name != "" {
		opts = append(opts, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name}))
	}
	if err := path.AppendImage(img, opts...); err != nil {
		t.Fatal(err)
	}
	return tarOf(t, dir)
}

// TestImportBroken: an archive that does not arrive whole, or is none, leaves
// nothing behind.
func TestImportBroken(t *testing.T) {
	bed := testbed.New(t)
	whole := busyboxArchive(t, "busybox:1.36")
	before := blobs(t, bed)
	for name, archive := range map[string]io.Reader{
		"a third":      bytes.NewReader(whole[:len(whole)/3]),
		"all but some": bytes.NewReader(whole[:len(whole)-len(whole)/8]),
		"gzip":         bytes.NewReader(compressed(t, whole, compression.Gzip)[:5000]),
		"text":         strings.NewReader(strings.Repeat("this is no archive\n", 1000)),
		"nothing":      strings.NewReader(""),
		"cut off":      io.MultiReader(bytes.NewReader(whole[:100_000]), failing{}),
	} {
		var failure *pod.Failure
		if _, err := bed.Images.Import(t.Context(), archive, ""); !errors.As(err, &failure) || failure.Kind != pod.Permanent {
			t.Errorf("%s: %v", name, err)
		}
		if after := blobs(t, bed); !slices.Equal(before, after) {
			t.Errorf("%s left %v", name, after)
		}
		if all, err := bed.Images.List(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("%s left %v, %v", name, all, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := bed.Images.Import(ctx, io.MultiReader(bytes.NewReader(whole[:100_000]), canceller(cancel), bytes.NewReader(whole[100_000:])), "")
	if err == nil {
		t.Error("a cancelled import succeeded")
	}
	if after := blobs(t, bed); !slices.Equal(before, after) {
		t.Errorf("a cancelled import left %v", after)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client went away") }

type canceller func()

func (c canceller) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

// TestImportUnusable: an image that can't be unpacked does not stay.
func TestImportUnusable(t *testing.T) {
	bed := testbed.New(t)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(strings.Repeat("no tar", 1000))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.ConfigFile(img, platformConfig(t, img, goruntime.GOARCH)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tarball.Write(tagOf(t, "example.org/bad:v1"), img, &out); err != nil {
		t.Fatal(err)
	}
	if got, err := bed.Images.Import(t.Context(), &out, ""); err == nil {
		t.Errorf("imported %v", got)
	}
	if all, err := bed.Images.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("left %v, %v", all, err)
	}
	if left := blobs(t, bed); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestCreateUnpacks: an image whose content is here and nothing else will do.
func TestCreateUnpacks(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctx := w.Client.Context(t.Context())
	cd := w.Client.Containerd()
	if _, err := cd.Import(ctx, bytes.NewReader(busyboxArchive(t, "example.org/packed:v1"))); err != nil {
		t.Fatal(err)
	}
	if err := cd.SnapshotService("overlayfs").Remove(ctx, snapshotOf(t, w)); err != nil {
		t.Fatal(err)
	}
	ctr := script("echo unpacked")
	ctr.Image = "example.org/packed:v1"
	w.says(ctr, "unpacked")
}

// snapshotOf is the one that the busybox image was unpacked to.
func snapshotOf(t *testing.T, w *world) string {
	t.Helper()
	ctx := w.Client.Context(t.Context())
	img, err := w.Client.Containerd().GetImage(ctx, "docker.io/library/busybox:1.36")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := img.RootFS(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(ids[0])
}
