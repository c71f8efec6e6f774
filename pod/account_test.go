package pod

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// diary has a world live, and keeps the accounts of it.
type diary struct {
	*world
	told  Picture
	ended []Result
	text  strings.Builder
	began time.Time
}

func newDiary(p *corev1.Pod) *diary {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return &diary{world: newWorld(Input{Now: now, Pod: p, Node: Node{BackOff: DefaultBackOff}}), began: now}
}

func (d *diary) at(t time.Time) string { return strings.TrimSpace(fmt.Sprint(t.Sub(d.began))) }

// settle decides and does until nothing is left to do now.
func (d *diary) settle() {
	for {
		in := d.in
		in.Now = d.now
		out := d.decide()
		account, told := Explain(d.told, in, out, d.ended)
		d.told, d.ended = told, nil
		for _, f := range account.Seen {
			fmt.Fprintf(&d.text, "%s seen %s: %s\n", d.at(account.At), f.About, f.Text)
		}
		for _, s := range account.Decided {
			fmt.Fprintf(&d.text, "%s %s %s: %s", d.at(account.At), s.Action, s.About, s.Reason)
			if !s.Until.IsZero() {
				fmt.Fprintf(&d.text, " until %s", d.at(s.Until))
			}
			d.text.WriteString("\n")
		}
		if len(out.Do) == 0 || out.Gone {
			return
		}
		for _, a := range out.Do {
			r := Result{Action: a, Started: d.now, Finished: d.now.Add(2 * time.Millisecond)}
			if f, failed := d.fault(a.Kind); failed {
				r.Err = &Failure{Kind: Transient, Reason: f.reason, Message: f.message}
			} else {
				r.Err, r.Probe = d.effect(a)
			}
			d.in.Memo, _ = Apply(d.in.Memo, d.now, r)
			d.ended = append(d.ended, r)
		}
	}
}

// live lets time pass.
func (d *diary) live(span time.Duration) {
	end := d.now.Add(span)
	for d.settle(); !d.last.Wake.IsZero() && !d.last.Wake.After(end); d.settle() {
		d.now = d.last.Wake
	}
	d.now = end
	d.settle()
}

// since gives what was written, and begins a new page.
func (d *diary) since() string {
	text := d.text.String()
	d.text.Reset()
	return text
}

func accountPod() *corev1.Pod {
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID = "web", "default", "u"
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	p.Spec.Containers = []corev1.Container{{Name: "main", Image: "app", ImagePullPolicy: corev1.PullIfNotPresent}}
	return p
}

func told(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestAccountsOfALife(t *testing.T) {
	p := accountPod()
	p.Spec.Volumes = []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}},
	}}}
	d := newDiary(p)
	d.live(time.Hour)
	told(t, d.since(), `
0s seen pod: is new
0s seen volume/cfg: FailedMount: MountVolume.SetUp failed for volume "cfg" : configmap "settings" not found
0s CreateCgroup cgroup: the pod has no cgroup
0s Report pod: phase Pending
0s seen cgroup: is there
`)
	settings := &corev1.ConfigMap{}
	settings.ResourceVersion = "7"
	d.in.Refs.ConfigMaps = map[string]*corev1.ConfigMap{"settings": settings}
	d.faults[SetupNetwork] = []fault{{message: "no bridge"}}
	d.live(time.Minute)
	told(t, d.since(), `
1h0m0s seen configmap/settings: is there, version 7
1h0m0s SetupVolume volume/cfg: it is not there
1h0m0s seen volume/cfg: is ready
1h0m0s SetupNetwork network: the pod has no network
1h0m0s CreateSandbox sandbox: the pod has no sandbox
1h0m0s PullImage image/app: container main needs it
1h0m0s seen network: SetupNetwork failed after 2ms: no bridge
1h0m0s seen image/app: was pulled in 2ms
1h0m0s seen sandbox: attempt 0 is running
1h0m0s seen image/app: is here: app@sha256:0
1h0m0s Retry network: SetupNetwork failed, 1 in a row until 1h0m1s
1h0m1s SetupNetwork network: the pod has no network
1h0m1s seen network: is ready 10.88.0.2
1h0m1s CreateContainer container/main: attempt 0: what it needs is there
1h0m1s StartContainer container/main: it is created
1h0m1s seen container/main: attempt 0 runs
1h0m1s Report pod: phase Running
1h0m1s Report pod: ready
`)
	for range 2 {
		d.exit(d.running("main").ID, 3)
		d.live(time.Second)
	}
	told(t, d.since(), `
1h1m0s seen container/main: attempt 0 ended with exit code 3 (Error) after 59s
1h1m0s CreateContainer container/main: attempt 1: its restart policy is Always
1h1m0s Report pod: not ready: containers with unready status: [main]
1h1m0s StartContainer container/main: it is created
1h1m0s seen container/main: attempt 1 runs
1h1m0s ReapContainer container/main: its exit is remembered
1h1m0s Report pod: ready
1h1m0s RemoveContainer container/main: it is over
1h1m1s seen container/main: attempt 1 ended with exit code 3 (Error) after 1s
1h1m1s ReapContainer container/main: its exit is remembered
1h1m1s Wait container/main: CrashLoopBackOff: back-off 10s restarting failed container=main pod=web_default(u) until 1h1m11s
1h1m1s Report pod: not ready: containers with unready status: [main]
1h1m1s RemoveContainer container/main: it is over
`)
	d.live(time.Minute)
	d.since()
	d.told = Picture{}
	d.restartPodd()
	d.live(time.Minute)
	told(t, d.since(), `
1h2m2s seen pod: is taken up by a podd that has started
1h2m2s seen cgroup: is there
1h2m2s seen volume/cfg: is ready
1h2m2s seen network: is ready 10.88.0.2
1h2m2s seen sandbox: attempt 0 is running
1h2m2s seen image/app: is here: app@sha256:0
1h2m2s seen configmap/settings: is there, version 7
1h2m2s seen container/main: attempt 1 ended with exit code 3 (Error) after 1s
1h2m2s seen container/main: attempt 2 runs
1h2m2s Report pod: phase Running
1h2m2s Report pod: ready
`)
	d.stubborn["main"] = true
	d.in.Deleted = &Deletion{At: d.now, Grace: 5 * time.Second}
	d.live(2 * time.Second)
	told(t, d.since(), `
1h3m2s seen pod: is to go, with a grace period of 5s
1h3m2s Stop container/main: Stopping container main until 1h3m7s
1h3m2s SignalContainer container/main: Stopping container main
1h3m2s Report pod: not ready: containers with unready status: [main]
`)
}

