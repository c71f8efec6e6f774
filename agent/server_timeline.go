package agent

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// Phase is a part of podd's own start.
type Phase struct {
	Name string
	// Ended is zero while it goes on.
	Began, Ended time.Time
}

func (i *insight) Timeline(_ context.Context, req *poddv1.TimelineRequest) (*poddv1.TimelineResponse, error) {
	resp := &poddv1.TimelineResponse{Now: timestamppb.Now()}
	for _, p := range i.a.cfg.Self.Phases() {
		resp.Phases = append(resp.Phases, &poddv1.StartPhase{Name: p.Name, Began: stamp(p.Began), Ended: stamp(p.Ended)})
	}
	wanted := req.GetPod()
	for _, p := range sorted(i.a.Progress()) {
		if wanted == nil || p.Pod.Name == wanted.GetName() && p.Pod.Namespace == cmp.Or(wanted.GetNamespace(), metav1.NamespaceDefault) {
			resp.Pods = append(resp.Pods, wireStart(p))
		}
	}
	if wanted != nil && len(resp.GetPods()) == 0 {
		return nil, apierrors.NewNotFound(resource(KindPod), wanted.GetName())
	}
	return resp, nil
}

// sorted has what began first first.
func sorted(all []Progress) []Progress {
	slices.SortFunc(all, func(a, b Progress) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Pod.Namespace, b.Pod.Namespace), cmp.Compare(a.Pod.Name, b.Pod.Name))
	})
	for _, p := range all {
		slices.SortFunc(p.UnderWay, func(a, b Step) int {
			return cmp.Or(a.Wanted.Compare(b.Wanted), cmp.Compare(a.Subject, b.Subject))
		})
	}
	return all
}

func wireStart(p Progress) *poddv1.PodStart {
	s := &poddv1.PodStart{
		Pod: &poddv1.PodRef{Namespace: p.Pod.Namespace, Name: p.Pod.Name}, Uid: string(p.Pod.UID), Attempt: int32(p.Attempt),
		Begun: stamp(p.Begun), Running: stamp(p.Running), Ready: stamp(p.Ready), Over: stamp(p.Over), Outcome: string(p.Outcome),
		Taken: stamp(p.Taken), Dropped: int32(p.Dropped),
	}
	for _, step := range p.Steps {
		s.Steps = append(s.Steps, wireStep(step))
	}
	for _, step := range p.UnderWay {
		s.UnderWay = append(s.UnderWay, wireStep(step))
	}
	return s
}

func wireStep(s Step) *poddv1.StartStep {
	return &poddv1.StartStep{
		Kind: string(s.Kind), Subject: string(s.Subject), Attempt: int32(s.Attempt), Reason: s.Reason,
		Wanted: stamp(s.Wanted), Began: stamp(s.Began), Ended: stamp(s.Ended), Error: s.Error,
	}
}

// stamp is nil for no time.
func stamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}
