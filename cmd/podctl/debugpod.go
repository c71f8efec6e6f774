package main

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// debugTries is how often an ephemeral container is asked for when the pod
// changes meanwhile.
const debugTries = 5

// debugPod adds an ephemeral container to a pod, and gives the pod with it, and
// its name.
func (f *debugFlags) debugPod(ctx context.Context, told *session, c *client, pod *corev1.Pod, command []string) (*corev1.Pod, string, error) {
	if f.target != "" {
		fmt.Fprintf(told.out, "Targeting container %q.\n", f.target)
	}
	name := f.name(told, pod)
	made := corev1.Container{Name: name, TerminationMessagePolicy: corev1.TerminationMessageReadFile}
	f.fill(&made, command)
	warnNonRoot(told, &made, pod)
	for try := 1; ; try++ {
		wanted := pod.DeepCopy()
		wanted.Spec.EphemeralContainers = append(wanted.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon(made), TargetContainerName: f.target,
		})
		added, err := c.addEphemeral(ctx, told, wanted)
		if st, ok := grpcStatus(err); !ok || st.Code() != codes.Aborted || try == debugTries {
			return added, name, err
		}
		if pod, err = told.pod(ctx, c, pod.Name); err != nil {
			return nil, "", err
		}
	}
}

// addEphemeral gives a pod its ephemeral containers, if it is still as it was
// read.
func (c *client) addEphemeral(ctx context.Context, s *session, pod *corev1.Pod) (*corev1.Pod, error) {
	pod.APIVersion, pod.Kind = "v1", "Pod"
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod %s: %w", pod.Name, err)
	}
	resp, err := c.objects.UpdateEphemeralContainers(ctx, &poddv1.UpdateEphemeralContainersRequest{
		Object:        &poddv1.Object{ApiVersion: "v1", Kind: "Pod", Json: raw},
		Preconditions: &poddv1.Preconditions{Uid: string(pod.UID), ResourceVersion: pod.ResourceVersion},
	})
	if err != nil {
		return nil, err
	}
	for _, warning := range resp.GetWarnings() {
		warn(s.errOut, warning)
	}
	object, err := decode(resp.GetObject())
	if err != nil {
		return nil, err
	}
	return typed[corev1.Pod](object)
}

// warnNonRoot says that a user other than root has no use for capabilities, as
// kubectl does.
func warnNonRoot(s *session, made *corev1.Container, pod *corev1.Pod) {
	of, own := pod.Spec.SecurityContext, made.SecurityContext
	if of == nil || of.RunAsUser == nil || *of.RunAsUser == 0 || own == nil {
		return
	}
	if own.Privileged != nil && *own.Privileged || own.Capabilities != nil && len(own.Capabilities.Add) > 0 {
		warn(s.errOut, "Non-root user is configured for the entire target Pod, and some capabilities granted by debug profile may not work.")
	}
}

// follow joins the streams of a debug container once it runs. What one has
// printed that has ended already is in its log.
func (f *debugFlags) follow(ctx context.Context, s *session, c *client, pod *corev1.Pod, name string) error {
	now, state, err := f.awaitDebugger(ctx, s, c, pod, name)
	if err != nil {
		return err
	}
	if state.Terminated == nil {
		err := f.join(ctx, s, c, now, name)
		if st, ok := grpcStatus(err); !ok || st.Code() != codes.InvalidArgument {
			return err
		}
		if !f.quiet {
			text, _ := s.describeFailure(err)
			fmt.Fprintf(s.errOut, "warning: couldn't attach to pod/%s, falling back to streaming logs: %s\n", pod.Name, text)
		}
		if now, state, err = f.awaitDebugger(ctx, s, c, pod, name); err != nil {
			return err
		}
	}
	if err := read(ctx, c, &poddv1.LogsRequest{Pod: podRef(now), Container: name, Follow: state.Terminated == nil}, s.out); err != nil {
		return err
	}
	if end := state.Terminated; end != nil && end.ExitCode != 0 {
		return exitError{code: int(end.ExitCode)}
	}
	return nil
}

// awaitDebugger waits until a container runs or has ended, and says meanwhile
// what it waits for.
func (f *debugFlags) awaitDebugger(ctx context.Context, s *session, c *client, pod *corev1.Pod, name string) (*corev1.Pod, corev1.ContainerState, error) {
	var now *corev1.Pod
	var state corev1.ContainerState
	r := ref{kind: kindNamed("Pod"), namespace: pod.Namespace, name: pod.Name}
	said := ""
	err := c.await(ctx, r, s.waitAtMost(-1), func(object *unstructured.Unstructured) (bool, error) {
		if object == nil || object.GetUID() != pod.UID {
			return false, notFound(r)
		}
		var err error
		if now, err = typed[corev1.Pod](object); err != nil {
			return false, err
		}
		state = stateOf(now, name)
		if w := state.Waiting; w != nil && w.Message != "" && w.Message != said && !f.quiet {
			said = w.Message
			warn(s.errOut, fmt.Sprintf("container %s: %s", name, w.Message))
		}
		if state.Running != nil || state.Terminated != nil {
			return true, nil
		}
		if now.Status.Phase == corev1.PodSucceeded || now.Status.Phase == corev1.PodFailed {
			return false, fmt.Errorf("container %s will not run: pod %s has ended (%s). Use --copy-to to look into a copy of it", name, pod.Name, now.Status.Phase)
		}
		return false, nil
	})
	return now, state, err
}

func stateOf(pod *corev1.Pod, name string) corev1.ContainerState {
	st := pod.Status
	for _, list := range [...][]corev1.ContainerStatus{st.ContainerStatuses, st.EphemeralContainerStatuses, st.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return list[i].State
			}
		}
	}
	return corev1.ContainerState{}
}
