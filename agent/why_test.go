package agent_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// why is what is recorded of a pod, a line for each thing.
func (r *rig) why(name string) string {
	r.t.Helper()
	resp, err := poddv1.NewInsightClient(r.life.conn).Why(r.t.Context(), &poddv1.WhyRequest{Pod: &poddv1.PodRef{Name: name}})
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range resp.Decisions {
		for _, f := range d.Seen {
			b.WriteString("seen " + f.About + " " + f.Text + "\n")
		}
		for _, s := range d.Decided {
			b.WriteString(s.Action + " " + s.About + ": " + s.Reason + "\n")
		}
	}
	return b.String()
}

// TestWhyTellsAcrossACrash: on the real store, what was decided before podd was
// killed is told after it, in order, and goes with the pod.
func TestWhyTellsAcrossACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real, err := store.Open(filepath.Join(t.TempDir(), "podd.db"), "test")
		if err != nil {
			t.Fatal(err)
		}
		defer real.Close()
		r := newRig(t)
		defer r.abandon()
		r.backing = real
		r.start()
		broken := true
		r.world.Break(func(op fake.Op) fake.Fault {
			if op.Kind == pod.SetupNetwork && broken {
				broken = false
				return fake.Fault{Err: errors.New("no bridge")}
			}
			return fake.Fault{}
		})
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.pass(time.Minute)
		before := r.why("web")
		inOrder(t, before,
			"seen pod is new",
			"CreateCgroup cgroup: the pod has no cgroup",
			"seen network SetupNetwork failed after 0s: no bridge",
			"Retry network: SetupNetwork failed, 1 in a row",
			"seen network is ready 10.88.0.3",
			"CreateContainer container/main: attempt 0: what it needs is there",
			"StartContainer container/main: it is created",
			"seen container/main attempt 0 runs",
			"Report pod: ready")
		r.pass(10 * time.Minute)
		if now := r.why("web"); now != before {
			t.Errorf("more is recorded although nothing happened:\n%s", strings.TrimPrefix(now, before))
		}
		r.restart()
		after := r.why("web")
		if !strings.HasPrefix(after, before) {
			t.Errorf("after a crash:\n%s", after)
		}
		inOrder(t, strings.TrimPrefix(after, before), "seen pod is taken up by a podd that has started", "seen container/main attempt 0 runs")
		r.delete("web", nil)
		r.untilGone("web")
		if _, err := poddv1.NewInsightClient(r.life.conn).Why(t.Context(), &poddv1.WhyRequest{Pod: &poddv1.PodRef{Name: "web"}}); err == nil {
			t.Error("it is told of a pod that is gone")
		}
		r.stop()
	})
}

// inOrder looks for lines one after the other.
func inOrder(t *testing.T, text string, lines ...string) {
	t.Helper()
	rest := text
	for _, line := range lines {
		_, after, found := strings.Cut(rest, line+"\n")
		if !found {
			t.Errorf("no %q where it belongs in:\n%s", line, text)
			return
		}
		rest = after
	}
}
