package pod

import (
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Observed is what exists of one pod now, read from containerd, mountinfo and
// the file system, never from memory. What is absent from it does not exist.
type Observed struct {
	Cgroup bool
	// Files is true while the pod has a directory under the root.
	Files bool
	// Logs is true while the pod has a log directory.
	Logs bool
	// Volumes that are ready, by name, with the hash of their content ("" for
	// kinds whose content is not ours).
	Volumes map[string]string
	// Network is nil when the pod has no network namespace.
	Network *Network
	// Sandboxes and Containers are all attempts that exist, in no order.
	Sandboxes  []Sandbox
	Containers []Container
	// Images that are here, by reference as the pod writes it.
	Images map[string]Image
	// Pulls are the transfers under way of images that the pod needs, by
	// reference.
	Pulls map[string]Progress
}

// Progress is how far something is, in bytes. Total is 0 while it isn't known.
type Progress struct{ Done, Total int64 }

// Network is a pod's network namespace.
type Network struct {
	// Ready is true when it is wired; a namespace without wiring is not.
	Ready bool
	// IPs are its addresses, the primary one first.
	IPs []string
}

// State is where a sandbox or container attempt stands. It never goes back,
// but for Exited to Created when its task was reaped: the memo tells these
// apart.
type State string

// The states.
const (
	// Created: it has a record and no process.
	Created State = "Created"
	// Running: it has a process.
	Running State = "Running"
	// Exited: its process ended, and its task still tells how.
	Exited State = "Exited"
)

// Sandbox is one attempt of the pause container.
type Sandbox struct {
	ID        string
	Attempt   int
	State     State
	CreatedAt time.Time
}

// Container is one attempt of one container.
type Container struct {
	ID        string
	Name      string
	Attempt   int
	State     State
	SandboxID string
	// TargetID is the container whose process namespace it was made to share.
	TargetID string
	// Image is the reference it was made from; ImageID what it led to then.
	Image, ImageID string
	CreatedAt      time.Time
	// StartedAt and FinishedAt are zero while unknown.
	StartedAt, FinishedAt time.Time
	ExitCode              int
	// Signal is set when the exit was by one, 0 otherwise.
	Signal    int
	OOMKilled bool
	// Message is the termination message, at most 4096 bytes, once Exited.
	Message string
	// User is who its process first ran as; nil while unknown.
	User *corev1.LinuxContainerUser
}

// Image is an image that is here.
type Image struct {
	// ID is as Kubernetes' imageID tells it: name@digest, or the digest of the
	// configuration for an image without one.
	ID string
	// User is the image's own: "", "uid", "name", "uid:gid".
	User string
	// StopSignal is the image's own, 0 for none.
	StopSignal syscall.Signal
	// Imported: it came from an archive, whatever a pull may do.
	Imported bool
}

// StoredImage is an image in the store, for people.
type StoredImage struct {
	// ID is the digest of its configuration.
	ID string
	// Names are its full references, Digests its name@digest ones.
	Names, Digests []string
	// Size of its content in bytes, compressed.
	Size      int64
	CreatedAt time.Time
	// Pinned images are never collected.
	Pinned bool
}
