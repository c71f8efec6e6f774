package runtime

import (
	"path"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/cgroups/systemd"
	"k8s.io/apimachinery/pkg/types"
)

// CgroupRoot is the parent of the pods' cgroups, and with that it says who
// makes them. "/podd" is a cgroup that podd makes itself, by mkdir:
//
//	/podd/pod<uid>                 a pod
//	/podd/pod<uid>/<id>            a container, the pause one too
//
// "podd.slice" is a slice, and all below it are units of systemd's:
//
//	/podd.slice/podd-pod<uid>.slice                           a pod
//	/podd.slice/podd-pod<uid>.slice/podd-pod<uid>-<id>.slice  a container, and in it
//	    podd-<id>.scope                                       its processes
//	/podd.slice/podd-pod<uid>.slice/podd-<id>.scope           the pause container
//
// systemd removes a scope's cgroup as soon as its last process ended, and with
// it what the kernel counted there, out-of-memory kills among it. That is why a
// container has a slice of its own around its scope: it stays until podd has
// seen the end.
//
// It is the one place that knows where a cgroup is. Paths are below the roots of
// the hierarchies.
type CgroupRoot string

const (
	podGroup = "pod"
	slice    = ".slice"
)

// Systemd tells whether the cgroups are systemd's units.
func (r CgroupRoot) Systemd() bool { return strings.HasSuffix(string(r), slice) }

// Path is the root's own.
func (r CgroupRoot) Path() string {
	if !r.Systemd() {
		return path.Join("/", string(r))
	}
	expanded, err := systemd.ExpandSlice(string(r))
	if err != nil {
		return path.Join("/", string(r)) // no name of a slice; systemd will say so
	}
	return expanded
}

// Pod is a pod's cgroup.
func (r CgroupRoot) Pod(uid types.UID) string {
	return path.Join(r.Path(), r.podName(uid))
}

// Container is a container's cgroup: its limits, what it used and what happened
// to it are read there.
func (r CgroupRoot) Container(uid types.UID, id string) string {
	return path.Join(r.Pod(uid), r.containerName(uid, id))
}

// Sandbox is the pause container's cgroup.
func (r CgroupRoot) Sandbox(uid types.UID, id string) string {
	if !r.Systemd() {
		return r.Container(uid, id)
	}
	return path.Join(r.Pod(uid), r.prefix()+"-"+id+".scope")
}

// ContainerSpec is how a container's OCI specification names its cgroup: for
// systemd's driver as <slice>:<prefix>:<name>, which is <prefix>-<name>.scope in
// that slice.
func (r CgroupRoot) ContainerSpec(uid types.UID, id string) string {
	if !r.Systemd() {
		return r.Container(uid, id)
	}
	return path.Base(r.Container(uid, id)) + ":" + r.prefix() + ":" + id
}

// SandboxSpec is the same for the pause container.
func (r CgroupRoot) SandboxSpec(uid types.UID, id string) string {
	if !r.Systemd() {
		return r.Container(uid, id)
	}
	return path.Base(r.Pod(uid)) + ":" + r.prefix() + ":" + id
}

// Annotations of an OCI specification are what runc and crun tell systemd of the
// scope: what it is, for people, and that it is to be forgotten when it failed
// too. An out-of-memory kill is a failure, and would leave the unit for ever.
func (r CgroupRoot) Annotations(description string) map[string]string {
	if !r.Systemd() {
		return nil
	}
	return map[string]string{
		"org.systemd.property.Description": "'" + description + "'",
		"org.systemd.property.CollectMode": "'inactive-or-failed'",
	}
}

// noTaskLimit leaves the number of processes unlimited, as under a kubelet:
// systemd would give a scope its DefaultTasksMax, 15 % of what the host can have.
func (r CgroupRoot) noTaskLimit() oci.SpecOpts {
	if !r.Systemd() {
		return oci.Compose()
	}
	return oci.WithPidsLimit(-1)
}

// UID is the pod's whose cgroup, directly below the root, has this name; not ok
// for what is no pod's.
func (r CgroupRoot) UID(name string) (uid types.UID, ok bool) {
	if !r.Systemd() {
		rest, ok := strings.CutPrefix(name, podGroup)
		return types.UID(rest), ok && rest != ""
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, slice), r.prefix()+"-"+podGroup)
	return types.UID(unescape.Replace(rest)), ok && rest != "" && strings.HasSuffix(name, slice)
}

// prefix begins the name of every unit below the root.
func (r CgroupRoot) prefix() string { return strings.TrimSuffix(string(r), slice) }

// A dash in a slice's name goes one level down, so that a uid's is written as a
// kubelet does it, and its underscore as systemd does what has no letter.
var (
	escape   = strings.NewReplacer("-", "_", "_", `\x5f`)
	unescape = strings.NewReplacer("_", "-", `\x5f`, "_")
)

// podName and containerName are the last parts of the paths.
func (r CgroupRoot) podName(uid types.UID) string {
	if !r.Systemd() {
		return podGroup + string(uid)
	}
	return r.prefix() + "-" + podGroup + escape.Replace(string(uid)) + slice
}

func (r CgroupRoot) containerName(uid types.UID, id string) string {
	if !r.Systemd() {
		return id
	}
	return strings.TrimSuffix(r.podName(uid), slice) + "-" + id + slice
}
