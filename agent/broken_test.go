package agent_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// wholeLife takes a pod that uses most of what there is from its application to
// its end, whatever goes wrong on the way.
func (r *rig) wholeLife() {
	r.t.Helper()
	r.world.Publish("init", fake.Program{Runs: time.Second})
	r.world.Publish("shaky", fake.Program{Runs: 3 * time.Second, Code: 1}, fake.Program{Lingers: time.Second})
	r.insistOnApply(configMap("cfg", map[string]string{"a": "1"}), r.demanding())
	r.until("the pod is ready, with one restart", 3*time.Hour, func() bool {
		return r.isReady("web") && r.pod("web").Status.ContainerStatuses[1].RestartCount > 0
	})
	r.insistOnApply(configMap("cfg", map[string]string{"a": "2"}))
	r.until("the volume has the new content", 3*time.Hour, func() bool {
		return len(r.contents) == 2
	})
	r.insistOnDebug("web", debugger("look", "app"))
	r.until("the debugger runs, or could not be started", 3*time.Hour, func() bool {
		st := r.state("web", "look")
		return st.Running != nil || st.Terminated != nil
	})
	r.insist("delete", func() error {
		_, err := r.life.objects.Delete(r.t.Context(), &poddv1.DeleteRequest{Ref: ref("Pod", "web")})
		if status.Code(err) == codes.NotFound {
			return nil
		}
		return err
	})
	r.until("everything of the pod is gone", 3*time.Hour, func() bool {
		return r.pod("web") == nil && len(r.world.Leftovers()) == 0
	})
	r.pass(10 * time.Second)
	st, err := r.disk.Load()
	if err != nil || len(st.Records) != 1 || len(st.Memos) != 0 {
		r.t.Errorf("on disk: %v %v %v", st.Records, st.Memos, err)
	}
}

// demanding uses most of what there is.
func (r *rig) demanding() *corev1.Pod {
	return podNamed("web", func(p *corev1.Pod) {
		p.UID = "web-1"
		p.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "init"}}
		p.Spec.Volumes = []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "cfg"},
		}}}}
		probe := &corev1.Probe{PeriodSeconds: 5, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", Image: "shaky", ReadinessProbe: probe})
	})
}

func (r *rig) insistOnApply(objs ...agent.Object) {
	r.t.Helper()
	r.insist("apply", func() error {
		_, err := r.try(&poddv1.ApplyRequest{}, objs...)
		return err
	})
}

func (r *rig) insistOnDebug(name string, c corev1.EphemeralContainer) {
	r.t.Helper()
	r.insist("debug", func() error {
		p := r.pod(name)
		if p != nil && len(p.Spec.EphemeralContainers) > 0 {
			return nil // the last try came through, and only its answer did not
		}
		_, err := r.debug(name, c, nil)
		return err
	})
}

// faultAt breaks the n-th effect once.
func faultAt(n int, f fake.Fault) func(fake.Op) fake.Fault {
	return func(op fake.Op) fake.Fault {
		if op.N == n && (!f.Hang || !onDisk(op.Kind)) { // a disk that hangs, hangs podd
			return f
		}
		return fake.Fault{}
	}
}

func onDisk(k pod.Kind) bool {
	return slices.Contains([]pod.Kind{fake.Load, fake.Commit, fake.PutMemo, fake.PutEvents}, k)
}

func TestEveryEffectBreaksBeforeAndAfter(t *testing.T) {
	length := cleanLength(t)
	broken := &pod.Failure{Kind: pod.Transient, Message: "broken"}
	for name, f := range map[string]fake.Fault{
		"fails before":        {Err: broken},
		"fails after":         {Err: broken, After: true},
		"hangs before":        {Hang: true},
		"hangs after":         {Hang: true, After: true},
		"podd is dead before": {Kill: true},
		"podd is dead after":  {Kill: true, After: true},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= length; n++ {
				runBroken(t, fmt.Sprintf("at effect %d", n), faultAt(n, f))
			}
		})
	}
}

// cleanLength is how many effects a life has when nothing breaks.
func cleanLength(t *testing.T) int {
	t.Helper()
	n := 0
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.abandon()
		r.start()
		r.wholeLife()
		n = r.world.Ops()
		r.stop()
	})
	return n
}

