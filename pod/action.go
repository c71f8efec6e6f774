package pod

import (
	"fmt"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Kind says what an action does.
type Kind string

// The kinds of action. Every one is idempotent: done twice it succeeds and
// changes nothing more. Undoing works without the doing.
const (
	// CreateCgroup makes the pod's cgroup in every hierarchy, or sets its
	// limits anew.
	CreateCgroup Kind = "CreateCgroup"
	// RemoveCgroup removes it.
	RemoveCgroup Kind = "RemoveCgroup"
	// SetupVolume makes one volume ready, or brings its content up to date.
	SetupVolume Kind = "SetupVolume"
	// RemoveVolumes removes everything the pod has on disk but its logs:
	// mounts first, then files.
	RemoveVolumes Kind = "RemoveVolumes"
	// SetupNetwork makes the network namespace and wires it.
	SetupNetwork Kind = "SetupNetwork"
	// RemoveNetwork unwires and removes it.
	RemoveNetwork Kind = "RemoveNetwork"
	// CreateSandbox creates and starts the pause container.
	CreateSandbox Kind = "CreateSandbox"
	// RemoveSandbox kills and removes one attempt of it.
	RemoveSandbox Kind = "RemoveSandbox"
	// PullImage fetches an image. It may be cancelled.
	PullImage Kind = "PullImage"
	// CreateContainer makes one attempt's snapshot and record.
	CreateContainer Kind = "CreateContainer"
	// StartContainer starts an attempt's process and the reading of its output.
	StartContainer Kind = "StartContainer"
	// SignalContainer sends a signal to an attempt's process; what has ended
	// already is no error.
	SignalContainer Kind = "SignalContainer"
	// ReapContainer deletes the task of an attempt whose exit is in the durable
	// memo. containerd tells an exit only until then.
	ReapContainer Kind = "ReapContainer"
	// RemoveContainer removes an attempt's record and snapshot.
	RemoveContainer Kind = "RemoveContainer"
	// RunProbe runs one probe once. It may be cancelled.
	RunProbe Kind = "RunProbe"
	// RunHook runs a lifecycle hook to its end. It may be cancelled.
	RunHook Kind = "RunHook"
	// RemoveLogs removes the pod's log directory.
	RemoveLogs Kind = "RemoveLogs"
)

// Cancelable says whether the shell may end an action of this kind midway.
func (k Kind) Cancelable() bool { return k == PullImage || k == RunProbe || k == RunHook }

// Subject is what an action acts on. At most one action per subject is in
// flight. It is comparable: "container/web", "network", "probe/web/liveness".
type Subject string

// The subjects there is one of in a pod.
const (
	SubjectCgroup  Subject = "cgroup"
	SubjectNetwork Subject = "network"
	SubjectSandbox Subject = "sandbox"
	// SubjectFiles is the pod's directory: RemoveVolumes and RemoveLogs.
	SubjectFiles Subject = "files"
)

// SubjectVolume is the subject of one volume.
func SubjectVolume(name string) Subject { return Subject("volume/" + name) }

// SubjectImage is the subject of the pull of one image reference.
func SubjectImage(ref string) Subject { return Subject("image/" + ref) }

// SubjectContainer is the subject of one container, whatever the attempt.
func SubjectContainer(name string) Subject { return Subject("container/" + name) }

// SubjectProbe is the subject of one probe of one container.
func SubjectProbe(container string, kind ProbeKind) Subject {
	return Subject(fmt.Sprintf("probe/%s/%s", container, kind))
}

// Action is one side effect, wanted now. Exactly the field that its Kind needs
// is set.
type Action struct {
	Kind    Kind
	Subject Subject
	// Reason says why, for people: it is logged, traced and recorded.
	Reason string

	Cgroup    *CgroupConfig    // CreateCgroup
	Volume    *VolumeConfig    // SetupVolume
	Network   *NetworkConfig   // SetupNetwork, RemoveNetwork
	Sandbox   *SandboxConfig   // CreateSandbox
	Pull      *PullConfig      // PullImage
	Container *ContainerConfig // CreateContainer, StartContainer
	Signal    *SignalConfig    // SignalContainer
	Probe     *ProbeConfig     // RunProbe
	Hook      *HookConfig      // RunHook
	// ID is what RemoveSandbox, ReapContainer, RemoveContainer act on.
	ID string
	// Attempt of the container or sandbox acted on, where there is one.
	Attempt int
}

// CgroupConfig is the pod's cgroup: <cgroup root>/pod<uid>.
type CgroupConfig struct {
	UID types.UID
	// Resources is the sum of what the containers ask for, as the kubelet
	// computes it. A zero value is "not limited".
	Resources PodResources
}

// PodResources are a pod cgroup's settings.
type PodResources struct {
	// MilliCPURequest becomes cpu.shares or cpu.weight.
	MilliCPURequest int64
	// MilliCPULimit becomes a CFS quota; 0 means none.
	MilliCPULimit int64
	// MemoryLimit in bytes; 0 means none.
	MemoryLimit int64
}

// VolumeConfig is one volume of a pod.
type VolumeConfig struct {
	UID    types.UID
	Volume corev1.Volume
	// Files is the content of a volume that is made from objects, by path
	// relative to its root; nil for the other kinds.
	Files map[string]File
	// Hash is the content's, and what Observed.Volumes reports once it is there.
	Hash string
	// FSGroup owns the files if it is not nil.
	FSGroup *int64
	// Mounted says whether the volume's files are to be owned by the group
	// only when the root's owner differs (fsGroupChangePolicy).
	FSGroupChangePolicy *corev1.PodFSGroupChangePolicy
}

// File is one file of a volume.
type File struct {
	Data []byte
	Mode int32
}

// NetworkConfig is a pod's network.
type NetworkConfig struct {
	UID       types.UID
	Namespace string
	Name      string
	// SandboxID is what CNI knows the pod by.
	SandboxID string
	HostPorts []HostPort
	Labels    map[string]string
	// Sysctls to set in the new namespace are the sandbox's affair, not this.
}

// HostPort is a port of the host that leads to the pod.
type HostPort struct {
	// HostIP is empty for every address of the host.
	HostIP        string
	HostPort      int32
	ContainerPort int32
	// Protocol is TCP, UDP or SCTP.
	Protocol corev1.Protocol
}

// SandboxConfig is one attempt of the pause container, with what the pod's
// containers share.
type SandboxConfig struct {
	Pod     *corev1.Pod
	ID      string
	Attempt int
	// Hostname and ResolvConf are for the pod's managed files.
	Hostname   string
	ResolvConf string
	// HostNetwork pods have no namespace of their own.
	HostNetwork bool
	Seccomp     bool
}

// PullConfig is an image to fetch.
type PullConfig struct {
	// Ref is the reference as the pod writes it.
	Ref    string
	Policy corev1.PullPolicy
	// Secrets are the dockerconfigjson values to try, in order.
	Secrets [][]byte
	// Priority is the pod's: who has a higher one is served first.
	Priority int32
	// Platform is as in "linux/arm64"; empty for the host's.
	Platform string
}

// Pulled is an image that was fetched.
type Pulled struct {
	Image
	// Size of its content in bytes, compressed.
	Size int64
	// Took is how long the transfer took, without waiting for its turn.
	Took time.Duration
}

// ContainerConfig is one attempt of one container. The runtime makes an OCI
// spec of it; everything that depends on other objects is resolved already.
type ContainerConfig struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Attempt   int
	ID        string
	SandboxID string
	// TargetID is the container whose process namespace it shares; empty for
	// what the pod says.
	TargetID string
	// ImageID is the image as Observed.Images tells it.
	ImageID string
	// Command and Args are expanded; empty means the image's own.
	Command, Args []string
	// Env is "NAME=value", in order, without the image's own.
	Env []string
	// Hostname, Domain (often empty), PodIPs and HostAliases make /etc/hosts.
	Hostname string
	Domain   string
	PodIPs   []string
	// SeccompDefault applies RuntimeDefault where no profile is set.
	SeccompDefault bool
	// OOMScoreAdj is the kubelet's for the pod's QoS class.
	OOMScoreAdj int
}

