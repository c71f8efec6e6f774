package pod

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Memo is what the outside cannot tell. The worker of the pod owns it; the
// zero value is a pod that was never looked at. Decide and Apply return a new
// one and leave theirs as it was.
type Memo struct {
	// Durable is on disk before the actions it implies start. It travels as
	// JSON.
	Durable Durable
	// Volatile starts afresh with podd, as a kubelet's does.
	Volatile Volatile
}

// Durable is the part of a Memo that survives podd.
type Durable struct {
	// StartedAt is when the pod was first decided on: status.startTime.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Rejected is set once the node could not take the pod, for good.
	Rejected *Rejection `json:"rejected,omitempty"`
	// Verdict is set once the pod was ended, for good, before its containers
	// would have.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Gate is how the wait for its start conditions does, if it has any.
	Gate *Gate `json:"gate,omitempty"`
	// Deleting is set once the wish to delete was seen.
	Deleting bool `json:"deleting,omitempty"`
	// RestartAll is the last restart of all containers, by one's exit.
	RestartAll *RestartAll `json:"restartAll,omitempty"`
	// Waited is set once its end waited for other pods', and Turn is when its own
	// turn came then, or its turn to end with the machine.
	Waited bool      `json:"waited,omitempty"`
	Turn   time.Time `json:"turn,omitzero"`
	// Phase is the last one published. Succeeded and Failed stay.
	Phase corev1.PodPhase `json:"phase,omitempty"`
	// Conditions are the last ones published, with those of others among them.
	Conditions []corev1.PodCondition `json:"conditions,omitempty"`
	// IPs are the pod's last known addresses.
	IPs     []string    `json:"ips,omitempty"`
	Sandbox SandboxMemo `json:"sandbox,omitzero"`
	// Containers by name, init containers included.
	Containers map[string]*ContainerMemo `json:"containers,omitempty"`
	// Retries are actions that failed, by retryKey.
	Retries map[string]Retry `json:"retries,omitempty"`
	// Pulls are images whose last pull failed, by reference.
	Pulls map[string]Retry `json:"pulls,omitempty"`
	// Told is the last event said about a lasting trouble, by what it is about,
	// so that it is said once.
	Told map[string]string `json:"told,omitempty"`
}

// Rejection says why the node could not take the pod, in the kubelet's words.
type Rejection struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// SandboxMemo is what is remembered of the pause container.
type SandboxMemo struct {
	// Attempt is the current one.
	Attempt int `json:"attempt,omitempty"`
	// Up is set once the current attempt was seen running.
	Up bool `json:"up,omitempty"`
	// NetworkUp is set once its network was seen ready.
	NetworkUp bool `json:"networkUp,omitempty"`
	// Lost is set from the moment it is gone or broken until everything that
	// lived in it is removed.
	Lost bool `json:"lost,omitempty"`
	// NotBefore holds the current attempt back after a loss.
	NotBefore time.Time `json:"notBefore,omitzero"`
	BackOff   BackOff   `json:"backOff,omitzero"`
}

// Stage is where the current attempt of a container stands.
//
//	Waiting  -> Creating, Exited
//	Creating -> Running, Exited, Waiting
//	Running  -> Exited
//	Exited   -> Waiting, Creating
//
// Waiting leads to Exited only for a container that will never run (its pod's
// sandbox was lost for good). Creating leads back to Waiting when what was
// created is thrown away unused. Exited leads on to the next attempt.
type Stage string

// The stages. stageMoves is the table of the moves.
const (
	// StageWaiting: nothing of this attempt was made yet.
	StageWaiting Stage = ""
	// StageCreating: its record is made, then its process started.
	StageCreating Stage = "Creating"
	// StageRunning: it was seen running.
	StageRunning Stage = "Running"
	// StageExited: it ended, and Exit says how.
	StageExited Stage = "Exited"
)

// stageMoves tells where a stage may lead. The comment of Stage draws it; a
// test compares the two.
func stageMoves(from Stage) []Stage {
	switch from {
	case StageWaiting:
		return []Stage{StageCreating, StageExited}
	case StageCreating:
		return []Stage{StageRunning, StageExited, StageWaiting}
	case StageRunning:
		return []Stage{StageExited}
	case StageExited:
		return []Stage{StageWaiting, StageCreating}
	}
	return nil
}

