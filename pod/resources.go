package pod

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// qosClass is the pod's quality of service class, from its containers' cpu and
// memory, init containers included.
func qosClass(p *corev1.Pod) corev1.PodQOSClass {
	var class corev1.PodQOSClass
	for _, list := range [...][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			for _, name := range [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				one := resourceClass(&list[i].Resources, name)
				if class != "" && class != one {
					return corev1.PodQOSBurstable
				}
				class = one
			}
		}
	}
	if class == "" {
		return corev1.PodQOSBestEffort
	}
	return class
}

func resourceClass(r *corev1.ResourceRequirements, name corev1.ResourceName) corev1.PodQOSClass {
	request, limit := r.Requests[name], r.Limits[name]
	switch {
	case !request.Equal(limit):
		return corev1.PodQOSBurstable
	case request.IsZero():
		return corev1.PodQOSBestEffort
	}
	return corev1.PodQOSGuaranteed
}

// requests is what the pod as a whole asks for: the sum of its app containers
// and sidecars, or the most that is needed while an init container runs beside
// the sidecars before it, plus its overhead.
func requests(p *corev1.Pod) corev1.ResourceList {
	total := sum(p, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Requests })
	add(total, p.Spec.Overhead)
	return total
}

// limits is the same for limits, where overhead only raises what is limited.
func limits(p *corev1.Pod) corev1.ResourceList {
	total := sum(p, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Limits })
	for name, q := range p.Spec.Overhead {
		if have, ok := total[name]; ok && !have.IsZero() {
			have.Add(q)
			total[name] = have
		}
	}
	return total
}

func sum(p *corev1.Pod, of func(*corev1.Container) corev1.ResourceList) corev1.ResourceList {
	total := corev1.ResourceList{}
	for i := range p.Spec.Containers {
		add(total, of(&p.Spec.Containers[i]))
	}
	most, beside := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range p.Spec.InitContainers {
		init := &p.Spec.InitContainers[i]
		now := corev1.ResourceList{}
		add(now, beside)
		add(now, of(init))
		raise(most, now)
		if isSidecar(init) {
			beside = now
		}
	}
	add(total, beside)
	raise(total, most)
	return total
}

func raise(total, least corev1.ResourceList) {
	for name, q := range least {
		if have, ok := total[name]; !ok || q.Cmp(have) > 0 {
			total[name] = q.DeepCopy()
		}
	}
}

func add(total, more corev1.ResourceList) {
	for name, q := range more {
		have := total[name].DeepCopy()
		have.Add(q)
		total[name] = have
	}
}

// heldLimits are the limits that hold for the pod as a whole: of cpu and memory
// only if every container has one.
func heldLimits(p *corev1.Pod) corev1.ResourceList {
	all := limits(p)
	for _, name := range [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if !everyLimit(p, name) {
			delete(all, name)
		}
	}
	return all
}

// podResources are the settings of the pod's cgroup, as a kubelet computes
// them: a limit holds for the pod only when every container has one.
func podResources(p *corev1.Pod) PodResources {
	if qosClass(p) == corev1.PodQOSBestEffort {
		return PodResources{}
	}
	req, lim := requests(p), heldLimits(p)
	return PodResources{
		MilliCPURequest: req.Cpu().MilliValue(), MilliCPULimit: lim.Cpu().MilliValue(), MemoryLimit: lim.Memory().Value(),
	}
}

func everyLimit(p *corev1.Pod, name corev1.ResourceName) bool {
	for _, list := range [...][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if q := list[i].Resources.Limits[name]; q.IsZero() {
				return false
			}
		}
	}
	return true
}

// Scores of the kernel's OOM killer by QoS class, as in a kubelet. Burstable
// containers lie between, lower the more memory they asked for.
const (
	oomGuaranteed   = -997
	oomBestEffort   = 1000
	systemCritical  = 2 * 1000000000
	nodeCriticalPod = systemCritical + 1000
)

func oomScoreAdj(p *corev1.Pod, spec *corev1.Container, node Node) int {
	if p.Spec.Priority != nil && *p.Spec.Priority >= nodeCriticalPod {
		return oomGuaranteed
	}
	switch qosClass(p) {
	case corev1.PodQOSGuaranteed:
		return oomGuaranteed
	case corev1.PodQOSBestEffort:
		return oomBestEffort
	}
	capacity := node.Allocatable.Memory().Value()
	if capacity <= 0 {
		return oomBestEffort - 1
	}
	request := memoryRequest(p, spec)
	score := oomBestEffort - oomBestEffort*request/capacity
	return int(min(max(score, oomBestEffort+oomGuaranteed), oomBestEffort-1))
}

// memoryRequest is what a container asks for, in bytes; for a sidecar as much at
// least as some app container, so that it is not killed before that one.
func memoryRequest(p *corev1.Pod, spec *corev1.Container) int64 {
	own := spec.Resources.Requests.Memory().Value()
	if !slices.ContainsFunc(sidecars(p), func(s *corev1.Container) bool { return s.Name == spec.Name }) {
		return own
	}
	least := int64(math.MaxInt64)
	for i := range p.Spec.Containers {
		least = min(least, p.Spec.Containers[i].Resources.Requests.Memory().Value())
	}
	return max(own, least)
}

// resourceField resolves a resourceFieldRef. A limit that is not set is what
// the node has to give.
func resourceField(ref *corev1.ResourceFieldSelector, p *corev1.Pod, self *corev1.Container, node corev1.ResourceList) (string, error) {
	spec := self
	if ref.ContainerName != "" {
		if spec = findContainer(p, ref.ContainerName); spec == nil {
			return "", fmt.Errorf("container %s not found", ref.ContainerName)
		}
	}
	what, name, _ := strings.Cut(ref.Resource, ".")
	list := spec.Resources.Requests
	if what == "limits" {
		list = spec.Resources.Limits
	}
	rname := corev1.ResourceName(name)
	known := rname == corev1.ResourceCPU || rname == corev1.ResourceMemory || rname == corev1.ResourceEphemeralStorage
	huge := strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	if what != "limits" && what != "requests" || !known && !huge {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	q := list[rname]
	if q.IsZero() && what == "limits" && known {
		q = node[rname]
	}
	return divide(q, ref.Divisor, rname == corev1.ResourceCPU), nil
}

// divide rounds up, in thousandths for cpu.
func divide(q, divisor resource.Quantity, milli bool) string {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value := float64(q.Value()) / float64(divisor.Value())
	if milli {
		value = float64(q.MilliValue()) / float64(divisor.MilliValue())
	}
	return strconv.FormatInt(int64(math.Ceil(value)), 10)
}

func findContainer(p *corev1.Pod, name string) *corev1.Container {
	for _, list := range [...][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
