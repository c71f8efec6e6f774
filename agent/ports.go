package agent

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// The ports: what the agent needs of the world, each as small as its use. All
// effects are idempotent, and undoing works without the doing. Errors are
// *pod.Failure, wrapped or bare; any other error counts as transient. Every
// call has a deadline in its context.

// Store keeps what must not be lost. A write is on disk when it returns, or has
// changed nothing when it fails. Package store has the real one.
type Store interface {
	// Load reads everything.
	Load() (store.State, error)
	// Commit stores a change of objects: all of it or nothing.
	Commit(c store.Change) error
	// PutMemo stores what is remembered of one pod, and with it, or not at all,
	// decisions about it.
	PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error
	// Note records a decision that changes no memo. It is on disk a few seconds
	// later; a crash may lose it, and so may a write that fails.
	Note(uid types.UID, decision []byte)
	// Decisions are those recorded about a pod, the oldest first. Old ones go
	// beyond a bound, and all of them with the pod's memo.
	Decisions(uid types.UID) ([]json.RawMessage, error)
	// PutEvents stores events and removes others, by namespace/name.
	PutEvents(put map[string][]byte, remove []string) error
}

// Images fetches and keeps images.
type Images interface {
	// Pull fetches an image by the reference as a pod writes it and unpacks it.
	// Pulls of one reference at the same time share one transfer. It bounds how
	// many run at once, and how long each does.
	Pull(ctx context.Context, cfg pod.PullConfig) (pod.Pulled, error)
}

// Sandboxes makes and removes pause containers, with the shared files of the
// pod (/etc/hostname, /etc/resolv.conf) and its log directory.
type Sandboxes interface {
	// Create creates and starts one attempt; one that runs already is success.
	Create(ctx context.Context, cfg pod.SandboxConfig) error
	// Remove kills and removes it; one that is not there is success.
	Remove(ctx context.Context, uid types.UID, id string) error
}

// Containers makes, runs and removes app containers.
type Containers interface {
	Create(ctx context.Context, cfg pod.ContainerConfig) error
	// Start starts the process and the reading of its output into the log.
	Start(ctx context.Context, cfg pod.ContainerConfig) error
	Signal(ctx context.Context, cfg pod.SignalConfig) error
	// Reap deletes the task of an exited attempt.
	Reap(ctx context.Context, id string) error
	// Remove removes the record and the snapshot, and the task if there is one.
	Remove(ctx context.Context, id string) error
}

// Execer runs a further process in a container.
type Execer interface {
	// Exec runs cmd to its end and returns its exit code. When ctx ends, the
	// process is killed and ctx's error returned. Output goes to the writers as
	// it comes; nil discards it; a nil stdin is empty.
	Exec(ctx context.Context, containerID string, cmd pod.ExecCommand) (exitCode int, err error)
}

// Attacher joins a container's own streams.
type Attacher interface {
	// Attach passes output on until it has ended, and input as long as there is
	// any. When ctx ends it returns ctx's error; the container runs on.
	Attach(ctx context.Context, containerID string, opts pod.AttachOptions) error
}

// Dialer connects to what listens in a pod.
type Dialer interface {
	// Dial connects to a TCP port of the pod's loopback, IPv4 before IPv6. The
	// caller closes the connection.
	Dial(ctx context.Context, p *corev1.Pod, port uint16) (net.Conn, error)
}

// Files copies files out of and into running containers, without a program in
// them. Paths are the container's; a link never leads out of its file system. A
// relative path begins at the container's working directory.
type Files interface {
	// CopyOut writes a tar archive of what is at path.
	CopyOut(ctx context.Context, containerID, path string, w io.Writer) error
	// CopyIn unpacks a tar archive into the directory at path. With preserve it
	// keeps the archive's modes, owners and times.
	CopyIn(ctx context.Context, containerID, path string, r io.Reader, preserve bool) error
}

// Volumes makes and removes what a pod has on disk.
type Volumes interface {
	Setup(ctx context.Context, cfg pod.VolumeConfig) error
	// Remove unmounts and deletes everything of the pod but its logs.
	Remove(ctx context.Context, uid types.UID) error
}

// Cgroups makes and removes pod cgroups.
type Cgroups interface {
	Create(ctx context.Context, cfg pod.CgroupConfig) error
	Remove(ctx context.Context, uid types.UID) error
}

// Network makes and removes pods' network namespaces.
type Network interface {
	Setup(ctx context.Context, cfg pod.NetworkConfig) error
	Remove(ctx context.Context, cfg pod.NetworkConfig) error
}