// SignalConfig is a signal to one attempt.
type SignalConfig struct {
	ID     string
	Signal syscall.Signal
}

// ProbeKind is what a probe is for.
type ProbeKind string

// The kinds of probe.
const (
	Startup   ProbeKind = "startup"
	Liveness  ProbeKind = "liveness"
	Readiness ProbeKind = "readiness"
)

// ProbeConfig is one run of one probe.
type ProbeConfig struct {
	Container   string
	ContainerID string
	Kind        ProbeKind
	Handler     corev1.ProbeHandler
	// Host is where network probes go: the pod's IP, or the node's for a
	// hostNetwork pod. Ports in Handler are numbers already.
	Host    string
	Timeout time.Duration
	// Period is how often it runs; the next is due that long after this one
	// started.
	Period time.Duration
	// Pod names the pod in the request's headers and in messages.
	Pod types.NamespacedName
}

// Result is how an action ended.
type Result struct {
	// Action is the finished one.
	Action Action
	// Err is nil on success; Decide is never told of a cancelled action.
	Err               *Failure
	Started, Finished time.Time
	// Probe is RunProbe's outcome; Err is nil then unless the probe could not
	// be run at all.
	Probe *ProbeOutcome
	// Pulled is what PullImage brought; nil if it failed.
	Pulled *Pulled
}

// ProbeOutcome is what a probe said.
type ProbeOutcome struct {
	Healthy bool
	// Warning means that there is something to say although it is healthy.
	Warning bool
	// Output is for the event, at most 10 KiB as the kubelet caps it.
	Output string
}

// FailureKind is what can be done about a failure.
type FailureKind string

// The kinds of failure.
const (
	// Transient may go away by itself: try again with back-off.
	Transient FailureKind = "Transient"
	// Permanent stays until something is changed: still tried again with
	// back-off, since what changes may be out of our sight.
	Permanent FailureKind = "Permanent"
	// NotFound means that what was to be acted on is not there.
	NotFound FailureKind = "NotFound"
	// Conflict means that something else holds what is needed.
	Conflict FailureKind = "Conflict"
)

// Failure is a foreign error, translated once at the boundary. It is an error;
// ports return it, wrapped or bare, and what is not one counts as Transient.
type Failure struct {
	Kind FailureKind
	// Reason is Kubernetes' word for it (ErrImagePull, RunContainerError, ...),
	// or empty when the action's kind says it.
	Reason string
	// Message is for people.
	Message string
}

func (f *Failure) Error() string { return f.Message }
