package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// podd runs one of podd's own commands.
func (n *node) podd(args ...string) (string, error) {
	out, err := exec.Command(bin(n.t, "podd"), args...).CombinedOutput()
	return string(out), err
}

// TestBackupAndRestore: what runs is backed up, the store is lost, and what was
// restored takes the pods up as they run on; those that came later go.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: swordfish}\n")
	n.ready("counts")
	pid, file := n.pid("counts", "main"), n.path("podd.backup")
	if out, err := n.podd("backup", file, "--address", n.address()); err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode() != 0o600 {
		t.Errorf("the backup, which has Secrets in it: %v, %v", stat, err)
	}
	n.apply(shell("later", "sleep 1000"))
	n.ready("later")
	remains := n.path("lib", "pods", n.get("later", ".metadata.uid"))
	if out, err := n.podd("restore", file, "--root", n.path("lib"), "--force"); err == nil || !strings.Contains(out, "podd has to be stopped") {
		t.Errorf("restore while podd runs: %v\n%s", err, out)
	}
	n.stop()
	if out, err := n.podd("restore", file, "--root", n.path("lib")); err == nil || !strings.Contains(out, "--force replaces it") {
		t.Errorf("restore over a store: %v\n%s", err, out)
	}
	if err := os.Remove(n.path("lib", "podd.db")); err != nil {
		t.Fatal(err)
	}
	if out, err := n.podd("restore", file, "--root", n.path("lib")); err != nil || !strings.Contains(out, "1 pods among them") {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	n.start()
	n.unharmed(pid)
	if got := n.podctl("get", "secret", "s", "-o", "jsonpath={.data.password}"); got != "c3dvcmRmaXNo" {
		t.Errorf("the Secret's value is %q", got)
	}
	if out, err := n.try("get", "pod", "later"); err == nil {
		t.Errorf("a pod of after the backup is there:\n%s", out)
	}
	// What is left of it is ended in good order, and the leak check looks for it.
	n.eventually(time.Minute, "the pod of after the backup is removed", func() error {
		if _, err := os.Stat(remains); err == nil {
			return fmt.Errorf("there is %s", remains)
		}
		return nil
	})
}

// TestARestoreOnAnotherHost: nothing of the pods is there, and they start afresh.
func TestARestoreOnAnotherHost(t *testing.T) {
	t.Parallel()
	first, second := newNode(t), newNode(t)
	first.apply(counting)
	first.ready("counts")
	file := second.path("podd.backup")
	if out, err := first.podd("backup", file, "--address", first.address()); err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	second.stop()
	if out, err := second.podd("restore", file, "--root", second.path("lib"), "--force"); err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	second.start()
	second.ready("counts")
	second.logs("line 5\n", "counts", "-c", "main")
	first.unharmed(first.pid("counts", "main"))
}
