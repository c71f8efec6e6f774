package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// localImages stand in for what the manifests would pull.
var localImages = map[string]string{
	"nginx": "nginx:1.14.2", "debian": "busybox:1.28", "alpine": "busybox:1.28",
}

var imageLine = regexp.MustCompile(`(?m)(image: )(\S+)$`)

// TestKubernetesManifests runs pods of the kinds that the Kubernetes
// documentation shows: written for a cluster, not for podd, and changed in
// nothing but the names of images.
func TestKubernetesManifests(t *testing.T) {
	n := newNode(t)
	inside := func(pod string, command ...string) string {
		return n.podctl(append([]string{"exec", pod, "--"}, command...)...)
	}
	checks := map[string]func(t *testing.T){
		"two-containers": func(t *testing.T) {
			n.eventually(20*time.Second, "the second container has ended", func() error {
				if s := n.get("two-containers", `.status.containerStatuses[?(@.name=="debian-container")].state.terminated.reason`); s != "Completed" {
					return fmt.Errorf("%q", s)
				}
				return nil
			})
			has(t, fetch(t, "http://"+n.get("two-containers", ".status.podIP")+"/"), "Hello from the debian container")
		},
		"init-demo": func(t *testing.T) {
			n.ready("init-demo")
			has(t, inside("init-demo", "wget", "-qO-", "http://localhost/"), "prepared by install")
		},
		"command-demo": func(t *testing.T) {
			n.phase("command-demo", "Succeeded")
			has(t, n.podctl("logs", "command-demo"), "hello from $(AUTHOR) $(AUTHOR) $(NOBODY_SET_THIS)\n")
		},
		"dapi-envars-fieldref": func(t *testing.T) {
			n.phase("dapi-envars-fieldref", "Succeeded")
			has(t, n.podctl("logs", "dapi-envars-fieldref"), "node=test-node pod=dapi-envars-fieldref ns=default ip="+
				n.get("dapi-envars-fieldref", ".status.podIP"), "limit=67108864")
		},
		"configmap-pod": func(t *testing.T) {
			n.ready("configmap-demo-pod")
			has(t, n.logs("lives", "configmap-demo-pod"), "game.properties\nnested\n", "enemy.types=aliens,monsters", "lives=3")
		},
		"secret-pod": func(t *testing.T) {
			n.ready("secret-test-pod")
			has(t, inside("secret-test-pod", "sh", "-c", "cat /etc/secret-volume/username; ls -lL /etc/secret-volume/; mount"), "my-app", "-r--------", "/etc/secret-volume type tmpfs")
		},
		"secret-envfrom-pod": func(t *testing.T) {
			n.ready("envfrom-secret")
			has(t, inside("envfrom-secret", "env"), "BACKEND_USERNAME=backend-admin")
		},
		"security-context-demo": func(t *testing.T) {
			n.ready("security-context-demo")
			has(t, inside("security-context-demo", "sh", "-c", "id; echo hello > /data/demo/testfile; ls -l /data/demo"),
				"uid=1000(app) gid=3000 groups=50(staff),2000,3000,4000", "app      2000")
		},
		"liveness-exec": func(t *testing.T) {
			n.eventually(90*time.Second, "it is restarted", func() error {
				if count := n.get("liveness-exec", ".status.containerStatuses[0].restartCount"); count != "1" {
					return fmt.Errorf("restart count %s", count)
				}
				return nil
			})
		},
		"tcp-liveness-readiness": func(t *testing.T) { n.ready("goproxy") },
		"memory-limits": func(t *testing.T) {
			n.phase("memory-demo-2", "Failed")
			has(t, n.get("memory-demo-2", ".status.containerStatuses[0].state.terminated"), "OOMKilled", "137")
		},
		"share-process-namespace": func(t *testing.T) {
			n.ready("share-processes")
			has(t, n.podctl("exec", "share-processes", "-c", "shell", "--", "ps"), "/pause", "httpd")
		},
		"hostaliases-pod": func(t *testing.T) {
			n.phase("hostaliases-pod", "Succeeded")
			has(t, n.podctl("logs", "hostaliases-pod"), "127.0.0.1\tfoo.local\tbar.local", "10.1.2.3\tfoo.remote", n.get("hostaliases-pod", ".status.podIP")+"\thostaliases-pod")
		},
		"custom-dns": func(t *testing.T) {
			n.ready("dns-example")
			has(t, n.logs("ndots", "dns-example"), "nameserver 192.0.2.1", "search ns1.svc.cluster-domain.example", "options ndots:2 edns0")
		},
		"subpath-expr": func(t *testing.T) {
			n.phase("subpaths", "Succeeded")
			has(t, n.podctl("logs", "subpaths"), "/all/subpaths/hello.txt")
		},
	}
	paths, err := filepath.Glob("testdata/kubernetes/*.yaml")
	if err != nil || len(paths) != len(checks) {
		t.Fatalf("%d manifests and %d checks (%v)", len(paths), len(checks), err)
	}
	for _, path := range paths {
		n.apply(mapped(t, path)) // all at once: they are checked while others start
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			outer := n.t
			n.t = t
			defer func() { n.t = outer }()
			checks[name](t)
		})
	}
}

func mapped(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return imageLine.ReplaceAllStringFunc(string(text), func(line string) string {
		parts := imageLine.FindStringSubmatch(line)
		if local, ok := localImages[parts[2]]; ok {
			return parts[1] + local
		}
		return line
	})
}

func has(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
