package integration_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestContextsCompletionAndImages: the verbs that need no pod's help.
func TestContextsCompletionAndImages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(bin(t, "podctl"), args...)
		cmd.Env = append(os.Environ(), "PODD_CONFIG="+n.path("contexts.yaml"), "PODD_ADDRESS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("podctl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("config", "set-context", "edge", "--address="+n.address())
	run("config", "use-context", "edge")
	for _, c := range []struct {
		args []string
		has  string
	}{
		{[]string{"config", "current-context"}, "edge"},
		{[]string{"get", "pods"}, "web"},
		{[]string{"--context=edge", "get", "pods", "-o", "name"}, "pod/web"},
		{[]string{"version"}, "containerd"},
		{[]string{"describe", "pod", "web"}, "busybox:1.36"},
		{[]string{"__complete", "logs", ""}, "web\n"},
		{[]string{"__complete", "exec", "web", "-c", ""}, "main\n"},
		{[]string{"__complete", "get", "pods", "w"}, "web\n"},
		{[]string{"completion", "bash"}, "__start_podctl"},
		{[]string{"images", "ls"}, "nginx:1.14.2"},
		{[]string{"images", "rm", "nginx:1.14.2"}, "deleted"},
	} {
		if out := run(c.args...); !strings.Contains(out, c.has) {
			t.Errorf("podctl %s: %s", strings.Join(c.args, " "), out)
		}
	}
	if out := run("images", "ls"); strings.Contains(out, "nginx:1.14.2") {
		t.Errorf("the image is still there: %s", out)
	}
	run("config", "delete-context", "edge")
}
