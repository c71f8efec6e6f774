package pod_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/pod"
)

// TestPullProgress: each quarter of a long pull is told once, and podd looks
// again while it lasts; of a short one nothing is told.
func TestPullProgress(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	priority := int32(7)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1"},
		Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{
			{Name: "a", Image: "big", ImagePullPolicy: corev1.PullIfNotPresent},
			{Name: "b", Image: "big", ImagePullPolicy: corev1.PullIfNotPresent},
		}},
	}
	memo := pod.Memo{}
	var flying []pod.Subject
	look := func(after time.Duration, done int64) (told []string) {
		in := pod.Input{Now: began.Add(after), Pod: p, Memo: memo, InFlight: flying, Seen: pod.Observed{Cgroup: true}}
		if flying != nil {
			in.Seen.Pulls = map[string]pod.Progress{"big": {Done: done, Total: 1000}}
		}
		out := pod.Decide(in)
		memo = out.Memo
		for _, a := range out.Do {
			if a.Kind == pod.PullImage {
				flying = []pod.Subject{a.Subject}
				if a.Pull.Priority != priority {
					t.Errorf("the pull has priority %d", a.Pull.Priority)
				}
			}
		}
		for _, ev := range out.Events {
			if ev.Reason == "Pulling" {
				told = append(told, ev.Message)
			}
		}
		if after > 0 && out.Wake.After(in.Now.Add(10*time.Second)) {
			t.Errorf("after %s podd looks again at %s", after, out.Wake)
		}
		return told
	}
	for _, c := range []struct {
		after time.Duration
		done  int64
		want  []string
	}{
		{0, 0, []string{`Pulling image "big"`, `Pulling image "big"`}},
		{9 * time.Second, 300, nil},
		{10 * time.Second, 300, []string{`Pulling image "big": 25% of 1000 bytes`}},
		{11 * time.Second, 499, nil},
		{30 * time.Second, 800, []string{`Pulling image "big": 75% of 1000 bytes`}},
		{31 * time.Second, 800, nil},
		{32 * time.Second, 1000, nil},
	} {
		if got := look(c.after, c.done); !slices.Equal(got, c.want) {
			t.Errorf("after %s: %q, want %q", c.after, got, c.want)
		}
	}
	action := pod.Action{Kind: pod.PullImage, Subject: flying[0], Pull: &pod.PullConfig{Ref: "big"}}
	_, events := pod.Apply(memo, began.Add(time.Minute), pod.Result{
		Action: action, Started: began, Finished: began.Add(time.Minute), Pulled: &pod.Pulled{Size: 1000, Took: 40 * time.Second},
	})
	if len(events) != 2 || events[0].Message != `Successfully pulled image "big" in 40s (1m0s including waiting). Image size: 1000 bytes.` {
		t.Errorf("events %+v", events)
	}
}
