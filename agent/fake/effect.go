package fake

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// The kinds of effect that are no actions of package pod.
const (
	Observe   pod.Kind = "Observe"
	ListPods  pod.Kind = "ListPods"
	Exec      pod.Kind = "Exec"
	Attach    pod.Kind = "Attach"
	Copy      pod.Kind = "Copy"
	Dial      pod.Kind = "Dial"
	Load      pod.Kind = "Load"
	Commit    pod.Kind = "Commit"
	PutMemo   pod.Kind = "PutMemo"
	PutEvents pod.Kind = "PutEvents"
)

// Op is one effect that is about to happen.
type Op struct {
	// N counts the effects from 1.
	N    int
	Kind pod.Kind
	UID  types.UID
	// What it acts on: no two effects on the same thing may overlap.
	What string
}

func (o Op) String() string { return fmt.Sprintf("%d %s %s %s", o.N, o.Kind, o.UID, o.What) }

// Fault is how an effect goes wrong. The zero value is not at all.
type Fault struct {
	// Err is what the caller gets.
	Err error
	// After: it happened nevertheless.
	After bool
	// Hang: the caller hears nothing before its context ends.
	Hang bool
	// Kill: podd dies at this point.
	Kill bool
}

// errKilled is what a dead podd would get if it were not dead.
var errKilled = fmt.Errorf("podd was killed")

// effect carries out one effect of this session: do runs with the world's lock
// held.
func (s *Session) effect(ctx context.Context, kind pod.Kind, uid types.UID, what string, do func() error) error {
	op, fault, latency := s.world.begin(kind, uid, what)
	defer s.world.end(op)
	if err := s.pass(ctx, latency); err != nil {
		return err
	}
	if !fault.After {
		if err := s.fail(ctx, fault); err != nil {
			return err
		}
	}
	err := s.happen(kind, do)
	if fault.After {
		if failed := s.fail(ctx, fault); failed != nil {
			return failed
		}
	}
	return err
}

// begin notes that an effect begins, and what will become of it.
func (w *World) begin(kind pod.Kind, uid types.UID, what string) (Op, Fault, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops++
	op := Op{N: w.ops, Kind: kind, UID: uid, What: what}
	if other, busy := w.busy[op.place()]; busy && what != "" {
		w.violate("%s begins during %s", op, other)
	}
	w.busy[op.place()] = op
	if heavy(kind) {
		w.heavy++
		w.maxHeavy = max(w.maxHeavy, w.heavy)
	}
	return op, w.faults(op), w.latency(kind)
}

func (o Op) place() string { return string(o.UID) + "/" + o.What }

func (w *World) end(op Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, op.place())
	if r := w.pods[op.UID]; r != nil && (op.Kind == pod.RemoveCgroup || op.Kind == pod.RemoveLogs) && len(r.leftovers()) == 0 {
		delete(w.pods, op.UID) // the same uid may come again
	}
	if heavy(op.Kind) {
		w.heavy--
	}
}

func heavy(k pod.Kind) bool {
	switch k { //nolint:exhaustive // the others are light
	case pod.CreateSandbox, pod.RemoveSandbox, pod.SetupNetwork, pod.RemoveNetwork,
		pod.CreateContainer, pod.StartContainer, pod.ReapContainer, pod.RemoveContainer:
		return true
	}
	return false
}

// pass lets an effect's time pass.
func (s *Session) pass(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.killed:
		return errKilled
	}
}

func (s *Session) fail(ctx context.Context, f Fault) error {
	switch {
	case f.Kill:
		s.Kill()
		return errKilled
	case f.Hang:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.killed:
			return errKilled
		}
	}
	return f.Err
}

func (s *Session) happen(kind pod.Kind, do func() error) error {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-s.killed:
		return errKilled
	default:
	}
	if w.down && ofContainerd(kind) {
		return &pod.Failure{Kind: pod.Transient, Message: "containerd does not answer"}
	}
	return do()
}

// ofContainerd says whether it takes containerd to do it.
func ofContainerd(k pod.Kind) bool {
	switch k { //nolint:exhaustive // the others need it
	case pod.CreateCgroup, pod.RemoveCgroup, pod.SetupVolume, pod.RemoveVolumes, pod.SetupNetwork, pod.RemoveNetwork,
		pod.RemoveLogs, pod.RunProbe, Load, Commit, PutMemo, PutEvents:
		return false
	}
	return true
}
