package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// defaultContainer is the annotation that names a pod's main container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// pod reads a pod, named as web or pod/web.
func (s *session) pod(ctx context.Context, c *client, arg string) (*corev1.Pod, error) {
	name := arg
	if word, rest, found := strings.Cut(arg, "/"); found {
		k, err := kindOf(word)
		if err != nil {
			return nil, err
		}
		if k.name != "Pod" || rest == "" || strings.Contains(rest, "/") {
			return nil, fmt.Errorf("%q is not a pod's name", arg)
		}
		name = rest
	}
	object, err := c.get(ctx, ref{kind: kindNamed("Pod"), namespace: s.space(), name: name})
	if err != nil {
		return nil, err
	}
	return typed[corev1.Pod](object)
}

// container is the container that is meant: the one named, else the one that
// the annotation names, else the first. When it was a choice it is said.
func (s *session) container(pod *corev1.Pod, name string) (string, error) {
	all := containerNames(pod)
	if name != "" {
		if !slices.Contains(all, name) {
			return "", badRequest("container %s is not valid for pod %s", name, pod.Name)
		}
		return name, nil
	}
	if name := pod.Annotations[defaultContainer]; slices.Contains(all, name) {
		return name, nil
	}
	chosen := pod.Spec.Containers[0].Name
	if len(all) > 1 {
		fmt.Fprintf(s.errOut, "Defaulted container %q out of: %s\n", chosen, strings.Join(containerLabels(pod), ", "))
	}
	return chosen, nil
}

// containerNames are the names of all containers: app, init, ephemeral.
func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}

// containerLabels are containerNames, with what they are.
func containerLabels(pod *corev1.Pod) []string {
	labels := containerNames(pod)
	first := len(pod.Spec.Containers)
	for i := range labels[first:] {
		kind := " (init)"
		if i >= len(pod.Spec.InitContainers) {
			kind = " (ephem)"
		}
		labels[first+i] += kind
	}
	return labels
}

func podRef(pod *corev1.Pod) *poddv1.PodRef {
	return &poddv1.PodRef{Namespace: pod.Namespace, Name: pod.Name, Uid: string(pod.UID)}
}
