package admit

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

func (a *Admitter) admitPod(raw []byte, old runtime.Object) (Result, error) {
	p := &corev1.Pod{}
	if err := decode("Pod", raw, p); err != nil {
		return Result{}, err
	}
	defer validName(p)()
	p.Status = corev1.PodStatus{}
	refused, warnings := a.table.check(&p.Spec)
	warnings = slices.Concat(warnings, metaWarnings(p), partWarnings(&p.Spec), takeAppArmor(p))
	k8sv1.SetObjectDefaults_Pod(p)
	out := Result{Object: p, Change: Spec}
	validate := createPod
	before, update := old.(*corev1.Pod)
	if update {
		inherit(p, before)
		keepGiven(&p.Spec, &before.Spec)
		out.Change = difference(equality.Semantic.DeepEqual(p.Spec, before.Spec), p, before)
		validate = updatePod
	}
	errs, theirs, err := validate(p, before)
	if err != nil {
		return Result{}, err
	}
	out.Warnings = slices.Compact(append(warnings, theirs...))
	return out, invalid("Pod", p.Name, slices.Concat(refused, checkUID(p), checkAnnotations(p), besides(refused, errs)))
}

// besides are the errors that are not about what is refused anyway.
func besides(refused, errs field.ErrorList) field.ErrorList {
	return slices.DeleteFunc(errs, func(err *field.Error) bool {
		return slices.ContainsFunc(refused, func(r *field.Error) bool {
			rest, below := strings.CutPrefix(err.Field, r.Field)
			return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
	})
}

// partWarnings tell of values of honoured fields that promise more than is kept.
func partWarnings(spec *corev1.PodSpec) []string {
	var out []string
	if spec.DNSPolicy == corev1.DNSClusterFirstWithHostNet {
		out = append(out, fmt.Sprintf("%s: there is no cluster DNS: the host's resolver is used", field.NewPath("spec", "dnsPolicy")))
	}
	for i, v := range spec.Volumes {
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory {
			out = append(out, fmt.Sprintf("%s: it is not enforced but for medium Memory",
				field.NewPath("spec", "volumes").Index(i).Child("emptyDir", "sizeLimit")))
		}
	}
	return out
}

// createPod is Kubernetes' say on a new pod.
func createPod(p, _ *corev1.Pod) (field.ErrorList, []string, error) {
	now, err := internal(p, k8sv1.Convert_v1_Pod_To_core_Pod)
	if err != nil {
		return nil, nil, err
	}
	opts := podutil.GetValidationOptionsFromPodSpecAndMeta(&now.Spec, nil, &now.ObjectMeta, nil)
	opts.ResourceIsPod = true
	warnings := append(nameWarnings(p.Name), podutil.GetWarningsForPod(noContext(), now, nil)...)
	return corevalidation.ValidatePodCreate(now, opts), warnings, nil
}

// updatePod is Kubernetes' say on a pod that takes another's place. It warns
// only of what the other did not have.
func updatePod(p, old *corev1.Pod) (field.ErrorList, []string, error) {
	after, err := internal(p, k8sv1.Convert_v1_Pod_To_core_Pod)
	if err != nil {
		return nil, nil, err
	}
	before, err := internal(old, k8sv1.Convert_v1_Pod_To_core_Pod)
	if err != nil {
		return nil, nil, err
	}
	align(after, before)
	opts := podutil.GetValidationOptionsFromPodSpecAndMeta(&after.Spec, &before.Spec, &after.ObjectMeta, &before.ObjectMeta)
	opts.ResourceIsPod = true
	return corevalidation.ValidatePodUpdate(after, before, opts), podutil.GetWarningsForPod(noContext(), after, before), nil
}

// keepGiven: what the server filled in and the manifest leaves out is no
// change.
func keepGiven(spec, old *corev1.PodSpec) {
	if spec.NodeName == "" {
		spec.NodeName = old.NodeName
	}
	if spec.Tolerations == nil { // they can only be added to
		spec.Tolerations = slices.Clone(old.Tolerations)
	}
	if spec.EphemeralContainers == nil { // no manifest has them
		spec.EphemeralContainers = slices.Clone(old.EphemeralContainers)
	}
}

func nameWarnings(name string) []string {
	if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs)}
	}
	return nil
}