// Logs reads and removes container logs.
type Logs interface {
	// Read writes a container's log to w until its end or, with Follow, until
	// ctx ends or done is closed and everything is read.
	Read(ctx context.Context, w io.Writer, opts pod.LogOptions) error
	Remove(ctx context.Context, key pod.Key) error
	// Size is what a pod's logs take on disk, in bytes; 0 when it has none.
	Size(ctx context.Context, key pod.Key) (int64, error)
}

// Prober runs network probes from the host.
type Prober interface {
	Probe(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error)
}

// Caller makes the HTTP requests of lifecycle hooks.
type Caller interface {
	// Call sends one; whatever is answered is success, as with a kubelet.
	Call(ctx context.Context, host string, get *corev1.HTTPGetAction) error
}

// Observer tells what exists.
type Observer interface {
	// Observe reads all there is of one pod. refs are the image references it
	// needs to know about.
	Observe(ctx context.Context, key pod.Key, refs []string) (pod.Observed, error)
	// Pods lists every pod of which anything exists, by labels and directories:
	// what the store does not know is an orphan.
	Pods(ctx context.Context) ([]pod.Key, error)
	// Hints calls hint whenever something may have changed in a pod, until ctx
	// ends. Hints may be lost or doubled; an empty uid means "all".
	Hints(ctx context.Context, hint func(types.UID)) error
}

// Conditions tell how the host stands to what pods wait for before they start.
type Conditions interface {
	// Stands is asked often, and answers at once. What can't be found out is not
	// met, and the detail says why.
	Stands(ctx context.Context, c pod.StartCondition) pod.Standing
}

// Host tells about the machine.
type Host interface {
	Node(ctx context.Context) (*corev1.Node, error)
}

// ImageStore is what people do with images.
type ImageStore interface {
	List(ctx context.Context) ([]pod.StoredImage, error)
	// Import loads an OCI or Docker archive, plain or compressed, unpacks its
	// images and pins them. name is for an archive that has none in it. An
	// archive that does not arrive whole leaves nothing behind.
	Import(ctx context.Context, archive io.Reader, name string) ([]pod.StoredImage, error)
	// Pulling tells how far the transfer of an image is, in bytes; total is 0
	// while it is not known, and grows as more of the image is.
	Pulling(ctx context.Context, ref string) (done, total int64, err error)
	// Remove removes an image's name, or all names of an image given by id, and
	// tells which went. needed are references, with who needs each: an image that
	// one of them leads to stays, and that is a conflict.
	Remove(ctx context.Context, name string, needed map[string]string) ([]string, error)
	// Unneeded lists the images that are not pinned, that no container was made
	// from, and that none of the references leads to.
	Unneeded(ctx context.Context, needed map[string]string) ([]pod.StoredImage, error)
	// Verify holds images on disk against their digests and tells of each; with
	// repair it mends what it can. No names are all images.
	Verify(ctx context.Context, names []string, repair bool, tell func(pod.ImageCheck) error) error
}

// Usage reads what is used.
type Usage interface {
	// Read reads what the node and these pods use now. What could be read is
	// returned whatever failed; pods that have no cgroup are left out.
	Read(ctx context.Context, pods []*corev1.Pod, of pod.UsageOf) (pod.Usage, error)
}

// Meter is told of what metrics count. It answers at once, and is called from
// any goroutine.
type Meter interface {
	// Acted is told of every action that was carried out, but for those that were
	// cancelled.
	Acted(key pod.Key, r pod.Result)
	// Looked is told of every look at a pod.
	Looked(l Look)
	// Came is told once that all containers of a pod were started, or that it is
	// Ready, and how long that took since it was submitted to this podd.
	Came(to Milestone, took time.Duration)
	// Left is told once nothing is left of a pod.
	Left(key pod.Key)
}

// Look is one round of a pod's worker.
type Look struct {
	// Observing is how long it took to read what there is of the pod, Took all of
	// the round.
	Observing, Took time.Duration
	// Since is the time since the look before began; 0 for the first.
	Since time.Duration
	// Ending: the pod is being deleted.
	Ending bool
}

// Self tells about podd as a process.
type Self interface {
	// Phases are the parts of its start, in order.
	Phases() []Phase
	// Log is the end of podd's log.
	Log() []byte
	// State writes down what podd does now, its goroutines included.
	State(w io.Writer) error
}

// Tracer is told how pods start, each by its worker. It must not wait for
// anything. Untraced is one that does nothing.
type Tracer interface {
	// Begin tells that a start begins, or that this podd goes on with one.
	Begin(s Start)
	// Step tells of a step that is over; it is the last of s unless there was no
	// room for it.
	Step(s Start, step Step)
	// Over tells that a start is over.
	Over(s Start)
}

// Disks tell how full the file systems are that podd fills.
type Disks interface {
	Images(ctx context.Context) (pod.FileSystem, error)
	Logs(ctx context.Context) (pod.FileSystem, error)
}
