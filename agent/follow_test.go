package agent_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// follow reads a pod's log in the background; what came is in the buffer.
func (r *rig) follow(req *poddv1.LogsRequest) (text *bytes.Buffer, ended chan error) {
	r.t.Helper()
	req.Follow = true
	ctx, cancel := context.WithCancel(r.t.Context())
	r.t.Cleanup(cancel)
	stream, err := r.life.streams.Logs(ctx, req)
	if err != nil {
		r.t.Fatal(err)
	}
	text, ended = &bytes.Buffer{}, make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			text.Write(resp.Data)
		}
	}()
	return text, ended
}

// TestFollowingGoesOnAcrossRestarts until there will be no further instance.
func TestFollowingGoesOnAcrossRestarts(t *testing.T) {
	four := int64(4)
	for name, c := range map[string]struct {
		policy corev1.RestartPolicy
		codes  []int
		limit  *int64
		want   string
		end    func(r *rig) // nil: it ends by itself
	}{
		"on failure":         {policy: corev1.RestartPolicyOnFailure, codes: []int{1, 2, 0}, want: "a\nb\nc\n"},
		"never":              {policy: corev1.RestartPolicyNever, codes: []int{1}, want: "a\n"},
		"the limit is total": {policy: corev1.RestartPolicyOnFailure, codes: []int{1, 2, 0}, limit: &four, want: "a\nb\n"},
		"until it is deleted": {policy: corev1.RestartPolicyAlways, codes: []int{0, 0, 0}, want: "a\nb\nc\n", end: func(r *rig) {
			r.pass(3 * time.Minute)
			r.delete("web", nil)
		}},
		"waiting, it is deleted": {policy: corev1.RestartPolicyAlways, codes: []int{1}, want: "a\na\n", end: func(r *rig) {
			r.until("it waits", time.Minute, func() bool {
				w := r.pod("web").Status.ContainerStatuses[0].State.Waiting
				return w != nil && w.Reason == "CrashLoopBackOff"
			})
			r.delete("web", nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				var programs []fake.Program
				for i, code := range c.codes {
					programs = append(programs, fake.Program{Output: string(rune('a'+i)) + "\n", Runs: 5 * time.Second, Code: code})
				}
				r.world.Store("talks", programs...)
				r.apply(podNamed("web", func(p *corev1.Pod) {
					p.Spec.Containers[0].Image, p.Spec.RestartPolicy = "talks", c.policy
				}))
				r.untilReady("web")
				req := &poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}, LimitBytes: c.limit}
				text, ended := r.follow(req)
				if c.end != nil {
					c.end(r)
				}
				r.until("following ends", 10*time.Minute, func() bool { return len(ended) > 0 })
				if got := text.String(); got != c.want && c.end == nil || c.end != nil && !bytes.HasPrefix(text.Bytes(), []byte(c.want)) {
					t.Errorf("%q, then %v", got, <-ended)
				}
			})
		})
	}
}

// TestAFollowerOfAnotherPodOfTheName hears nothing of it.
func TestFollowingEndsWithItsPod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("talks", fake.Program{Output: "old\n"})
		talks := podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "talks" })
		r.apply(talks)
		r.untilReady("web")
		text, ended := r.follow(&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}})
		talks.UID = "another"
		r.apply(talks)
		r.until("following ends", time.Minute, func() bool { return len(ended) > 0 })
		if text.String() != "old\n" {
			t.Errorf("%q", text)
		}
		r.until("the other runs", time.Minute, func() bool { return r.isReady("web") && r.pod("web").UID == "another" })
		_, err := r.logs(&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web", Uid: "first"}})
		refused(t, err, codes.NotFound)
	})
}
