package runtime_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/testbed"
)

// library is a registry that asks for a password, and can be held up.
type library struct {
	*httptest.Server
	blobs  atomic.Int32 // requests for blobs
	status atomic.Int32 // answered instead, if it is not 0
	hold   chan struct{}
	layer  string // the digest of the last image's
}

const user, password = "me", "secret"

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{hold: make(chan struct{})}
	close(l.hold)
	images := registry.New(registry.Logger(zap.NewStdLog(zap.NewNop())))
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := l.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="library"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			l.blobs.Add(1)
			select {
			case <-l.hold:
			case <-r.Context().Done():
				return
			}
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *library) host() string { return strings.TrimPrefix(l.URL, "http://") }

// push adds an image and gives its reference and digest.
func (l *library) push(t *testing.T, repo string) (ref, digest string) {
	t.Helper()
	return l.pushImage(t, repo, goruntime.GOARCH)
}

// pushFor adds an image for another architecture and gives its reference.
func (l *library) pushFor(t *testing.T, repo, arch string) string {
	t.Helper()
	ref, _ := l.pushImage(t, repo, arch)
	return ref
}

func (l *library) pushImage(t *testing.T, repo, arch string) (ref, digest string) {
	t.Helper()
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.ConfigFile(img, platformConfig(t, img, arch)); err != nil {
		t.Fatal(err)
	}
	tag := tagOf(t, l.host()+"/"+repo)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	l.layer = digestOf(t, layers[0])
	layer, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	repository := l.URL + "/v2/" + tag.RepositoryStr()
	l.send(t, http.MethodPost, repository+"/blobs/uploads/?digest="+digestOf(t, layers[0]), layer)
	l.send(t, http.MethodPost, repository+"/blobs/uploads/?digest="+digestOf(t, configOf{img}), bytes.NewReader(config))
	l.send(t, http.MethodPut, repository+"/manifests/"+tag.TagStr(), bytes.NewReader(manifest))
	return tag.String(), digestOf(t, img)
}

func (l *library) send(t *testing.T, method, url string, body io.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json") // blobs do not mind
	resp, err := l.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

type configOf struct{ v1.Image }

func (c configOf) Digest() (v1.Hash, error) { return c.ConfigName() }

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	hash, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// secret is a dockerconfigjson value for a registry.
func secret(t *testing.T, registry, user, password string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]string{"username": user, "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func platformConfig(t *testing.T, img v1.Image, arch string) *v1.ConfigFile {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", arch
	return file
}

func tagOf(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// tarOf packs a directory.
func tarOf(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPull(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, digest := l.push(t, "team/app:v1")
	good, bad := secret(t, l.host(), user, password), secret(t, l.host()+"/team", user, "wrong")
	pull := func(ref string, secrets ...[]byte) (pod.Pulled, error) {
		return bed.Images.Pull(t.Context(), pod.PullConfig{Ref: ref, Secrets: secrets})
	}
	want := l.host() + "/team/app@" + digest
	for name, secrets := range map[string][][]byte{"one secret": {good}, "the second one": {bad, good}} {
		if img, err := pull(ref, secrets...); err != nil || img.ID != want {
			t.Errorf("%s: pulled %+v, %v", name, img, err)
		}
		if _, err := bed.Images.Remove(t.Context(), ref, nil); err != nil {
			t.Fatal(err)
		}
	}
	if img, err := pull(want, good); err != nil || img.ID != want {
		t.Errorf("by digest: pulled %+v, %v", img, err)
	}
	fails := func(kind pod.FailureKind, reason, message string, err error) {
		t.Helper()
		var failure *pod.Failure
		if !errors.As(err, &failure) || failure.Kind != kind || failure.Reason != reason || !strings.Contains(failure.Message, message) {
			t.Errorf("%v (%+v), want %s %s %q", err, failure, kind, reason, message)
		}
	}
	_, err := pull(ref)
	fails(pod.Transient, "ErrImagePull", "answered 401 Unauthorized; no credentials are known for it", err)
	_, err = pull(ref, bad)
	fails(pod.Transient, "ErrImagePull", "401 Unauthorized", err)
	_, err = pull(ref, secret(t, "other.example.org", user, password))
	fails(pod.Transient, "ErrImagePull", "answered 401 Unauthorized; no credentials are known for it", err)
	_, err = pull(ref, []byte("no JSON"))
	fails(pod.Permanent, "ErrImagePull", "does not hold a Docker configuration", err)
	_, err = pull(l.host()+"/team/nosuch:v1", good)
	fails(pod.NotFound, "ErrImagePull", "answered 404 Not Found (NAME_UNKNOWN: Unknown name)", err)
	_, err = pull("Not:A:Name", good)
	fails(pod.Permanent, "InvalidImageName", "couldn't parse image name", err)
	_, err = bed.Images.Pull(t.Context(), pod.PullConfig{Ref: ref, Policy: corev1.PullNever})
	fails(pod.Permanent, "ErrImageNeverPull", "pull policy of Never", err)
	l.status.Store(http.StatusServiceUnavailable)
	_, err = pull(ref, good)
	fails(pod.Transient, "RegistryUnavailable", "503", err)
	l.Close()
	_, err = pull(ref, good)
	fails(pod.Transient, "RegistryUnavailable", "connection refused", err)
}

// TestPullShared: pulls of one reference at a time share a transfer, which goes
// on until the last of them has left.
func TestPullShared(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, _ := l.push(t, "app:v1")
	l.hold = make(chan struct{})
	cfg := pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}}
	first, leave := context.WithCancel(t.Context())
	var pulls sync.WaitGroup
	pulls.Go(func() {
		if _, err := bed.Images.Pull(first, cfg); !errors.Is(err, context.Canceled) && err == nil {
			t.Errorf("a cancelled pull succeeded")
		}
	})
	for l.blobs.Load() == 0 {
		goruntime.Gosched()
	}
	for range 3 {
		pulls.Go(func() {
			if _, err := bed.Images.Pull(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	for runtime.Pulling(bed.Client) < 4 { // had the first left alone, its transfer would have ended
		goruntime.Gosched()
	}
	leave()
	close(l.hold)
	pulls.Wait()
	if n := l.blobs.Load(); n != 2 { // the configuration and a layer
		t.Errorf("%d blobs were asked for", n)
	}
}

// TestPullCancelled: nothing is left under way.
func TestPullCancelled(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, _ := l.push(t, "app:v1")
	l.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := bed.Images.Pull(ctx, pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}})
		ended <- err
	}()
	for l.blobs.Load() == 0 {
		goruntime.Gosched()
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a cancelled pull succeeded")
	}
	if all, err := bed.Images.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("images %v, %v", all, err)
	}
}

// TestPullProgress: how far a transfer is, is known while it is under way.
func TestPullProgress(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	ref, _ := l.push(t, "app:v1")
	l.hold = make(chan struct{})
	pulled := make(chan error, 1)
	go func() {
		_, err := bed.Images.Pull(t.Context(), pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}})
		pulled <- err
	}()
	for l.blobs.Load() == 0 {
		goruntime.Gosched()
	}
	done, total, err := bed.Images.Pulling(t.Context(), ref)
	if err != nil || done <= 0 || done >= total { // the manifest is there, a layer is not
		t.Errorf("%d of %d bytes, %v", done, total, err)
	}
	close(l.hold)
	if err := <-pulled; err != nil {
		t.Error(err)
	}
	if done, total, err := bed.Images.Pulling(t.Context(), ref); done != 0 || total != 0 || err != nil {
		t.Errorf("afterwards %d of %d bytes, %v", done, total, err)
	}
}
