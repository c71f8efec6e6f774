package integration_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// put writes a manifest as an editor does: aside, and then in its place.
func (n *node) put(name, text string) {
	n.t.Helper()
	path := n.path("manifests", name)
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(path), 0o755),
		os.WriteFile(path+".new", []byte(text), 0o600),
		os.Rename(path+".new", path),
	); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) drop(name string) {
	n.t.Helper()
	if err := os.Remove(n.path("manifests", name)); err != nil {
		n.t.Fatal(err)
	}
}

// pods are the names of all pods.
func (n *node) pods() string {
	out, err := n.try("get", "pods", "-o", "name")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(out), " ")
}

func (n *node) hasPods(want string) {
	n.t.Helper()
	n.eventually(20*time.Second, "the pods are "+want, func() error {
		if got := n.pods(); got != want {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
}

func config(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %s}\n", name, value)
}

// TestManifests follows the life of files.
func TestManifests(t *testing.T) {
	t.Parallel()
	n := newNode(t) // its directory does not exist yet
	sleeper := shell("web", "exec sleep 1000")
	n.put("web.yaml", sleeper+"---\n"+config("cfg", "one")+"---\n"+shell("other", "exec sleep 1000"))
	n.hasPods("pod/other pod/web")
	n.ready("web")
	n.ready("other")
	web, other := n.get("web", ".metadata.uid"), n.get("other", ".metadata.uid")

	// It is the file's: nobody else changes or removes it.
	for _, args := range [][]string{{"delete", "pod", "web"}, {"delete", "configmap", "cfg"}} {
		if out, err := n.try(args...); err == nil || !strings.Contains(out+err.Error(), n.path("manifests", "web.yaml")) {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}

	// An edit replaces what was edited, and a ConfigMap in its place.
	n.put("web.yaml", strings.Replace(sleeper, "1000", "2000", 1)+"---\n"+config("cfg", "two")+"---\n"+shell("other", "exec sleep 1000"))
	n.eventually(20*time.Second, "web is another one", func() error {
		if uid, err := n.try("get", "pod", "web", "-o", "jsonpath={.metadata.uid}"); err != nil || uid == web {
			return fmt.Errorf("uid %s, %w", uid, err)
		}
		return nil
	})
	n.ready("web")
	if uid := n.get("other", ".metadata.uid"); uid != other {
		t.Errorf("other is %s, was %s", uid, other)
	}
	if value := n.podctl("get", "configmap", "cfg", "-o", "jsonpath={.data.key}"); value != "two" {
		t.Errorf("the ConfigMap has %s", value)
	}
	web = n.get("web", ".metadata.uid")

	// A broken file changes nothing that runs, and is told of in every way.
	n.put("web.yaml", "kind: [")
	n.eventually(20*time.Second, "podd tells of the broken file", func() error {
		out, err := n.try("get", "events", "-A", "-o", "json")
		if err != nil || !strings.Contains(out, "InvalidManifest") || !strings.Contains(out, n.path("manifests", "web.yaml")) {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
	if body := n.scrape(t); !strings.Contains(body, `podd_manifests{state="broken"} 1`) {
		t.Error("no metric tells of it")
	}
	n.ready("web")
	if uid := n.get("web", ".metadata.uid"); uid != web {
		t.Errorf("web is %s, was %s", uid, web)
	}

	// Repaired, without one of the pods.
	n.put("web.yaml", strings.Replace(sleeper, "1000", "2000", 1))
	n.hasPods("pod/web")
	if uid := n.get("web", ".metadata.uid"); uid != web {
		t.Errorf("web is %s, was %s", uid, web)
	}
	if out, err := n.try("get", "configmap", "cfg"); err == nil {
		t.Errorf("the ConfigMap is still there: %s", out)
	}

	// Moved to another file it is another pod; the old one ends first.
	if err := os.Rename(n.path("manifests", "web.yaml"), n.path("manifests", "moved.yml")); err != nil {
		t.Fatal(err)
	}
	n.eventually(20*time.Second, "web is another one", func() error {
		if uid, err := n.try("get", "pod", "web", "-o", "jsonpath={.metadata.uid}"); err != nil || uid == web {
			return fmt.Errorf("uid %s, %w", uid, err)
		}
		return nil
	})
	n.ready("web")
	n.drop("moved.yml")
	n.hasPods("")
}

func (n *node) scrape(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + n.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestManifestsAreReadInPeace: a file that is being written is not run by
// halves.
func TestAManifestIsWrittenSlowly(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.put("other.yaml", shell("other", "exec sleep 1000"))
	n.hasPods("pod/other")
	f, err := os.Create(n.path("manifests", "slow.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, part := range []string{shell("one", "exec sleep 1000"), "---\n", shell("two", "exec sleep 1000")} {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(700 * time.Millisecond) // longer than it has to be quiet
		if got := n.pods(); got != "pod/other" {
			t.Errorf("half a file is run: %s", got)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	n.hasPods("pod/one pod/other pod/two")
}

// TestManifestsWhilePoddIsAway: what vanished is stopped at the start, what
// stayed runs on, and what has finished is not run again.
func TestManifestsWhilePoddIsAway(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.put("stays.yaml", shell("stays", "exec sleep 1000"))
	n.put("goes.yaml", shell("goes", "exec sleep 1000"))
	n.put("done.yaml", shell("done", "echo once", "restartPolicy: Never"))
	n.hasPods("pod/done pod/goes pod/stays")
	n.ready("stays")
	n.ready("goes")
	n.phase("done", "Succeeded")
	id := n.get("stays", ".status.containerStatuses[0].containerID")
	n.kill()
	n.drop("goes.yaml")
	n.start()
	n.hasPods("pod/done pod/stays")
	if now := n.get("stays", ".status.containerStatuses[0].containerID"); now != id {
		t.Errorf("stays was restarted: %s, was %s", now, id)
	}
	n.phase("done", "Succeeded")
	if out := n.podctl("logs", "done"); out != "once\n" {
		t.Errorf("done ran again: %q", out)
	}
}

// TestManifestsThatClaimTheSame: who has an object keeps it, and the other is
// told of; when it goes, the other comes.
func TestManifestsThatClaimTheSame(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("mine", "exec sleep 1000"))
	n.ready("mine")
	n.put("a.yaml", shell("web", "exec sleep 1000"))
	n.hasPods("pod/mine pod/web")
	n.ready("web")
	n.put("b.yaml", shell("web", "exec sleep 2000"))
	n.put("c.yaml", shell("mine", "exec sleep 2000"))
	n.eventually(20*time.Second, "both are told of", func() error {
		out, err := n.try("get", "events", "-A", "-o", "json")
		if err != nil || !strings.Contains(out, "b.yaml: ") || !strings.Contains(out, "c.yaml: ") {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
	n.drop("a.yaml")
	n.eventually(40*time.Second, "b.yaml has its turn", func() error {
		if out, err := n.try("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].command[2]}"); err != nil || out != "exec sleep 2000" {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
	n.podctl("delete", "pod", "mine")
	n.eventually(40*time.Second, "c.yaml has its turn", func() error {
		if out, err := n.try("get", "pod", "mine", "-o", "jsonpath={.spec.containers[0].command[2]}"); err != nil || out != "exec sleep 2000" {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
}
