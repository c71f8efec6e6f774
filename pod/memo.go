package pod

// Memo is what the outside cannot tell. The worker of the pod owns it; the
// zero value is a pod that was never looked at.
type Memo struct {
	// Durable is on disk before the actions it implies start. It travels as
	// JSON.
	Durable Durable
	// Volatile starts afresh with podd, as a kubelet's does.
	Volatile Volatile
}

// Durable is the part of a Memo that survives podd.
type Durable struct{}

// Volatile is the part of a Memo that does not.
type Volatile struct{}

// Decide says what to do now for one pod, and when to look again.
func Decide(in Input) Output { return Output{Memo: in.Memo} }
