package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unbundled reads a bundle: its files by name, without their directory.
func unbundled(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	all, archive := map[string]string{}, tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		all[name] = string(text)
	}
}

// planted are objects with secrets, each of which has "hush" in it.
func planted() string {
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	docker := `{"auths":{"registry.example":{"username":"robot","password":"hush-registry","auth":"` + b64("robot:hush-registry") + `"}}}`
	return fmt.Sprintf(`
kind: Secret
apiVersion: v1
metadata: {name: credentials, namespace: default}
data: {password: %s, key: %s}
stringData: {token: hush-string-data}
---
kind: Secret
apiVersion: v1
metadata: {name: registry, namespace: prod}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: %s}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: settings2, namespace: default}
data: {app.ini: "password = hush-config-map"}
---
kind: Pod
apiVersion: v1
metadata:
  name: planted
  namespace: default
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"value":"hush-last-applied"}'}
spec:
  imagePullSecrets: [{name: registry}]
  containers:
  - name: main
    args: ["--db=postgres://app:hush-url@db/x", "--password=hush-argument"]
    env: [{name: PLAIN, value: hush-env-value}]
    livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: Authorization, value: Basic hush-header}]}}
---
kind: Event
apiVersion: v1
metadata: {name: told, namespace: default}
message: "the container said hush-password and hush-registry"
`, b64("hush-password"), b64("hush\nhush-line-0123456789abcdef\n"), b64(docker))
}

// configured is a node whose configuration leads to files and pages with secrets.
type configured struct {
	fakeNode
	yaml string
}

func (c configured) Config(context.Context, *poddv1.ConfigRequest) (*poddv1.ConfigResponse, error) {
	return &poddv1.ConfigResponse{Yaml: []byte(c.yaml)}, nil
}

// plantedNode has a run directory with containerd's files, credentials and a page
// of metrics.
func plantedNode(t *testing.T, w *world) (node configured, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"run/containerd/config.toml":    "version = 3\n[header]\n  Authorization = \"Basic hush-toml\"\n",
		"run/containerd/containerd.log": strings.Repeat("x\n", containerdLogSize) + "pull with hush-file-password failed\n",
		"auth.json":                     `{"auths":{"a.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:hush-file-password")) + `"}}}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/metrics" {
			http.NotFound(out, req)
			return
		}
		fmt.Fprint(out, "podd_pods 1\n")
	}))
	t.Cleanup(srv.Close)
	text, err := yaml.Marshal(map[string]any{
		"root": dir + "/lib", "run-dir": dir + "/run", "registry-auth-file": dir + "/auth.json",
		"metrics-listen": strings.TrimPrefix(srv.URL, "http://"), "api-token": "hush-config-token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return configured{fakeNode{world: w}, string(text)}, dir
}

func plantedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	for _, text := range strings.Split(planted(), "---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		w.put(o)
	}
	return w
}

func TestADebugBundleHasNoSecrets(t *testing.T) {
	w := plantedWorld(t)
	node, dir := plantedNode(t, w)
	tm := &terminal{session: serveAll(t, w, node)}
	file := filepath.Join(dir, "bundle.tar.gz")
	if code := tm.command("podctl debug-bundle -o "+file, ""); code != 0 || !strings.HasPrefix(tm.out.String(), file+"\n") {
		t.Fatalf("%d %s", code, tm.out.String())
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", stat, err)
	}
	files := unbundled(t, readFile(t, file))
	for name, text := range files {
		if strings.Contains(text, "hush") || strings.Contains(text, "aHVzaC") { // base64 begins so
			t.Errorf("%s: %s", name, text[max(0, strings.Index(text, "hush")-80):])
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON any more: %s", name, text)
		}
	}
	for name, has := range map[string]string{
		"version.json": "v1.37.2", "config.yaml": "run-dir", "objects/pods.json": "--db=postgres://app:[redacted]@db/x",
		"objects/secrets.json": "[redacted: 20 bytes]", "objects/events.json": "the container said [redacted] and [redacted]",
		"timeline.json": "CreateSandbox", "boot-chart.svg": "<svg", "state.txt": "WHAT_STATE", "podd.log": "the env had [redacted]",
		"goroutines.pb.gz": "WHAT_GOROUTINES", "metrics.txt": "podd_pods 1", "containerd/config.toml": "version = 3",
		"containerd/containerd.log": "pull with [redacted] failed", "missing.txt": "only root may ask that",
	} {
		if !strings.Contains(files[name], has) {
			t.Errorf("%s: no %q in %.300q", name, has, files[name])
		}
	}
	if n := len(files["containerd/containerd.log"]); n > containerdLogSize {
		t.Errorf("%d bytes of containerd's log", n)
	}
	if !strings.Contains(tm.out.String(), "! Warning: not in the bundle: heap.pb.gz: ") {
		t.Errorf("it said %s", tm.out.String())
	}
}

// TestADebugBundleOfAPoddThatDoesNotAnswer has what can be had.
func TestADebugBundleOfAPoddThatDoesNotAnswer(t *testing.T) {
	w := newWorld()
	stories()["not-ready"](w)
	tm := &terminal{session: serve(t, w)}
	file := filepath.Join(t.TempDir(), "b")
	if code := tm.command("podctl debug-bundle -o "+file, ""); code != 0 {
		t.Fatalf("%d %s", code, tm.out.String())
	}
	if got := unbundled(t, readFile(t, file)); !strings.Contains(got["missing.txt"], "containerd does not answer") || got["version.json"] == "" {
		t.Errorf("%v", got)
	}
}
