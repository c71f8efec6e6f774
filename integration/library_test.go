package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"

	"github.com/podd-io/podd/integration/archive"
)

// library is a registry on the loopback interface.
type library struct {
	t *testing.T
	*httptest.Server
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{t, httptest.NewServer(registry.New(registry.Logger(zap.NewStdLog(zap.NewNop()))))}
	t.Cleanup(l.Close)
	return l
}

// push adds a busybox that differs from all others, and gives its reference.
func (l *library) push(name string) string {
	l.t.Helper()
	box, err := archive.Busybox("/bin/busybox")
	if err != nil {
		l.t.Fatal(err)
	}
	box.Env = append(box.Env, "NAME="+name)
	box.Files["/etc/name"] = archive.File{Data: []byte(name), Mode: 0o644}
	return l.pushImage(name, box)
}

// pushImage adds an image under repository:tag.
func (l *library) pushImage(name string, image archive.Image) string {
	l.t.Helper()
	img, err := image.Build()
	if err != nil {
		l.t.Fatal(err)
	}
	repo, tag, _ := strings.Cut(name, ":")
	layers, err := img.Layers()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			l.t.Fatal(err)
		}
		l.send(http.MethodPost, repo+"/blobs/uploads/?digest="+l.digest(layer.Digest()), content)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		l.t.Fatal(err)
	}
	l.send(http.MethodPost, repo+"/blobs/uploads/?digest="+l.digest(img.ConfigName()), bytes.NewReader(config))
	manifest, err := img.RawManifest()
	if err != nil {
		l.t.Fatal(err)
	}
	l.send(http.MethodPut, repo+"/manifests/"+tag, bytes.NewReader(manifest))
	return strings.TrimPrefix(l.URL, "http://") + "/" + name
}

func (l *library) digest(hash v1.Hash, err error) string {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	return hash.String()
}

func (l *library) send(method, path string, body io.Reader) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.URL+"/v2/"+path, body)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json") // blobs do not mind
	resp, err := l.Client().Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		l.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// bulky is an image of many files, another one for each seed.
func bulky(t *testing.T, seed uint64) archive.Image {
	t.Helper()
	box, err := archive.Busybox("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	for i := range 200 {
		data := make([]byte, 64<<10)
		_, _ = random.Read(data) // it never fails
		box.Files[fmt.Sprintf("/usr/share/bulky/%d/%d", i%10, i)] = archive.File{Data: data, Mode: 0o644}
	}
	return box
}
