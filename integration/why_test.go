package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWhyAcrossKills: what was decided before podd was killed is told after it.
func TestWhyAcrossKills(t *testing.T) {
	t.Parallel()
	n := newNode(t, "--max-container-restart-period=2s")
	n.apply(shell("crash", "exit 3"))
	n.restartCount("crash", "main", "2")
	before := n.podctl("why", "crash")
	for _, line := range []string{
		"is new", "SetupNetwork: the pod has no network", "CreateContainer: attempt 0: what it needs is there",
		"attempt 0 ended with exit code 3 (Error)", "CreateContainer: attempt 1: its restart policy is Always",
		"Wait: CrashLoopBackOff: back-off 2s restarting failed container=main",
	} {
		if !strings.Contains(before, line) {
			t.Errorf("no %q in:\n%s", line, before)
		}
	}
	n.blink()
	n.restartCount("crash", "main", "4")
	after := n.podctl("why", "crash")
	// What podd acted on is there; a wait that it only noted may be lost.
	for _, line := range []string{
		"attempt 0 ended with exit code 3 (Error)", "CreateContainer: attempt 1: its restart policy is Always",
		"is taken up by a podd that has started", "CreateContainer: attempt 4: its restart policy is Always",
	} {
		if !strings.Contains(after, line) {
			t.Errorf("after podd was killed no %q in:\n%s", line, after)
		}
	}
	var told struct {
		UID       string
		Decisions []struct{ Time time.Time }
	}
	if err := json.Unmarshal([]byte(n.podctl("why", "crash", "-o", "json")), &told); err != nil {
		t.Fatal(err)
	}
	if told.UID != n.get("crash", ".metadata.uid") || len(told.Decisions) < 10 {
		t.Errorf("%+v", told)
	}
	for i := range told.Decisions[1:] {
		if told.Decisions[i+1].Time.Before(told.Decisions[i].Time) {
			t.Errorf("decision %d is older than the one before", i+1)
		}
	}
	n.podctl("delete", "pod", "crash", "--grace-period=0", "--force")
	n.apply(shell("crash", "sleep 1000"))
	n.ready("crash")
	if out := n.podctl("why", "crash"); strings.Contains(out, "exit code 3") {
		t.Errorf("a pod of the same name inherits:\n%s", out)
	}
	if out, err := n.try("why", "nobody"); err == nil || !strings.Contains(out, fmt.Sprintf("pods %q not found", "nobody")) {
		t.Errorf("%v: %s", err, out)
	}
}