func runBroken(t *testing.T, name string, faults func(fake.Op) fake.Fault) {
	t.Helper()
	var seen sync.Map
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.abandon()
		defer func() {
			if t.Failed() {
				seen.Range(func(op, fault any) bool { t.Logf("%s: broken was %v: %+v", name, op, fault); return true })
			}
		}()
		r.world.Break(func(op fake.Op) fake.Fault {
			f := faults(op)
			if f != (fake.Fault{}) {
				seen.Store(op, f)
			}
			return f
		})
		r.startWhateverBreaks()
		r.wholeLife()
		r.stopWhateverBreaks()
	})
}

// startWhateverBreaks: podd may refuse to start on a broken disk; systemd would
// start it again.
func (r *rig) startWhateverBreaks() {
	r.t.Helper()
	r.tolerant = true
	r.start()
}

// stopWhateverBreaks: the fault may come as late as now.
func (r *rig) stopWhateverBreaks() {
	r.reviveIfKilled()
	_ = r.finish()
	r.checkNow()
}

func TestManyThingsBreak(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var lock sync.Mutex
		runBroken(t, fmt.Sprintf("seed %d", seed), func(op fake.Op) fake.Fault {
			lock.Lock()
			defer lock.Unlock()
			if op.N > 400 || rnd.IntN(8) > 0 {
				return fake.Fault{}
			}
			f := fake.Fault{After: rnd.IntN(2) == 0}
			switch k := rnd.IntN(10); {
			case k == 0:
				f.Kill = true
			case k == 1 && !onDisk(op.Kind):
				f.Hang = true
			default:
				f.Err = &pod.Failure{Kind: pod.Transient, Message: fmt.Sprintf("broken by seed %d", seed)}
			}
			return f
		})
	}
}

func TestPoddIsKilledAtAnyTimeAndRestartsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		for i := range 20 {
			r.pass(time.Duration(i) * 700 * time.Millisecond)
			r.restart()
			if !r.isReady("web") || r.pod("web").Status.ContainerStatuses[0].RestartCount > 0 {
				t.Fatalf("after restart %d: %+v", i, r.pod("web").Status)
			}
		}
	})
}

func TestAStoppedPoddKeepsWhatItsLastActionsDid(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Slow(func(k pod.Kind) time.Duration {
			if k == pod.StartContainer {
				return 10 * time.Second
			}
			return 0
		})
		r.apply(podNamed("web", nil))
		r.pass(5 * time.Second)
		uid := r.pod("web").UID
		r.stop()
		if m := r.remembered(uid); m.Containers["main"].Stage != pod.StageRunning {
			t.Errorf("on disk: %+v", m.Containers["main"])
		}
		r.start()
		if got := r.events("web")["Started"]; got != 1 {
			t.Errorf("%d Started events", got)
		}
		if !r.isReady("web") {
			t.Error("it is not ready")
		}
	})
}

func TestWhatWasNotDoneWhenPoddStoppedIsDoneLater(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		slow := func(kind pod.Kind) func(pod.Kind) time.Duration {
			return func(k pod.Kind) time.Duration {
				if k == kind {
					return 10 * time.Second
				}
				return 0
			}
		}
		r.world.Slow(slow(pod.StartContainer)) // more of them than may go on at once
		for i := range 10 {
			r.apply(podNamed(nameOf(i), nil))
		}
		r.pass(5 * time.Second)
		r.stop()
		r.world.Slow(slow(pod.PullImage)) // which a stop cancels
		r.world.Publish("remote")
		r.start()
		r.apply(podNamed("pulls", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "remote" }))
		r.pass(5 * time.Second)
		r.stop()
		r.start()
		r.untilReady("pulls")
		for i := range 10 {
			r.untilReady(nameOf(i))
			if n := r.pod(nameOf(i)).Status.ContainerStatuses[0].RestartCount; n > 0 {
				t.Errorf("%s: %d restarts", nameOf(i), n)
			}
		}
		if n := r.events("pulls")["Failed"]; n > 0 {
			t.Errorf("%d failures", n)
		}
	})
}

func TestContainerdIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		before := r.pod("web").Status
		r.world.Containerd(false)
		ops := r.world.Ops()
		r.pass(10 * time.Minute)
		if got := r.world.Ops() - ops; got > 60 {
			t.Errorf("%d effects in 10 minutes without containerd", got)
		}
		if now := r.pod("web").Status; now.Phase != before.Phase || !r.isReady("web") {
			t.Errorf("status = %+v", now)
		}
		// podd starts without it, and shows what was.
		r.restart()
		if !r.isReady("web") {
			t.Errorf("after the restart: %+v", r.pod("web").Status)
		}
		if err := r.world.Exit(r.pod("web").UID, "main", 3); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
		r.world.Containerd(true)
		r.until("the exit is seen", 2*time.Second, func() bool {
			st := r.pod("web").Status.ContainerStatuses[0]
			return st.LastTerminationState.Terminated != nil && st.LastTerminationState.Terminated.ExitCode == 3
		})
		r.untilReady("web")
	})
}

func TestNewsDoNotHurryAWorkerInTrouble(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.world.Break(func(op fake.Op) fake.Fault {
			if op.Kind == fake.Observe {
				return fake.Fault{Err: &pod.Failure{Kind: pod.Transient, Message: "broken"}}
			}
			return fake.Fault{}
		})
		ops := r.world.Ops()
		for range 10_000 {
			r.world.Hint("")
			time.Sleep(time.Millisecond)
		}
		if n := r.world.Ops() - ops; n > 60 {
			t.Errorf("%d effects in 10 s", n)
		}
		// What comes meanwhile is not lost.
		const gate = corev1.PodConditionType("example.com/gate")
		p := podNamed("web", nil)
		p.Status.Conditions = []corev1.PodCondition{{Type: gate, Status: corev1.ConditionTrue}}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.life.objects.UpdateStatus(t.Context(), &poddv1.UpdateStatusRequest{Object: &poddv1.Object{Kind: "Pod", Json: raw}}); err != nil {
			t.Error(err)
		}
		r.restart()
		r.world.Break(func(fake.Op) fake.Fault { return fake.Fault{} })
		r.until("the condition is there", time.Minute, func() bool {
			return slices.ContainsFunc(r.pod("web").Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == gate })
		})
	})
}

func TestTheHostIsRebooted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.kill()
		r.world.Reboot()
		r.start()
		r.untilReady("web")
		if got := r.pod("web").Status.ContainerStatuses[0].RestartCount; got != 1 {
			t.Errorf("%d restarts", got)
		}
	})
}

func TestTheSandboxIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.world.KillSandbox(r.pod("web").UID)
		r.until("it runs in another one", time.Minute, func() bool {
			return r.isReady("web") && r.pod("web").Status.ContainerStatuses[0].RestartCount == 1
		})
	})
}

func TestAFullDiskTouchesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		var full atomic.Bool
		full.Store(true)
		r.world.Break(func(op fake.Op) fake.Fault {
			if full.Load() && onDisk(op.Kind) {
				return fake.Fault{Err: fmt.Errorf("write store: %w", syscall.ENOSPC)}
			}
			return fake.Fault{}
		})
		_, err := r.try(&poddv1.ApplyRequest{}, podNamed("other", nil), configMap("cfg", nil))
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("apply on a full disk: %v", err)
		}
		if r.pod("other") != nil {
			t.Error("it was applied all the same")
		}
		if err := r.world.Exit(r.pod("web").UID, "main", 1); err != nil {
			t.Fatal(err)
		}
		ops := r.world.Ops()
		r.pass(10 * time.Minute)
		if got := r.world.Ops() - ops; got > 400 { // events try every 5 s
			t.Errorf("%d effects in 10 minutes", got)
		}
		full.Store(false)
		r.until("it is restarted", time.Minute, func() bool {
			return r.isReady("web") && r.pod("web").Status.ContainerStatuses[0].RestartCount == 1
		})
	})
}

func TestADamagedMemoIsNoReasonToStop(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		uid := r.pod("web").UID
		r.kill()
		r.world.CheckMemos(nil)
		if err := r.disk.PutMemo(uid, []byte("{damaged")); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.untilReady("web")
		if got := r.world.Running(uid); len(got) != 1 {
			t.Errorf("%v run", got)
		}
	})
}

func TestAnAgentWithoutAPortIsNotMade(t *testing.T) {
	r := newRig(t)
	cfg := r.config(r.world.Begin())
	cfg.Network = nil
	if _, err := agent.New(cfg); err == nil {
		t.Error("it was made")
	}
}
