package integration_test

import (
	"strings"
	"testing"
)

// TestCreateAndRun plays a first session as Kubernetes' documentation has it,
// without a manifest.
func TestCreateAndRun(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.podctl("create", "configmap", "settings", "--from-literal=color=blue")
	if out := n.podctl("get", "configmap", "settings", "-o", "jsonpath={.data.color}"); out != "blue" {
		t.Errorf("the value is %q", out)
	}
	out, err := n.try("create", "configmap", "settings", "--from-literal=color=red")
	if err == nil || !strings.Contains(out, `Error from server (AlreadyExists): configmaps "settings" already exists`) {
		t.Errorf("created twice: %v\n%s", err, out)
	}
	n.podctl("create", "secret", "generic", "token", "--from-literal=token=s3cret")
	if out := n.podctl("get", "secret", "token", "-o", "jsonpath={.type} {.data.token}"); out != "Opaque czNjcmV0" {
		t.Errorf("the Secret is %q", out)
	}
	run := []string{"run", "web", "--image=busybox:1.36", "--env=WORD=hello", "--command"}
	script := []string{"--", "sh", "-c", "echo $WORD; exec sleep 1000"}
	dry := append(append([]string{}, run...), "--dry-run=client", "-o", "yaml")
	manifest := n.podctl(append(dry, script...)...)
	if out := n.podctl("get", "pods", "-o", "name"); out != "" && !strings.Contains(out, "No resources") {
		t.Errorf("a dry run made %q", out)
	}
	if out, err := n.tryInput(manifest, "create", "-f", "-"); err != nil || out != "pod/web created\n" {
		t.Fatalf("create what run printed: %v\n%s", err, out)
	}
	n.ready("web")
	if out := n.podctl("logs", "web"); out != "hello\n" {
		t.Errorf("the log is %q", out)
	}
	if out := n.podctl("exec", "web", "--", "sh", "-c", "echo $WORD"); out != "hello\n" {
		t.Errorf("exec says %q", out)
	}
	if out := n.podctl("describe", "pod", "web"); !strings.Contains(out, "run=web") {
		t.Errorf("describe does not say the label:\n%s", out)
	}
	n.podctl("delete", "pod", "web")
}