// ContainerMemo is what is remembered of one container.
type ContainerMemo struct {
	// Attempt counts from 0; it is the restart count and the log file's number.
	Attempt int   `json:"attempt,omitempty"`
	Stage   Stage `json:"stage,omitempty"`
	// Sandbox is the attempt of the sandbox that this attempt is for.
	Sandbox int `json:"sandbox,omitempty"`
	// Hash is of the spec that this attempt is made from.
	Hash string `json:"hash,omitempty"`
	// Image and ImageID are what it is made from.
	Image   string `json:"image,omitempty"`
	ImageID string `json:"imageID,omitempty"`
	// StopSignal is its own, or the image's, 0 for TERM.
	StopSignal int       `json:"stopSignal,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	// Discard means that what was created of this attempt is to be removed
	// before it is made anew.
	Discard bool `json:"discard,omitempty"`
	// Failed says why it could last not be created, or not be started.
	Failed *Trouble `json:"failed,omitempty"`
	// StartFailed means that Failed is about the start.
	StartFailed bool `json:"startFailed,omitempty"`
	// Stop is set while it is being ended.
	Stop *Stop `json:"stop,omitempty"`
	// Exit is how this attempt ended, Last how the one before did. Never
	// changed once made.
	Exit *Exit `json:"exit,omitempty"`
	Last *Exit `json:"last,omitempty"`
	// Started and Ready are what its startup and readiness probes last came to.
	Started bool    `json:"started,omitempty"`
	Ready   bool    `json:"ready,omitempty"`
	BackOff BackOff `json:"backOff,omitzero"`
	// Restarts counts the attempts before by the reason of their exit. Never
	// changed once made.
	Restarts map[string]int `json:"restarts,omitempty"`
	// PostStarted and PostStartFailed are how its postStart hook ended.
	PostStarted     bool `json:"postStarted,omitempty"`
	PostStartFailed bool `json:"postStartFailed,omitempty"`
}

// Trouble is a reason and a message as a status shows them.
type Trouble struct {
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}

// Stop is the ending of one attempt.
type Stop struct {
	// Because is why, as the Killing event says it.
	Because string `json:"because"`
	// At is when it was decided, KillAt when its patience ends.
	At     time.Time `json:"at"`
	KillAt time.Time `json:"killAt"`
	// HookedAt is when the preStop hook was over; zero while it is not, and
	// without one.
	HookedAt time.Time `json:"hookedAt,omitzero"`
	// TurnAt is when the turn of one came that was needed by others at first.
	TurnAt time.Time `json:"turnAt,omitzero"`
	// Termed means that the first signal was delivered.
	Termed bool `json:"termed,omitempty"`
	// Again means that it is restarted whatever the policy says.
	Again bool `json:"again,omitempty"`
}

// Exit is how an attempt ended.
type Exit struct {
	Attempt int    `json:"attempt"`
	Code    int    `json:"code"`
	Signal  int    `json:"signal,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// StartedAt is zero for an attempt that never ran.
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt"`
	// HookFailed means that it was ended since its postStart hook failed.
	HookFailed bool `json:"hookFailed,omitempty"`
	// Again means that it is restarted whatever the policy says.
	Again bool `json:"again,omitempty"`
}

// BackOff is how restarts are spaced out.
type BackOff struct {
	// Delay is the current one; 0 before the first restart.
	Delay time.Duration `json:"delay,omitempty"`
	// At is when the last restart was let through.
	At time.Time `json:"at,omitzero"`
}

// Retry is something that failed and will be tried again.
type Retry struct {
	Failures int       `json:"failures"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
}

// Volatile is the part of a Memo that does not survive podd.
type Volatile struct {
	// Probes by subject.
	Probes map[Subject]ProbeMemo
	// Pulling is who waits for a pull under way: image reference to container
	// names.
	Pulling map[string][]string
	// Pulls is how each pull under way does, by image reference.
	Pulls map[string]PullMemo
	// Fresh is the image that was pulled for a container's next attempt.
	Fresh map[string]string
	// Done are actions that succeeded, by retryKey, while they go on being
	// wanted: they are spaced out, since they do not do what they should.
	Done map[string]Retry
}

// PullMemo is how a pull does, as far as it was told.
type PullMemo struct {
	Since time.Time
	// Quarters of it were told to be here.
	Quarters int64
}

// ProbeMemo is how one probe of one attempt does.
type ProbeMemo struct {
	// ID is the container's; another one starts afresh.
	ID string
	// Due is when to run it next.
	Due time.Time
	// Healthy is the last outcome and Run how many times it came in a row; 0
	// before the first.
	Healthy bool
	Run     int
	// Told is the last event said of it, empty once it does well, and ToldAt
	// when that was.
	Told   string
	ToldAt time.Time
}

// Equal says whether two memos would be stored alike.
func (d Durable) Equal(o Durable) bool {
	if reflect.DeepEqual(d, o) {
		return true
	}
	a, errA := json.Marshal(d)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// clone is a copy that shares nothing that is ever changed.
func (m Memo) clone() Memo {
	d, v := &m.Durable, &m.Volatile
	d.Conditions = slices.Clone(d.Conditions)
	if d.Gate != nil {
		gate := *d.Gate
		d.Gate = &gate
	}
	d.Containers = cloneMap(d.Containers)
	for name, c := range d.Containers {
		dup := *c
		if c.Stop != nil {
			stop := *c.Stop
			dup.Stop = &stop
		}
		d.Containers[name] = &dup
	}
	d.Retries = cloneMap(d.Retries)
	d.Pulls = cloneMap(d.Pulls)
	d.Told = cloneMap(d.Told)
	v.Probes = cloneMap(v.Probes)
	v.Pulls = cloneMap(v.Pulls)
	v.Fresh = cloneMap(v.Fresh)
	v.Done = cloneMap(v.Done)
	v.Pulling = cloneMap(v.Pulling)
	for ref, names := range v.Pulling {
		v.Pulling[ref] = slices.Clone(names)
	}
	return m
}

// cloneMap never returns nil, so that what it returns can be written to.
func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// Reject marks a pod that the node cannot take: it is Failed with the reason
// and message that Fits gives, and nothing of it is ever started. A pod that
// was rejected already stays as it was.
func Reject(m Memo, now time.Time, reason, message string) Memo {
	if m.Durable.Rejected == nil {
		m.Durable.Rejected = &Rejection{Reason: reason, Message: message, At: now}
	}
	return m
}

// WithCondition sets a condition that somebody else owns, such as one a
// readiness gate asks for. The conditions that Decide computes itself are not
// changed by it.
func WithCondition(m Memo, now time.Time, c corev1.PodCondition) Memo {
	if ownCondition(c.Type) {
		return m
	}
	m = m.clone()
	m.Durable.Conditions = putCondition(m.Durable.Conditions, c, now)
	return m
}
