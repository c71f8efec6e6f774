package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Key names one pod for good.
type Key struct {
	UID       types.UID
	Namespace string
	Name      string
}

// Input is everything a decision depends on. Decide changes nothing in it.
type Input struct {
	Now time.Time
	// Pod is the pod as admitted: defaulted, validated, with uid and namespace.
	// Its status is ignored.
	Pod *corev1.Pod
	// Deleted is nil while the pod is wanted.
	Deleted *Deletion
	// Shutdown is nil while the machine stays up.
	Shutdown *Shutdown
	Refs     Refs
	Memo     Memo
	Seen     Observed
	// InFlight are the subjects of the actions under way: what they will have
	// done is not in Seen yet. Nothing is taken from under them, and a pod is
	// not gone before they ended.
	InFlight []Subject
	Node     Node
	// DropLogs is why the logs of the pod are to go if it is finished; empty to
	// keep them as long as the pod.
	DropLogs string
}

// Output is a decision.
type Output struct {
	// Memo replaces the input's. Its durable part is written, if it changed,
	// before the first of Do starts.
	Memo Memo
	// Do is everything that should be under way now, what is under way already
	// included: the shell starts what is missing, one per subject, and cancels
	// what is running, may be cancelled and is no longer in the list.
	Do []Action
	// Status is complete; the shell publishes it if it changed.
	Status corev1.PodStatus
	// Events happened with this decision, for people.
	Events []Event
	// Wake is when to look again even if nothing is reported; zero means that
	// only news can change the decision. It is after Now.
	Wake time.Time
	// Gone means that nothing of the pod is left or in flight, and its object
	// may leave. Only a deleted pod is ever gone.
	Gone bool
}

// Deletion is the wish that a pod end. It may be shortened, never withdrawn.
type Deletion struct {
	// At is when deletion was first asked for.
	At time.Time
	// Grace is how long its processes have between TERM and KILL.
	Grace time.Duration
	// Force kills at once.
	Force bool
}

// Refs is an immutable snapshot of the objects that a pod refers to, by name
// in the pod's own namespace. A name that is absent, or nil, is missing.
type Refs struct {
	ConfigMaps map[string]*corev1.ConfigMap
	Secrets    map[string]*corev1.Secret
	// Priority is that of the pod's class; 0 when it names none that there is.
	Priority int32
	// Standings are how the start conditions of a held pod stand, by their
	// String; one that is absent is not met.
	Standings map[string]Standing
	// EndFirst are the pods, by namespace/name, that start after this one, are
	// being deleted, and still run.
	EndFirst []string
}

// Node is what a decision may know about the host. It rarely changes.
type Node struct {
	Name string
	// IPs are the host's addresses, the preferred one first.
	IPs []string
	// Hostname is what a hostNetwork pod sees.
	Hostname string
	// ResolvConf is the text of the host's resolver configuration.
	ResolvConf string
	// Allocatable is what pods may use; it stands in for limits that a
	// container does not set where resourceFieldRef asks for them.
	Allocatable corev1.ResourceList
	// BackOff bounds retries; the zero value means DefaultBackOff.
	BackOff BackOffPolicy
	// SeccompDefault applies RuntimeDefault where no profile is set.
	SeccompDefault bool
}

// BackOffPolicy is exponential: Initial, twice that, and so on up to Max; it
// starts over after an attempt ran well for twice Max, as a kubelet's does.
type BackOffPolicy struct {
	Initial, Max time.Duration
}

// DefaultBackOff is the kubelet's: 10 s doubling to 5 min.
var DefaultBackOff = BackOffPolicy{Initial: 10 * time.Second, Max: 5 * time.Minute}

// Event is something a person may want to know, with Kubernetes' reasons.
type Event struct {
	// Type is corev1.EventTypeNormal or corev1.EventTypeWarning.
	Type string
	// Reason is Kubernetes' word: Pulled, Created, Started, BackOff, ...
	Reason  string
	Message string
	// Container is empty when the event is about the whole pod; else the field
	// path's container, init containers included.
	Container string
}
