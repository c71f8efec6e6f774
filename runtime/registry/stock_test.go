package registry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/registry"
	"github.com/podd-io/podd/runtime/testbed"
)

// node is a containerd with its own configuration of registries.
type node struct {
	*testbed.Bed
	t      *testing.T
	config registry.Config
	log    *zap.Logger
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{Bed: testbed.New(t), t: t, log: zap.NewNop()}
	n.config.HostsDir = n.Path("certs.d")
	return n
}

// pull pulls with the node's present configuration, and removes the image.
func (n *node) pull(ref string, secrets ...[]byte) error {
	n.t.Helper()
	cfg := n.Config
	cfg.Registries = registry.New(n.config, n.log)
	client, err := runtime.Connect(n.t.Context(), cfg, zap.NewNop())
	if err != nil {
		n.t.Fatal(err)
	}
	defer client.Close()
	images := runtime.Images{Client: client}
	if _, err := images.Pull(n.t.Context(), pod.PullConfig{Ref: ref, Secrets: secrets}); err != nil {
		return err
	}
	_, err = images.Remove(n.t.Context(), ref, nil)
	return err
}

func (n *node) pulls(what, ref string, secrets ...[]byte) {
	n.t.Helper()
	if err := n.pull(ref, secrets...); err != nil {
		n.t.Errorf("%s: %v", what, err)
	}
}

// fails wants an error with all of these words, in which no password is.
func (n *node) fails(what, ref string, words ...string) {
	n.t.Helper()
	n.failsWith(what, ref, nil, words...)
}

func (n *node) failsWith(what, ref string, secrets [][]byte, words ...string) {
	n.t.Helper()
	err := n.pull(ref, secrets...)
	if err == nil {
		n.t.Errorf("%s: it was pulled", what)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			n.t.Errorf("%s: %v\nwant %q", what, err, word)
		}
	}
	for _, word := range []string{"secret", "d3Jvbm", "unexpected status from"} {
		if strings.Contains(err.Error(), word) {
			n.t.Errorf("%s: the error has %q: %v", what, word, err)
		}
	}
}

// hosts writes the hosts.toml of a registry.
func (n *node) hosts(host, text string) {
	n.t.Helper()
	n.write(filepath.Join("certs.d", host, "hosts.toml"), text)
}

func (n *node) write(name, text string) string {
	n.t.Helper()
	path := n.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// serve runs Debian's docker-registry on a free port of the loopback interface,
// and gives its HOST:PORT. The images are in dir; more is what else its
// configuration has, below "http:" first.
func serve(t *testing.T, dir, more string) (host string, end func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp:\n  addr: 127.0.0.1:0\n%s", dir, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	lines := bufio.NewScanner(log)
	var said bytes.Buffer
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if _, at, ok := strings.Cut(lines.Text(), "listening on "); ok {
			host, _, _ = strings.Cut(strings.TrimSuffix(at, `"`), `"`)
			host, _, _ = strings.Cut(host, ", tls")
			break
		}
	}
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, log)
		close(drained)
	}()
	end = func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	if host == "" {
		t.Fatalf("docker-registry does not listen:\n%s", said.String())
	}
	return host, end
}

// stock fills a directory of a docker-registry with images of these names.
func stock(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	host, end := serve(t, dir, "")
	defer end()
	for _, name := range names {
		push(t, "http://"+host, name, newImage(t, 2))
	}
	return dir
}

func newImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	img, err := random.Image(100_000, layers)
	must(t, err)
	file, err := img.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", goruntime.GOARCH
	img, err = mutate.ConfigFile(img, file)
	must(t, err)
	return img
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// push uploads an image as name:v1.
func push(t *testing.T, registry, name string, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	must(t, err)
	for _, layer := range layers {
		digest, err := layer.Digest()
		must(t, err)
		content, err := layer.Compressed()
		must(t, err)
		upload(t, registry+"/v2/"+name+"/blobs/uploads/", digest.String(), content)
	}
	config, err := img.RawConfigFile()
	must(t, err)
	digest, err := img.ConfigName()
	must(t, err)
	upload(t, registry+"/v2/"+name+"/blobs/uploads/", digest.String(), bytes.NewReader(config))
	manifest, err := img.RawManifest()
	must(t, err)
	kind, err := img.MediaType()
	must(t, err)
	send(t, http.MethodPut, registry+"/v2/"+name+"/manifests/v1", string(kind), bytes.NewReader(manifest))
}

func upload(t *testing.T, url, digest string, content io.Reader) {
	t.Helper()
	location := send(t, http.MethodPost, url, "", nil).Get("Location")
	if !strings.Contains(location, "?") {
		location += "?"
	}
	send(t, http.MethodPut, location+"&digest="+digest, "application/octet-stream", content)
}

func send(t *testing.T, method, url, kind string, body io.Reader) http.Header {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s %s: %s %s", method, url, resp.Status, text)
	}
	return resp.Header
}
