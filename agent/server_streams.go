package agent

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// streams serves podd.v1.Streams.
type streams struct {
	poddv1.UnimplementedStreamsServer
	a *Agent
}

// containerdScheme begins the ids of containers in a status.
const containerdScheme = "containerd://"

// podOf finds a pod.
func (a *Agent) podOf(ref *poddv1.PodRef) (*corev1.Pod, error) {
	key := store.Key{Kind: KindPod, Namespace: ref.GetNamespace(), Name: ref.GetName()}
	if key.Namespace == "" {
		key.Namespace = metav1.NamespaceDefault
	}
	e := a.Snapshot().Get(key)
	if e == nil || ref.GetUid() != "" && ref.GetUid() != string(e.Object.GetUID()) {
		return nil, apierrors.NewNotFound(resource(KindPod), key.Name)
	}
	return e.Pod(), nil
}

// findPod looks a pod and one of its containers up.
func (s *streams) findPod(ref *poddv1.PodRef, container string) (*corev1.Pod, *corev1.ContainerStatus, string, error) {
	p, err := s.a.podOf(ref)
	if err != nil {
		return nil, nil, "", err
	}
	name, err := chooseContainer(p, container)
	if err != nil {
		return nil, nil, "", err
	}
	return p, containerStatus(p, name), name, nil
}

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

// chooseContainer checks a container's name. Without one it is the one that the
// pod names as its default, or its only one.
func chooseContainer(p *corev1.Pod, name string) (string, error) {
	if name == "" {
		name = p.Annotations[defaultContainerAnnotation]
	}
	if name == "" {
		if len(p.Spec.Containers) == 1 {
			return p.Spec.Containers[0].Name, nil
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", p.Name, containerNames(p)))
	}
	if containerSpec(p, name) != nil {
		return name, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.Name))
}

// running finds a container that runs, and its id.
func (s *streams) running(ref *poddv1.PodRef, container string) (*corev1.Pod, *corev1.Container, string, error) {
	p, st, name, err := s.findPod(ref, container)
	if err != nil {
		return nil, nil, "", err
	}
	if st == nil || st.State.Running == nil {
		return nil, nil, "", apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not running", name, p.Name))
	}
	return p, containerSpec(p, name), strings.TrimPrefix(st.ContainerID, containerdScheme), nil
}

func containerSpec(p *corev1.Pod, name string) *corev1.Container {
	for _, c := range pod.Containers(p) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func containerNames(p *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Containers(p) {
		names = append(names, c.Name)
	}
	return names
}

func containerStatus(p *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
