package runtime

import (
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Labels on every containerd container of ours: from them podd rebuilds what
// it knows. The io.kubernetes ones are a kubelet's, so that log shippers and
// tools find what they look for.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name"
	// LabelKind is KindSandbox or KindContainer.
	LabelKind      = "podd.io/kind"
	LabelAttempt   = "podd.io/attempt"
	LabelSandboxID = "podd.io/sandbox-id"
	// LabelTargetID is the container whose process namespace it shares; absent
	// for what the pod says.
	LabelTargetID = "podd.io/target-id"
	LabelImage    = "podd.io/image"
	LabelImageID  = "podd.io/image-id"
	LabelLogPath  = "podd.io/log-path"
	// LabelLogMaxSize and LabelLogMaxFiles bound the log; absent for the node's
	// own bounds.
	LabelLogMaxSize  = "podd.io/log-max-size"
	LabelLogMaxFiles = "podd.io/log-max-files"
	// LabelMessagePath is the host file that holds the termination message;
	// LabelMessagePolicy is the container's terminationMessagePolicy.
	LabelMessagePath   = "podd.io/termination-message-path"
	LabelMessagePolicy = "podd.io/termination-message-policy"
	// LabelCgroup is the container's cgroup below the hierarchies' roots.
	LabelCgroup = "podd.io/cgroup"
	// LabelStdin and LabelTTY say which FIFOs there are.
	LabelStdin = "podd.io/stdin"
	LabelTTY   = "podd.io/tty"
	// LabelUser is who the process first runs as: "uid:gid:group,group".
	LabelUser = "podd.io/user"
)

// labelInFlight marks the leases that protect what is being made.
const labelInFlight = "podd.io/in-flight"

// The values of LabelKind.
const (
	KindSandbox   = "sandbox"
	KindContainer = "container"
)

// SandboxAnnotation in an OCI spec makes shims of one pod share one process.
const SandboxAnnotation = "io.kubernetes.cri.sandbox-id"

// PodLabels are the labels that a pod's sandbox and containers share.
func PodLabels(key pod.Key, kind string, attempt int) map[string]string {
	return map[string]string{
		LabelPodName:      key.Name,
		LabelPodNamespace: key.Namespace,
		LabelPodUID:       string(key.UID),
		LabelKind:         kind,
		LabelAttempt:      strconv.Itoa(attempt),
	}
}

func keyOf(labels map[string]string) pod.Key {
	return pod.Key{
		UID:       types.UID(labels[LabelPodUID]),
		Namespace: labels[LabelPodNamespace],
		Name:      labels[LabelPodName],
	}
}