func TestAccountsOfWhatIsLeft(t *testing.T) {
	p := accountPod()
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	p.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2, SuccessThreshold: 1}
	p.Spec.Containers[0].LivenessProbe.Exec = &corev1.ExecAction{Command: []string{"true"}}
	d := newDiary(p)
	d.live(10 * time.Second)
	page := d.since()
	for line, times := range map[string]int{"seen probe/main/liveness: succeeds": 1, "RunProbe": 0} {
		if got := strings.Count(page, line); got != times {
			t.Errorf("%q %d times in:\n%s", line, got, page)
		}
	}
	d.probes[SubjectProbe("main", Liveness)] = "sick"
	d.live(2 * time.Second)
	page = d.since()
	for _, line := range []string{
		"seen probe/main/liveness: Unhealthy: Liveness probe failed: sick\n",
		"Stop container/main: Container main failed liveness probe, will be restarted until",
	} {
		if !strings.Contains(page, line) && !strings.Contains(page, strings.Replace(line, "Unhealthy: ", "", 1)) {
			t.Errorf("no %q in:\n%s", line, page)
		}
	}
	delete(d.probes, SubjectProbe("main", Liveness))
	d.live(time.Minute)
	d.since()
	d.exit(d.running("main").ID, 0)
	d.live(time.Second)
	if page := d.since(); !strings.Contains(page, "Leave container/main: its restart policy is OnFailure") || !strings.Contains(page, "Report pod: phase Succeeded") {
		t.Error(page)
	}
}

// TestAccountsAreBounded: whatever a pod has and a program says.
func TestAccountsAreBounded(t *testing.T) {
	p := accountPod()
	for i := range 300 {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprint("v", i)})
	}
	d := newDiary(p)
	d.always[SetupVolume] = fault{message: strings.Repeat("é\n", 2000)}
	d.decide()
	for range 3 {
		in := d.in
		out := d.decide()
		var ended []Result
		for _, a := range out.Do {
			ended = append(ended, Result{Action: a, Err: &Failure{Message: strings.Repeat("é\n", 2000)}})
		}
		account, next := Explain(d.told, in, out, ended)
		if len(account.Seen) > maxNotes+1 || len(account.Decided) > maxNotes+1 {
			t.Fatalf("%d seen, %d decided", len(account.Seen), len(account.Decided))
		}
		for _, f := range account.Seen {
			if len(f.Text) > maxNote+len("…") || strings.Contains(f.Text, "\n") {
				t.Fatalf("%d bytes: %q", len(f.Text), f.Text)
			}
		}
		again, same := Explain(next, in, out, nil)
		if len(again.Seen) > 0 || !reflect.DeepEqual(next, same) {
			t.Fatalf("it is told twice: %v", again.Seen)
		}
	}
}
