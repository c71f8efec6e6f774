package table

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func running(ready bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Ready: ready, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func waiting(reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
}

func exited(code, signal int32, reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Signal: signal, Reason: reason}}}
}

func restarted(times int32, last time.Duration, s corev1.ContainerStatus) corev1.ContainerStatus {
	s.RestartCount = times
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{FinishedAt: ago(last)}
	return s
}

func started(s corev1.ContainerStatus) corev1.ContainerStatus {
	yes := true
	s.Started = &yes
	return s
}

// sidecar marks a status as that of an init container that stays.
const sidecar = "sidecar"

func named(name string, s corev1.ContainerStatus) corev1.ContainerStatus {
	s.Name = name
	return s
}

// makePod makes a pod of as many containers as it has statuses, or two.
func makePod(phase corev1.PodPhase, init, app []corev1.ContainerStatus, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Status: corev1.PodStatus{Phase: phase, InitContainerStatuses: init, ContainerStatuses: app}}
	always := corev1.ContainerRestartPolicyAlways
	for i := range init {
		if init[i].Name == "" {
			init[i].Name = fmt.Sprintf("init%d", i)
		}
		c := corev1.Container{Name: init[i].Name}
		if c.Name == sidecar {
			c.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	containers := len(app)
	if containers == 0 {
		containers = 2
	}
	for i := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("app%d", i)})
	}
	if change != nil {
		change(p)
	}
	return p
}

func condition(t corev1.PodConditionType, s corev1.ConditionStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: t, Status: s})
	}
}

func deleted(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }

