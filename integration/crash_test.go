package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spent is how long all actions of some kinds took so far.
func (n *node) spent(kinds ...string) time.Duration {
	n.t.Helper()
	resp, err := http.Get("http://" + n.metrics + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	sum := time.Duration(0)
	for line := range strings.Lines(string(text)) {
		for _, kind := range kinds {
			if value, found := strings.CutPrefix(line, fmt.Sprintf("podd_action_duration_seconds_sum{kind=%q} ", kind)); found {
				seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil {
					n.t.Fatal(err)
				}
				sum += time.Duration(seconds * float64(time.Second))
			}
		}
	}
	return sum
}

// build builds a program of testdata into a directory that pods share.
func build(t *testing.T, name, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/"+name, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// stamps are the times that a program has left in a file.
func stamps(path string) ([]time.Time, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []time.Time
	for _, line := range strings.Fields(string(text)) {
		ns, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, time.Unix(0, ns))
	}
	return all, nil
}

// ownShare is what podd may add to the time that the runtime needs for a
// restart, which is at most idleRestart on a host that does nothing else.
const (
	ownShare    = 20 * time.Millisecond
	idleRestart = 65 * time.Millisecond
)

// TestAFirstCrashIsAnsweredAtOnce: from the end of a process to the beginning of
// the next one it takes what the runtime needs to make and start a container,
// and a little of podd's own. It runs alone; on a host that is busy with
// something else all of it takes longer, so that podd's share is held against
// the runtime's of the same try.
func TestAFirstCrashIsAnsweredAtOnce(t *testing.T) {
	n := newNode(t)
	shared := n.shared()
	build(t, "stamp", shared)
	const tries = 9
	for i := range tries {
		n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: crash-%[1]d}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: shared, hostPath: {path: %[2]q}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [/shared/stamp, /shared/stamps-%[1]d]
    volumeMounts: [{name: shared, mountPath: /shared}]
`, i, shared))
	}
	for i := range tries {
		n.ready(fmt.Sprintf("crash-%d", i))
	}
	var whole, own, idle []time.Duration
	for i := range tries {
		pod, file := fmt.Sprintf("crash-%d", i), fmt.Sprintf("%s/stamps-%d", shared, i)
		pid, before := n.pid(pod, "main"), n.spent("CreateContainer", "StartContainer")
		ended := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var all []time.Time
		n.eventually(20*time.Second, "the next process begins", func() (err error) {
			if all, err = stamps(file); err == nil && len(all) != 2 {
				err = fmt.Errorf("%d have begun", len(all))
			}
			return err
		})
		n.ready(pod) // the start has been counted
		took, runtime := all[1].Sub(ended), n.spent("CreateContainer", "StartContainer")-before
		t.Logf("from the end to the next process %v, of which the runtime %v and podd %v", took, runtime, took-runtime)
		whole, own = append(whole, took), append(own, took-runtime)
		idle = append(idle, time.Duration(float64(took-runtime)*min(1, float64(idleRestart)/float64(runtime))))
	}
	slices.Sort(whole)
	slices.Sort(own)
	slices.Sort(idle)
	t.Logf("medians of %d: %v in all, %v of podd's own, which is %v on an idle host", tries, whole[tries/2], own[tries/2], idle[tries/2])
	if idle[tries/2] > ownShare {
		t.Errorf("podd's own share is %v, more than %v", idle[tries/2], ownShare)
	}
}
