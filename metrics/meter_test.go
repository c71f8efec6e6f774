package metrics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
)

// finished is a finished action.
func finished(a pod.Action, d time.Duration, r pod.Result) pod.Result {
	r.Action, r.Started, r.Finished = a, at(0).Time, at(0).Add(d)
	return r
}

func probeOf(container string, kind pod.ProbeKind, exec bool) pod.Action {
	cfg := &pod.ProbeConfig{Container: container, Kind: kind}
	if exec {
		cfg.Handler.Exec = &corev1.ExecAction{}
	}
	return pod.Action{Kind: pod.RunProbe, Probe: cfg}
}

func keyOf(name string) pod.Key {
	return pod.Key{Namespace: "default", Name: name, UID: types.UID("uid-of-" + name)}
}

// metered has counted something of every kind.
func metered() *Meter {
	m, web := NewMeter(), running("web")
	failed := pod.Result{Err: &pod.Failure{Reason: "ErrImagePull", Message: "no such host"}}
	unknown := pod.Result{Err: &pod.Failure{Message: "containerd is away"}}
	container := func(kind pod.Kind, c *corev1.Container) pod.Action {
		return pod.Action{Kind: kind, Container: &pod.ContainerConfig{Pod: web, Container: c}}
	}
	sandbox := pod.Action{Kind: pod.CreateSandbox, Sandbox: &pod.SandboxConfig{Pod: web}}
	for _, r := range []pod.Result{
		finished(pod.Action{Kind: pod.CreateCgroup}, time.Millisecond, pod.Result{}),
		finished(pod.Action{Kind: pod.RemoveCgroup}, 2*time.Millisecond, pod.Result{}),
		finished(pod.Action{Kind: pod.SetupVolume, Volume: &pod.VolumeConfig{
			Volume: corev1.Volume{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		}}, time.Second, pod.Result{}),
		finished(sandbox, 60*time.Millisecond, pod.Result{}),
		finished(sandbox, 200*time.Millisecond, pod.Result{Err: &pod.Failure{Reason: "FailedCreatePodSandBox"}}),
		finished(pod.Action{Kind: pod.PullImage}, 20*time.Minute, failed),
		finished(pod.Action{Kind: pod.PullImage}, 3*time.Second, pod.Result{Pulled: &pod.Pulled{Size: 20 << 20, Took: 2 * time.Second}}),
		finished(container(pod.CreateContainer, &web.Spec.InitContainers[0]), 7*time.Millisecond, pod.Result{}),
		finished(container(pod.StartContainer, &web.Spec.InitContainers[0]), 40*time.Millisecond, pod.Result{}),
		finished(container(pod.CreateContainer, &web.Spec.Containers[0]), 7*time.Millisecond, pod.Result{Err: &pod.Failure{Reason: "CreateContainerError"}}),
		finished(probeOf("web", pod.Readiness, false), 2*time.Millisecond, pod.Result{Probe: &pod.ProbeOutcome{Healthy: true}}),
		finished(probeOf("web", pod.Readiness, false), 3*time.Millisecond, pod.Result{Probe: &pod.ProbeOutcome{Healthy: true}}),
		finished(probeOf("web", pod.Liveness, true), 30*time.Millisecond, pod.Result{Probe: &pod.ProbeOutcome{}}),
		finished(probeOf("web", pod.Startup, true), 30*time.Millisecond, unknown),
		finished(pod.Action{Kind: pod.RunHook, Hook: &pod.HookConfig{}}, time.Second, pod.Result{}),
	} {
		m.Acted(keyOf("web"), r)
	}
	m.Looked(agent.Look{Observing: 2 * time.Millisecond, Took: 4 * time.Millisecond})
	m.Looked(agent.Look{Observing: time.Millisecond, Took: 20 * time.Millisecond, Since: 9 * time.Second})
	m.Looked(agent.Look{Observing: time.Millisecond, Took: 3 * time.Millisecond, Since: time.Second, Ending: true})
	m.Came(agent.Running, 180*time.Millisecond)
	m.Came(agent.Ready, 4*time.Second)
	m.kubelet.seen.Set(1_700_000_000) // it is the clock's
	return m
}

func TestProbesOfContainers(t *testing.T) {
	p := metered().probes
	golden(t, "testdata/probes.txt", registered("prober", p.results, p.duration).from)
}

func series(t *testing.T, from prometheus.Gatherer) (n int, all []*dto.MetricFamily) {
	t.Helper()
	all, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			n++
			if h := m.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 2 // those, +Inf, the sum, the count
			}
		}
	}
	return n, all
}

// TestSeriesAreBoundedAndGoWithTheirPods: 300 pods that were probed and
// restarted over and over, and then are deleted.
func TestSeriesAreBoundedAndGoWithTheirPods(t *testing.T) {
	m := NewMeter()
	var s Snapshot
	for i := range 300 {
		p := running(fmt.Sprintf("web-%d", i))
		s.Pods = append(s.Pods, p)
		for range 100 {
			for _, kind := range []pod.ProbeKind{pod.Startup, pod.Liveness, pod.Readiness} {
				m.Acted(keyOf(p.Name), finished(probeOf("web", kind, false), time.Millisecond, pod.Result{Probe: &pod.ProbeOutcome{Healthy: true}}))
				m.Acted(keyOf(p.Name), finished(probeOf("web", kind, false), time.Millisecond, pod.Result{Probe: &pod.ProbeOutcome{}}))
			}
			m.Acted(keyOf(p.Name), finished(pod.Action{Kind: pod.SignalContainer}, time.Millisecond, pod.Result{}))
		}
	}
	for _, page := range pages(Config{Meter: m, Images: NewImages(), Store: NewStore(), Snapshot: func() Snapshot { return s }}) {
		n, all := series(t, page)
		if n > 300*100+1000 {
			t.Errorf("%s: %d series for 300 pods of three containers", page.path, n)
		}
		for _, family := range all {
			for _, l := range family.GetMetric()[0].GetLabel() {
				if family.GetType() == dto.MetricType_HISTOGRAM && slices.Contains([]string{"id", "uid", "pod_uid", "container_id", "image", "image_id"}, l.GetName()) {
					t.Errorf("the histogram %s is by %s", family.GetName(), l.GetName())
				}
			}
		}
	}
	for _, p := range s.Pods {
		m.Left(keyOf(p.Name))
	}
	if n, all := series(t, registered("prober", m.probes.results, m.probes.duration).from); n != 0 {
		t.Errorf("%d series of pods that are gone: %v", n, all)
	}
}

func TestSizeClass(t *testing.T) {
	for size, want := range map[int64]string{0: "0-10MB", 10 << 20: "10MB-100MB", 1<<30 - 1: "500MB-1GB", 1 << 30: "1GB-5GB", 1 << 40: "GT100GB"} {
		if got := sizeClass(size); got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
	}
}
