package pause

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// digests are the image layouts' for ImageName, by architecture.
func digests() map[string]string {
	return map[string]string{
		"amd64": "c06f80162c069cb3188ae13f4842d43909e756e866fca5fcc2a5b3a843153ba9",
		"arm64": "e08caf049214162c4285bf9f1450a36a94b6aa628eba9b051c86712f432c8afe",
	}
}

func TestContentAndNameChangeTogether(t *testing.T) {
	for arch, want := range digests() {
		program, err := os.ReadFile("program/pause-" + arch)
		if err != nil {
			t.Fatal(err)
		}
		archive, err := archiveOf(arch, program)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(archive)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: the archive is %s, want %s: if that is meant, raise the number in ImageName and note the new digest here", arch, got, want)
		}
	}
}

func TestArchiveIsTheEmbeddedProgram(t *testing.T) {
	first, err := Archive()
	if err != nil {
		t.Fatal(err)
	}
	clear(first)
	archive, err := Archive()
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, archive)

	index := parse[v1.Index](t, files["index.json"])
	if got := index.Manifests[0].Annotations["io.containerd.image.name"]; got != ImageName {
		t.Errorf("the index names %q, want %q", got, ImageName)
	}
	manifest := parse[v1.Manifest](t, content(t, files, index.Manifests[0]))
	config := parse[v1.Image](t, content(t, files, manifest.Config))
	layer := content(t, files, manifest.Layers[0])

	if diff := cmp.Diff(config.RootFS.DiffIDs[0], manifest.Layers[0].Digest); diff != "" {
		t.Errorf("the layer is plain, so its diff id is its digest: %s", diff)
	}
	if got := config.Config.Entrypoint; !cmp.Equal(got, []string{"/pause"}) {
		t.Errorf("entry point %q", got)
	}
	if string(untar(t, layer)["pause"]) != program {
		t.Error("/pause in the layer is not the embedded program")
	}
	if len(files) != 5 {
		t.Errorf("the layout has %d files, want 5", len(files))
	}
}

// content is what a descriptor points at, checked against it.
func content(t *testing.T, files map[string][]byte, d v1.Descriptor) []byte {
	t.Helper()
	data, ok := files["blobs/sha256/"+d.Digest.Encoded()]
	if !ok || int64(len(data)) != d.Size {
		t.Fatalf("no blob %s of %d bytes", d.Digest, d.Size)
	}
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != d.Digest.Encoded() {
		t.Fatalf("the blob %s has another digest", d.Digest)
	}
	return data
}

func parse[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
