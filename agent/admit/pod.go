package admit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

func admitPod(raw []byte, old runtime.Object) (Result, error) {
	p := &corev1.Pod{}
	if err := decode("Pod", raw, p); err != nil {
		return Result{}, err
	}
	p.Status = corev1.PodStatus{}
	k8sv1.SetObjectDefaults_Pod(p)
	if before, ok := old.(*corev1.Pod); ok {
		return updatePod(raw, p, before)
	}
	defer validName(p)()
	internal, err := toInternal(p)
	if err != nil {
		return Result{}, err
	}
	opts := podutil.GetValidationOptionsFromPodSpecAndMeta(&internal.Spec, nil, &internal.ObjectMeta, nil)
	opts.ResourceIsPod = true
	if errs := corevalidation.ValidatePodCreate(internal, opts); len(errs) > 0 {
		return Result{}, invalid("Pod", p.Name, errs)
	}
	warnings, err := fields(raw, p)
	if err != nil {
		return Result{}, err
	}
	warnings = append(warnings, nameWarnings(p.Name)...)
	warnings = append(warnings, podutil.GetWarningsForPod(noContext(), internal, nil)...)
	return Result{Object: p, Warnings: warnings, Change: Spec}, nil
}

func updatePod(raw []byte, p, old *corev1.Pod) (Result, error) {
	inherit(p, old)
	keepGiven(&p.Spec, &old.Spec)
	after, err := toInternal(p)
	if err != nil {
		return Result{}, err
	}
	before, err := toInternal(old)
	if err != nil {
		return Result{}, err
	}
	// Validation insists on one, and neither needs to be right here.
	after.ResourceVersion, before.ResourceVersion = "1", "1"
	opts := podutil.GetValidationOptionsFromPodSpecAndMeta(&after.Spec, &before.Spec, &after.ObjectMeta, &before.ObjectMeta)
	opts.ResourceIsPod = true
	if errs := corevalidation.ValidatePodUpdate(after, before, opts); len(errs) > 0 {
		return Result{}, invalid("Pod", p.Name, errs)
	}
	warnings, err := fields(raw, p)
	if err != nil {
		return Result{}, err
	}
	same := equality.Semantic.DeepEqual(p.Spec, old.Spec)
	return Result{
		Object: p, Change: difference(same, p, old),
		Warnings: append(warnings, podutil.GetWarningsForPod(noContext(), after, before)...),
	}, nil
}

// keepGiven: what the server filled in and the manifest leaves out is no
// change.
func keepGiven(spec, old *corev1.PodSpec) {
	if spec.NodeName == "" {
		spec.NodeName = old.NodeName
	}
	if spec.Tolerations == nil {
		spec.Tolerations = old.Tolerations
	}
	if spec.EphemeralContainers == nil {
		spec.EphemeralContainers = old.EphemeralContainers
	}
}

func toInternal(p *corev1.Pod) (*core.Pod, error) {
	internal := &core.Pod{}
	// The conversion moves things between the two and may share what is below.
	if err := k8sv1.Convert_v1_Pod_To_core_Pod(p.DeepCopy(), internal, nil); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Pod %s: %v", nameOf(p), err))
	}
	return internal, nil
}

func nameWarnings(name string) []string {
	if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs)}
	}
	return nil
}

// fields holds a manifest against the field table, and its annotations against
// the ones that are ours.
func fields(raw []byte, p *corev1.Pod) ([]string, error) {
	refused, warnings, err := checkFields(raw)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(refused) > 0 {
		return nil, invalid("Pod", p.Name, refused)
	}
	return append(warnings, unknownAnnotations(p)...), nil
}

// ownAnnotations are those that this podd honours.
var ownAnnotations = []string{}

const annotationPrefix = "podd.io/"

func unknownAnnotations(p *corev1.Pod) []string {
	var out []string
	for key := range p.Annotations {
		if len(key) > len(annotationPrefix) && key[:len(annotationPrefix)] == annotationPrefix && !slices.Contains(ownAnnotations, key) {
			out = append(out, fmt.Sprintf("%s: this podd does not know the annotation", field.NewPath("metadata", "annotations").Key(key)))
		}
	}
	slices.Sort(out)
	return out
}
