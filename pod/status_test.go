package pod

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestNewStatus(t *testing.T) {
	st := NewStatus(podOf(nil, withResources("c", res("1", "1Mi"), res("1", "1Mi"))))
	if st.Phase != corev1.PodPending || st.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("%+v", st)
	}
}

// TestAddresses checks that a status has two addresses of each sort at most, and
// none of a network that is not ready.
func TestAddresses(t *testing.T) {
	three := []string{"1", "2", "3"}
	for name, c := range map[string]struct {
		network *Network
		host    bool
		want    []corev1.PodIP
	}{
		"network":      {&Network{Ready: true, IPs: three}, false, []corev1.PodIP{{IP: "1"}, {IP: "2"}}},
		"host network": {nil, true, []corev1.PodIP{{IP: "7"}, {IP: "8"}}},
		"not ready":    {&Network{IPs: three}, false, nil},
	} {
		d := newDecision(Input{Pod: simplePod(), Seen: Observed{Network: c.network}, Node: Node{IPs: []string{"7", "8", "9"}}})
		d.pod.Spec.HostNetwork = c.host
		d.learnIPs()
		var st corev1.PodStatus
		d.addresses(&st)
		if diff := cmp.Diff(c.want, st.PodIPs); diff != "" || len(st.HostIPs) != 2 || st.HostIP != "7" {
			t.Errorf("%s: %s %+v", name, diff, st)
		}
	}
}

// TestMountStatuses checks what is told of mounts that are read-only.
func TestMountStatuses(t *testing.T) {
	mode := func(m corev1.RecursiveReadOnlyMode) *corev1.RecursiveReadOnlyMode { return &m }
	spec := &corev1.Container{VolumeMounts: []corev1.VolumeMount{
		{Name: "a", MountPath: "/a"}, {Name: "b", MountPath: "/b", ReadOnly: true},
		{Name: "c", MountPath: "/c", ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyDisabled)},
		{Name: "d", MountPath: "/d", ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyIfPossible)},
	}}
	want := []corev1.VolumeMountStatus{
		{Name: "a", MountPath: "/a"},
		{Name: "b", MountPath: "/b", ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyDisabled)},
		{Name: "c", MountPath: "/c", ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyDisabled)},
		{Name: "d", MountPath: "/d", ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyEnabled)},
	}
	if diff := cmp.Diff(want, mountStatuses(spec)); diff != "" {
		t.Error(diff)
	}
}

// TestStopped checks when nothing of a pod runs any more.
func TestStopped(t *testing.T) {
	run := []corev1.ContainerStatus{{}, {State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	idle := []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	for name, c := range map[string]struct {
		st   corev1.PodStatus
		want bool
	}{
		"none":      {corev1.PodStatus{}, true},
		"idle":      {corev1.PodStatus{InitContainerStatuses: idle, ContainerStatuses: idle, EphemeralContainerStatuses: idle}, true},
		"init":      {corev1.PodStatus{InitContainerStatuses: run, ContainerStatuses: idle}, false},
		"app":       {corev1.PodStatus{InitContainerStatuses: idle, ContainerStatuses: run}, false},
		"ephemeral": {corev1.PodStatus{ContainerStatuses: idle, EphemeralContainerStatuses: run}, false},
	} {
		if got := Stopped(&c.st); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestNonRoot checks who may run as whom, and in which words it is refused.
func TestNonRoot(t *testing.T) {
	yes, no, zero, ten := true, false, int64(0), int64(10)
	const pod = `(pod: "web_default(u-1)", container: c)`
	for name, c := range map[string]struct {
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		image     string
		want      string
	}{
		"nothing asked":        {nil, nil, "root", ""},
		"not asked":            {&corev1.PodSecurityContext{RunAsNonRoot: &no}, nil, "0", ""},
		"the image's user":     {&corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "10:0", ""},
		"the image's root":     {&corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "0:10", "container has runAsNonRoot and image will run as root " + pod},
		"no user":              {&corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "", "container has runAsNonRoot and image will run as root " + pod},
		"a name":               {nil, &corev1.SecurityContext{RunAsNonRoot: &yes}, "1a", "container has runAsNonRoot and image has non-numeric user (1a), cannot verify user is non-root " + pod},
		"the least":            {nil, &corev1.SecurityContext{RunAsNonRoot: &yes}, "1", ""},
		"the most":             {nil, &corev1.SecurityContext{RunAsNonRoot: &yes}, "2147483647", ""},
		"too many":             {nil, &corev1.SecurityContext{RunAsNonRoot: &yes}, "2147483648", "container has runAsNonRoot and image has an invalid user id (2147483648). (Must be 1-(2147483647)) " + pod},
		"less than none":       {nil, &corev1.SecurityContext{RunAsNonRoot: &yes}, "-1", "container has runAsNonRoot and image has an invalid user id (-1). (Must be 1-(2147483647)) " + pod},
		"the pod's user":       {&corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &ten}, nil, "0", ""},
		"the pod's root":       {&corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &zero}, nil, "10", "container's runAsUser breaks non-root policy " + pod},
		"the container's user": {&corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &zero}, &corev1.SecurityContext{RunAsUser: &ten}, "0", ""},
		"the container's root": {&corev1.PodSecurityContext{RunAsUser: &ten}, &corev1.SecurityContext{RunAsUser: &zero, RunAsNonRoot: &yes}, "10", "container's runAsUser breaks non-root policy " + pod},
		"the container's no":   {&corev1.PodSecurityContext{RunAsNonRoot: &yes}, &corev1.SecurityContext{RunAsNonRoot: &no}, "0", ""},
		"the container's void": {&corev1.PodSecurityContext{RunAsNonRoot: &yes}, &corev1.SecurityContext{}, "10", ""},
	} {
		p := simplePod()
		p.Spec.SecurityContext = c.pod
		got := ""
		if err := checkNonRoot(p, &corev1.Container{Name: "c", SecurityContext: c.container}, c.image); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestNoContainerWithoutGround checks that nothing is started while the sandbox,
// the network or the image is not there.
func TestNoContainerWithoutGround(t *testing.T) {
	for name, lose := range map[string]func(*Observed){
		"sandbox": func(o *Observed) { o.Sandboxes = nil },
		"dying":   func(o *Observed) { o.Sandboxes = []Sandbox{{ID: o.Sandboxes[0].ID, State: Created}} },
		"network": func(o *Observed) { o.Network = nil },
		"image":   func(o *Observed) { o.Images = nil },
	} {
		for _, stage := range []Stage{StageWaiting, StageCreating} {
			w := newWorld(Input{Now: time.Unix(1000, 0), Pod: simplePod()})
			w.settleUntil(StageCreating)
			w.in.Seen.Containers = nil
			m := &w.in.Memo.Durable
			m.Sandbox.Up, m.Sandbox.NetworkUp = false, false
			m.Containers["web"] = &ContainerMemo{Stage: stage, Hash: imageHash("web", "busybox")}
			lose(&w.in.Seen)
			for _, a := range w.decide().Do {
				if a.Container != nil {
					t.Errorf("without %s it wants %s", name, describe(a))
				}
			}
		}
	}
}
