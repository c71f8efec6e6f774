package agent_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"

	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/agent/store"
)

func TestAPodBecomesReadyAndItsDeletionLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Publish("init", fake.Program{Runs: time.Second})
		p := podNamed("web", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "init"}}
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		})
		r.apply(p)
		r.untilReady("web")
		if got := r.pod("web").Status; got.Phase != corev1.PodRunning || got.PodIP == "" {
			t.Errorf("status = %+v", got)
		}
		r.delete("web", nil)
		r.untilGone("web")
		if left := r.world.Leftovers(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if st, err := r.disk.Load(); err != nil || len(st.Records) > 0 || len(st.Memos) > 0 {
			t.Errorf("left on disk: %v %v %v", st.Records, st.Memos, err)
		}
		if got := r.events("web"); got["Started"] != 2 || got["Created"] != 2 || got["Killing"] != 1 {
			t.Errorf("events = %v", got)
		}
	})
}

func TestACrashLoopBacksOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("crash", fake.Program{Runs: time.Second, Code: 1})
		r.apply(podNamed("loop", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "crash" }))
		r.pass(10 * time.Minute)
		st := r.pod("loop").Status.ContainerStatuses[0]
		// 0, 10, 20, 40, 80, 160, 300 s between them
		if st.RestartCount < 5 || st.RestartCount > 7 {
			t.Errorf("%d restarts in 10 minutes", st.RestartCount)
		}
		if st.State.Waiting == nil || st.State.Waiting.Reason != "CrashLoopBackOff" {
			t.Errorf("state = %+v", st.State)
		}
		r.delete("loop", nil)
		r.untilGone("loop")
	})
}

func TestProbesRestartAndUnready(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("sick", fake.Program{Probe: func(kind pod.ProbeKind, age time.Duration) pod.ProbeOutcome {
			return pod.ProbeOutcome{Healthy: kind != pod.Liveness || age < 20*time.Second, Output: "sick"}
		}})
		r.apply(podNamed("sick", func(p *corev1.Pod) {
			c := &p.Spec.Containers[0]
			c.Image = "sick"
			get := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}
			c.LivenessProbe = &corev1.Probe{ProbeHandler: get, PeriodSeconds: 5}
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: get, PeriodSeconds: 1}
		}))
		r.untilReady("sick")
		r.until("it is restarted", time.Minute, func() bool { return r.pod("sick").Status.ContainerStatuses[0].RestartCount == 1 })
		if got := r.events("sick"); got["Unhealthy"] != 1 || got["Killing"] != 1 {
			t.Errorf("events = %v", got)
		}
	})
}

func TestGraceMayOnlyShorten(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("stubborn", fake.Program{Stubborn: true})
		r.apply(podNamed("old", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "stubborn" }))
		r.untilReady("old")
		grace := func(s int64) func(*poddv1.DeleteRequest) {
			return func(req *poddv1.DeleteRequest) { req.GracePeriodSeconds = &s }
		}
		began := time.Now()
		r.delete("old", grace(100))
		r.pass(10 * time.Second)
		r.delete("old", grace(1000))
		if got := *r.pod("old").DeletionGracePeriodSeconds; got != 100 {
			t.Errorf("grace = %d after the wish for more", got)
		}
		r.delete("old", grace(20))
		r.untilGone("old")
		if took := time.Since(began); took < 29*time.Second || took > 33*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestForceKillsAtOnceAndStillCleans(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("stubborn", fake.Program{Stubborn: true})
		r.apply(podNamed("old", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "stubborn" }))
		r.untilReady("old")
		began := time.Now()
		r.delete("old", func(req *poddv1.DeleteRequest) { req.Force = true })
		r.untilGone("old")
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if left := r.world.Leftovers(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestWhatWaitsForAConfigMapStartsWhenItComes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "cfg"},
			}}}}
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "cfg"},
			}}}
		}))
		r.pass(5 * time.Minute)
		if r.isReady("web") {
			t.Fatal("it is ready without its ConfigMap")
		}
		r.apply(configMap("cfg", map[string]string{"a": "1"}))
		r.until("it is ready", 2*time.Second, func() bool { return r.isReady("web") })
		before := r.world.Volumes(r.pod("web").UID)["cfg"]
		r.apply(configMap("cfg", map[string]string{"a": "2"}))
		r.until("the volume has the new content", 2*time.Second, func() bool {
			return r.world.Volumes(r.pod("web").UID)["cfg"] != before
		})
		if got := r.pod("web").Status.ContainerStatuses[0].RestartCount; got != 0 {
			t.Errorf("%d restarts", got)
		}
	})
}

func TestAnotherUIDOfTheSameNameComesAfterTheEndOfTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("slow", fake.Program{Lingers: 5 * time.Second})
		named := func(uid string) *corev1.Pod {
			return podNamed("web", func(p *corev1.Pod) { p.UID, p.Spec.Containers[0].Image = types.UID(uid), "slow" })
		}
		r.apply(named("first"))
		r.untilReady("web")
		r.apply(named("second"))
		if p := r.pod("web"); p.UID != "first" || p.DeletionTimestamp == nil {
			t.Errorf("%s is there, deleted: %v", p.UID, p.DeletionTimestamp)
		}
		r.until("the second is ready", time.Minute, func() bool { return r.pod("web").UID == "second" && r.isReady("web") })
		if r.world.Running("first") != nil {
			t.Error("the first one runs on")
		}
		// A successor that never came goes with its predecessor.
		r.apply(named("third"))
		r.delete("web", nil)
		r.untilGone("web")
		r.pass(time.Minute)
		if r.pod("web") != nil || len(r.world.Leftovers()) > 0 {
			t.Errorf("left: %v", r.world.Leftovers())
		}
	})
}

func TestAPodOfTheSameUIDComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		p := podNamed("web", func(p *corev1.Pod) { p.UID = "same" })
		for range 5 {
			r.apply(p)
			r.untilReady("web")
			r.delete("web", nil)
			for r.pod("web") != nil {
				time.Sleep(time.Microsecond)
			}
		}
		r.apply(p)
		r.untilReady("web")
	})
}

func TestOrphansAreRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Plant(pod.Key{UID: "orphan-1", Namespace: "default", Name: "lost"}, fake.Program{})
		r.until("nothing is left", 2*time.Minute, func() bool { return len(r.world.Leftovers()) == 0 })
	})
}

func TestAPodComesBackWhileItsRemainsAreRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.kill()
		r.world.Plant(pod.Key{UID: "orphan-1", Namespace: "default", Name: "lost"}, fake.Program{Stubborn: true})
		r.start()
		r.pass(5 * time.Second)
		r.apply(podNamed("lost", func(p *corev1.Pod) { p.UID = "orphan-1" }))
		r.pass(5 * time.Second)
		if got := r.world.Running("orphan-1"); len(got) != 1 || got[0] != "lost" {
			t.Fatalf("%v run", got)
		}
		r.untilReady("lost")
		if got := r.world.Running("orphan-1"); len(got) != 1 || got[0] != "main" {
			t.Errorf("%v run", got)
		}
	})
}

func TestPodsAppliedTogetherDoNotRejectEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		at := func(name string, port int32) *corev1.Pod {
			return podNamed(name, func(p *corev1.Pod) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port}}
			})
		}
		r.apply(at("a", 80), at("b", 80), at("c", 81))
		r.untilReady("a")
		r.untilReady("c")
		if st := r.pod("b").Status; st.Phase != corev1.PodFailed || st.Reason != "NodePorts" {
			t.Errorf("b is %s, %s", st.Phase, st.Reason)
		}
		// The place is kept over a restart, and free when its holder is gone.
		r.restart()
		r.apply(at("d", 80))
		r.until("d is rejected", time.Second, func() bool { return r.pod("d").Status.Phase == corev1.PodFailed })
		r.delete("a", nil)
		r.untilGone("a")
		r.apply(at("e", 80))
		r.untilReady("e")
	})
}

func TestAnEndedPodGivesItsPlaceUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("job", fake.Program{Runs: time.Second})
		at := func(name, image string) *corev1.Pod {
			return podNamed(name, func(p *corev1.Pod) {
				p.Spec.RestartPolicy = corev1.RestartPolicyNever
				p.Spec.Containers[0].Image = image
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
			})
		}
		r.apply(at("job", "job"))
		r.until("it succeeded", time.Minute, func() bool { return r.pod("job").Status.Phase == corev1.PodSucceeded })
		r.restart()
		if got := r.pod("job").Status.Phase; got != corev1.PodSucceeded {
			t.Errorf("after the restart it is %q", got)
		}
		r.apply(at("next", "app"))
		r.untilReady("next")
	})
}

func TestImagesAreWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "absent:1" }))
		r.until("it backs off", time.Minute, func() bool {
			p := r.pod("web")
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
				p.Status.ContainerStatuses[0].State.Waiting.Reason == "ImagePullBackOff"
		})
		before := r.world.Ops()
		r.pass(10 * time.Minute)
		if n := r.world.Ops() - before; n > 100 {
			t.Errorf("%d effects in 10 minutes of waiting", n)
		}
		r.world.Publish("absent:1")
		r.until("it is ready", 6*time.Minute, func() bool { return r.isReady("web") })
	})
}

func TestTwoHundredPods(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Slow(func(k pod.Kind) time.Duration {
			if k == pod.CreateSandbox || k == pod.StartContainer {
				return 60 * time.Millisecond
			}
			return 0
		})
		r.world.Publish("remote")
		for i := range 200 {
			r.apply(podNamed(nameOf(i), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "remote" }))
		}
		for i := range 200 {
			r.untilReady(nameOf(i))
		}
		if got := r.world.MaxHeavy(); got > 4 {
			t.Errorf("%d heavy effects at once", got)
		}
		r.restart()
		before := r.world.Ops()
		r.pass(10 * time.Minute)
		if got := r.world.Ops() - before; got > 200*45 {
			t.Errorf("%d effects in 10 idle minutes", got)
		}
		for i := range 200 {
			r.delete(nameOf(i), nil)
		}
		for i := range 200 {
			r.untilGone(nameOf(i))
		}
		if left := r.world.Leftovers(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestOnTheRealStore goes the same ways on bbolt as the others on its twin.
func TestOnTheRealStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "podd.db")
		r := newRig(t)
		defer r.abandon()
		for round := range 3 {
			db, err := store.Open(path, "test")
			if err != nil {
				t.Fatal(err)
			}
			r.backing = db
			r.start()
			if round == 0 {
				r.apply(podNamed("web", nil), configMap("cfg", map[string]string{"a": "1"}))
			}
			r.untilReady("web")
			if got := r.pod("web").Status.ContainerStatuses[0].RestartCount; got != 0 {
				t.Errorf("%d restarts", got)
			}
			if got := r.events("web")["Started"]; got != 1 {
				t.Errorf("round %d: %d Started events", round, got)
			}
			if round == 2 {
				r.delete("web", nil)
				r.untilGone("web")
			}
			r.pass(10 * time.Second) // events are written late
			r.kill()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
