package pod

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FinishedTTLAnnotation is how long a pod stays once it has finished, such as
// "10m"; "0s" is not at all. The node has one of its own.
const FinishedTTLAnnotation = "podd.io/finished-pod-ttl"

// FinishedPolicy says how long finished pods stay, with their logs.
type FinishedPolicy struct {
	// TTL is how long one stays; 0 is until somebody deletes it.
	TTL time.Duration
	// Max is how many stay; 0 is all.
	Max int
}

// FinishedTTLOf is what a pod's annotation says; nil when it says nothing.
func FinishedTTLOf(p *corev1.Pod) (*time.Duration, error) {
	text := strings.TrimSpace(p.Annotations[FinishedTTLAnnotation])
	if text == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return nil, fmt.Errorf("%q is not a duration such as 10m", text)
	}
	return &d, nil
}

// FinishedPod is one that Succeeded or Failed.
type FinishedPod struct {
	UID types.UID
	// At is when it did.
	At time.Time
	// TTL is its own; nil for the node's.
	TTL *time.Duration
}

// Expired is a finished pod that is to go, and why, for people.
type Expired struct {
	UID    types.UID
	Reason string
}

// Expire chooses the finished pods that are to go: those whose time is up, and
// the oldest beyond the limit. next is when the next one's time is up; zero for
// none.
func Expire(now time.Time, policy FinishedPolicy, all []FinishedPod) (gone []Expired, next time.Time) {
	all = slices.SortedFunc(slices.Values(all), func(a, b FinishedPod) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.UID, b.UID)) // the newest first
	})
	kept := 0
	for _, p := range all {
		due, expires := p.due(policy)
		switch {
		case expires && !due.After(now):
			gone = append(gone, Expired{p.UID, fmt.Sprintf("it finished %s ago", now.Sub(p.At).Round(time.Second))})
		case policy.Max > 0 && kept == policy.Max:
			gone = append(gone, Expired{p.UID, fmt.Sprintf("%d pods finished after it, and no more are kept", kept)})
		default:
			kept++
			if expires && (next.IsZero() || due.Before(next)) {
				next = due
			}
		}
	}
	return gone, next
}

func (p FinishedPod) due(policy FinishedPolicy) (due time.Time, expires bool) {
	if p.TTL != nil {
		return p.At.Add(*p.TTL), true
	}
	return p.At.Add(policy.TTL), policy.TTL > 0
}
