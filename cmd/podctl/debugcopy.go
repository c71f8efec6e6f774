package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// duplicateFlags are the flags of debug that make a copy of the pod.
type duplicateFlags struct {
	to        string
	replace   bool
	setImages map[string]string
	// share is what shareAsked says to be meant.
	share, shareAsked                                              bool
	labels, annotations, liveness, readiness, startup, initsToKeep bool
}

func (f *duplicateFlags) addCopyFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.to, "copy-to", "", "make a copy of the pod with this name, and look into that")
	flags.BoolVar(&f.replace, "replace", false, "with --copy-to, delete the original pod")
	flags.StringToStringVar(&f.setImages, "set-image", nil, "with --copy-to, other images for containers, name=image,...; * is all")
	flags.BoolVar(&f.share, "share-processes", true, "with --copy-to, let the copy's containers see each other's processes")
	flags.BoolVar(&f.labels, "keep-labels", false, "with --copy-to, keep the labels")
	flags.BoolVar(&f.annotations, "keep-annotations", false, "with --copy-to, keep the annotations")
	flags.BoolVar(&f.liveness, "keep-liveness", false, "with --copy-to, keep the liveness probes")
	flags.BoolVar(&f.readiness, "keep-readiness", false, "with --copy-to, keep the readiness probes")
	flags.BoolVar(&f.startup, "keep-startup", false, "with --copy-to, keep the startup probes")
	flags.BoolVar(&f.initsToKeep, "keep-init-containers", true, "with --copy-to, keep the init containers")
}

// checkCopy refuses flags that do not go together, in kubectl's words.
func (f *duplicateFlags) checkCopy(image, container string, command []string) error {
	for name, image := range f.setImages {
		if !reference.ReferenceRegexp.MatchString(image) {
			return fmt.Errorf("invalid image name %q for container %q: %w", image, name, reference.ErrReferenceInvalidFormat)
		}
	}
	copied := f.to != ""
	switch {
	case copied && image == "" && len(f.setImages) == 0 && len(command) == 0:
		return errors.New("you must specify --image, --set-image or command arguments")
	case copied && len(command) > 0 && container == "" && image == "":
		return errors.New("you must specify an existing container or a new image when specifying args")
	case copied:
		return nil
	case f.replace:
		return errors.New("--replace may only be used with --copy-to")
	case len(f.setImages) > 0:
		return errors.New("--set-image may only be used with --copy-to")
	case image == "":
		return errors.New("you must specify --image when not using --copy-to")
	}
	return nil
}

// debugCopy creates the copy, and gives it and the name of the container to look
// into, which is empty when only images were to change.
func (f *debugFlags) debugCopy(ctx context.Context, told *session, c *client, pod *corev1.Pod, command []string) (*corev1.Pod, string, error) {
	wanted := f.copyOf(pod)
	name, err := f.intoCopy(told, wanted, command)
	if err != nil {
		return nil, "", err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return nil, "", fmt.Errorf("encode the copy: %w", err)
	}
	results, err := c.apply(ctx, &poddv1.ApplyRequest{CreateOnly: true}, []*unstructured.Unstructured{{Object: content}})
	if err != nil {
		return nil, "", err
	}
	for _, warning := range results[0].GetWarnings() {
		warn(told.errOut, warning)
	}
	object, err := decode(results[0].GetObject())
	if err != nil {
		return nil, "", err
	}
	if f.replace {
		now := int64(0)
		_, err := c.objects.Delete(ctx, &poddv1.DeleteRequest{
			Ref: &poddv1.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, GracePeriodSeconds: &now,
			Preconditions: &poddv1.Preconditions{Uid: string(pod.UID)},
		})
		if err != nil {
			return nil, "", err
		}
	}
	made, err := typed[corev1.Pod](object)
	return made, name, err
}

// copyOf is the pod as it is copied, without what is not to be kept.
func (f *debugFlags) copyOf(pod *corev1.Pod) *corev1.Pod {
	made := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: f.to, Namespace: pod.Namespace, Labels: pod.Labels, Annotations: pod.Annotations},
		Spec:       *pod.Spec.DeepCopy(),
	}
	made.Spec.EphemeralContainers, made.Spec.NodeName = nil, ""
	if f.shareAsked {
		made.Spec.ShareProcessNamespace = &f.share
	}
	for i := range made.Spec.Containers {
		c := &made.Spec.Containers[i]
		if image, given := f.setImages[c.Name]; given {
			c.Image = image
		} else if image, given := f.setImages["*"]; given {
			c.Image = image
		}
	}
	return made
}

// intoCopy adds the container to look with, or changes the one that is named.
func (f *debugFlags) intoCopy(told *session, made *corev1.Pod, command []string) (string, error) {
	at := containerAt(made, f.container)
	switch {
	case at == nil && f.image == "" && len(f.setImages) > 0:
		return "", nil // only images were to change
	case at == nil && f.image == "":
		return "", errors.New("you must specify image when creating new container")
	case at == nil:
		made.Spec.Containers = append(made.Spec.Containers, corev1.Container{
			Name: f.name(told, made), TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		})
		at = &made.Spec.Containers[len(made.Spec.Containers)-1]
	}
	f.fill(at, command)
	name := at.Name
	f.strip(made)
	warnNonRoot(told, at, made)
	return name, nil
}

func containerAt(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [...][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// strip takes away what kubectl's profiles take away from a copy: the legacy one
// the labels alone.
func (f *debugFlags) strip(made *corev1.Pod) {
	if !f.labels || f.profile == profileLegacy {
		made.Labels = nil
	}
	if f.profile == profileLegacy {
		return
	}
	if !f.annotations {
		made.Annotations = nil
	}
	if !f.initsToKeep {
		made.Spec.InitContainers = nil
	}
	for i := range made.Spec.Containers {
		c := &made.Spec.Containers[i]
		for probe, keep := range map[**corev1.Probe]bool{&c.LivenessProbe: f.liveness, &c.ReadinessProbe: f.readiness, &c.StartupProbe: f.startup} {
			if !keep {
				*probe = nil
			}
		}
	}
	if share := true; made.Spec.ShareProcessNamespace == nil {
		made.Spec.ShareProcessNamespace = &share
	}
}
