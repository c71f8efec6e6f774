package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// imagesHere are the names of the images that are here.
func (r *rig) imagesHere() []string {
	r.t.Helper()
	resp, err := r.life.images.List(r.t.Context(), &poddv1.ImagesListRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, img := range resp.Images {
		names = append(names, img.Names...)
	}
	return names
}

// nodeEvents are the messages of events of a reason about the node.
func (r *rig) nodeEvents(reason string) []string {
	r.t.Helper()
	var all []string
	for _, e := range r.life.agent.Snapshot().List(agent.KindEvent) {
		if ev := e.Object.(*corev1.Event); ev.InvolvedObject.Kind == "Node" && ev.Reason == reason {
			all = append(all, ev.Message)
		}
	}
	return all
}

func (r *rig) hasLogs(name string) bool {
	r.t.Helper()
	size, err := r.life.session.Logs().Size(r.t.Context(), pod.Key{UID: r.pod(name).UID})
	if err != nil {
		r.t.Fatal(err)
	}
	return size > 0
}

// TestImagesAreCollected: while the disk is too full, what nobody needs goes,
// the longest unneeded first, and no more than has to.
func TestImagesAreCollected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for _, ref := range []string{"old", "new", "newest"} {
			r.world.Store(ref)
		}
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		r.pass(time.Minute)
		r.world.Fill(pod.FileSystem{Capacity: 1000, Available: 140}, pod.FileSystem{})
		r.pass(5 * time.Minute)
		here := r.imagesHere()
		if !slices.Contains(here, "app") || len(here) != 3 {
			t.Errorf("there are %v", here)
		}
		if got := r.nodeEvents("ImageGarbageCollected"); len(got) != 1 || !strings.Contains(got[0], "86% full") {
			t.Errorf("events %q", got)
		}
		r.world.Fill(pod.FileSystem{Capacity: 10_000, Available: 0}, pod.FileSystem{})
		r.pass(10 * time.Minute)
		if here := r.imagesHere(); !slices.Equal(here, []string{"app"}) {
			t.Errorf("there are %v", here)
		}
		if got := r.nodeEvents("FreeDiskSpaceFailed"); len(got) != 1 {
			t.Errorf("events %q", got)
		}
	})
}

// TestLogsOfFinishedPodsAreCollected: they go when they are too old or the disk
// is too full; the pod stays, and so do running pods' logs.
func TestLogsOfFinishedPodsAreCollected(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"age": time.Hour, "room": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *rig) {
				r.stop()
				r.logMaxAge = age
				r.start()
				r.apply(podNamed("web", nil))
				r.apply(podNamed("job", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
				for _, name := range []string{"web", "job"} {
					r.untilReady(name)
					r.world.Write(pod.Key{UID: r.pod(name).UID, Namespace: "default", Name: name}, "main", "a line\n")
				}
				if err := r.world.Exit(r.pod("job").UID, "main", 0); err != nil {
					t.Fatal(err)
				}
				r.pass(59 * time.Minute)
				if !r.hasLogs("job") {
					t.Error("the logs went before their time")
				}
				if age == 0 {
					r.world.Fill(pod.FileSystem{}, pod.FileSystem{Capacity: 1000, Available: 100})
				}
				r.pass(3 * time.Minute)
				if r.hasLogs("job") {
					t.Error("the logs are still there")
				}
				if !r.hasLogs("web") {
					t.Error("a running pod's logs are gone")
				}
				if p := r.pod("job"); p.Status.Phase != corev1.PodSucceeded {
					t.Errorf("the pod is %s", p.Status.Phase)
				}
			})
		})
	}
}

// TestImagesInUse: an image that a pod needs is removed by force only, and
// prune leaves it.
func TestImagesInUse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("spare")
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		_, err := r.life.images.Remove(t.Context(), &poddv1.RemoveRequest{Name: "app"})
		if err == nil || !strings.Contains(err.Error(), "pod default/web needs image app") {
			t.Errorf("remove: %v", err)
		}
		dry, err := r.life.images.Prune(t.Context(), &poddv1.PruneRequest{DryRun: true})
		if err != nil || len(dry.Images) != 1 || len(r.imagesHere()) != 2 {
			t.Errorf("dry run: %v, %v", dry, err)
		}
		pruned, err := r.life.images.Prune(t.Context(), &poddv1.PruneRequest{})
		if err != nil || len(pruned.Images) != 1 || !slices.Equal(r.imagesHere(), []string{"app"}) {
			t.Errorf("prune: %v, %v", pruned, err)
		}
		if _, err := r.life.images.Remove(t.Context(), &poddv1.RemoveRequest{Name: "app", Force: true}); err != nil {
			t.Errorf("by force: %v", err)
		}
	})
}