// TestPodColumns holds READY, STATUS and RESTARTS to kubectl's rules.
func TestPodColumns(t *testing.T) {
	type statuses = []corev1.ContainerStatus
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"nothing known":        {makePod(corev1.PodPending, nil, nil, nil), "0/2 Pending 0"},
		"running":              {makePod(corev1.PodRunning, nil, statuses{running(true), running(true)}, nil), "2/2 Running 0"},
		"running, not ready":   {makePod(corev1.PodRunning, nil, statuses{running(true), running(false)}, nil), "1/2 Running 0"},
		"creating":             {makePod(corev1.PodPending, nil, statuses{waiting("ContainerCreating"), waiting("ContainerCreating")}, nil), "0/2 ContainerCreating 0"},
		"the first one's wait": {makePod(corev1.PodPending, nil, statuses{waiting("ErrImagePull"), waiting("ImagePullBackOff")}, nil), "0/2 ErrImagePull 0"},
		"a wait without reason": {
			makePod(corev1.PodPending, nil, statuses{waiting(""), waiting("")}, nil), "0/2 Pending 0",
		},
		"crash loop": {
			makePod(corev1.PodRunning, nil, statuses{restarted(3, 5*time.Second, waiting("CrashLoopBackOff")), restarted(1, time.Hour, running(true))}, nil),
			"1/2 CrashLoopBackOff 4 (5s ago)",
		},
		"restarts of unknown age": {
			makePod(corev1.PodRunning, nil, statuses{{RestartCount: 2, Ready: true, State: running(true).State}}, nil), "1/1 Running 2",
		},
		"succeeded":      {makePod(corev1.PodSucceeded, nil, statuses{exited(0, 0, "Completed")}, nil), "0/1 Completed 0"},
		"failed":         {makePod(corev1.PodFailed, nil, statuses{exited(1, 0, "Error")}, nil), "0/1 Error 0"},
		"killed":         {makePod(corev1.PodFailed, nil, statuses{exited(137, 9, "")}, nil), "0/1 Signal:9 0"},
		"only a code":    {makePod(corev1.PodFailed, nil, statuses{exited(7, 0, "")}, nil), "0/1 ExitCode:7 0"},
		"failed by node": {makePod(corev1.PodFailed, nil, nil, func(p *corev1.Pod) { p.Status.Reason = "OutOfcpu" }), "0/2 OutOfcpu 0"},
		"one done, one runs, ready": {
			makePod(corev1.PodRunning, nil, statuses{exited(0, 0, "Completed"), running(true)}, condition(corev1.PodReady, corev1.ConditionTrue)), "1/2 Running 0",
		},
		"one done, one runs, pod not ready": {
			makePod(corev1.PodRunning, nil, statuses{exited(0, 0, "Completed"), running(true)}, nil), "1/2 NotReady 0",
		},
		"one done, one failed": {
			makePod(corev1.PodRunning, nil, statuses{exited(0, 0, "Completed"), exited(2, 0, "Error")}, nil), "0/2 Error 0",
		},
		"first init runs": {
			makePod(corev1.PodPending, statuses{running(false), waiting("PodInitializing")}, statuses{waiting("PodInitializing")}, nil), "0/1 Init:0/2 0",
		},
		"second init runs": {
			makePod(corev1.PodPending, statuses{exited(0, 0, "Completed"), running(false)}, statuses{waiting("PodInitializing")}, nil), "0/1 Init:1/2 0",
		},
		"init waits for its turn": {
			makePod(corev1.PodPending, statuses{waiting("PodInitializing")}, nil, nil), "0/2 Init:0/1 0",
		},
		"init fails":           {makePod(corev1.PodPending, statuses{exited(1, 0, "Error")}, nil, nil), "0/2 Init:Error 0"},
		"init killed":          {makePod(corev1.PodPending, statuses{exited(137, 9, "")}, nil, nil), "0/2 Init:Signal:9 0"},
		"init ends with 3":     {makePod(corev1.PodPending, statuses{exited(3, 0, "")}, nil, nil), "0/2 Init:ExitCode:3 0"},
		"init's image":         {makePod(corev1.PodPending, statuses{waiting("ImagePullBackOff")}, nil, nil), "0/2 Init:ImagePullBackOff 0"},
		"init in a crash loop": {makePod(corev1.PodPending, statuses{restarted(2, time.Minute, waiting("CrashLoopBackOff"))}, nil, nil), "0/2 Init:CrashLoopBackOff 2 (60s ago)"},
		"inits done, their restarts don't count": {
			makePod(corev1.PodRunning, statuses{restarted(2, time.Minute, exited(0, 0, "Completed"))}, statuses{running(true)}, nil), "1/1 Running 0",
		},
		"sidecar not started": {
			makePod(corev1.PodPending, statuses{named(sidecar, running(false))}, statuses{waiting("PodInitializing")}, nil), "0/2 Init:0/1 0",
		},
		"sidecar runs": {
			makePod(corev1.PodRunning, statuses{named(sidecar, started(running(true)))}, statuses{running(true)}, nil), "2/2 Running 0",
		},
		"sidecar's restarts count": {
			makePod(corev1.PodRunning, statuses{named(sidecar, restarted(3, time.Hour, started(running(true))))}, statuses{restarted(1, 2*time.Hour, running(true))}, nil),
			"2/2 Running 4 (60m ago)",
		},
		"sidecar crashes later": {
			makePod(corev1.PodRunning, statuses{named(sidecar, restarted(3, time.Minute, waiting("CrashLoopBackOff")))}, statuses{running(true)},
				condition(corev1.PodInitialized, corev1.ConditionTrue)),
			"1/2 Init:CrashLoopBackOff 3 (60s ago)",
		},
		"deleted":            {makePod(corev1.PodRunning, nil, statuses{running(true)}, deleted), "1/1 Terminating 0"},
		"deleted, and ended": {makePod(corev1.PodSucceeded, nil, statuses{exited(0, 0, "Completed")}, deleted), "0/1 Completed 0"},
		"deleted, node lost": {
			makePod(corev1.PodRunning, nil, statuses{running(true)}, func(p *corev1.Pod) { deleted(p); p.Status.Reason = "NodeLost" }), "1/1 Unknown 0",
		},
		"gated": {
			makePod(corev1.PodPending, nil, nil, func(p *corev1.Pod) {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: corev1.PodReasonSchedulingGated}}
			}), "0/2 SchedulingGated 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cells := podCells(test.pod, now)
			if got := fmt.Sprintf("%v %v %v", cells[1], cells[2], cells[3]); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadinessGates(t *testing.T) {
	p := makePod(corev1.PodRunning, nil, nil, condition("a", corev1.ConditionTrue))
	p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "a"}, {ConditionType: "b"}}
	if got := podCells(p, now)[8]; got != "1/2" {
		t.Errorf("got %v", got)
	}
}
