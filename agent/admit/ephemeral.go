package admit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

// AdmitEphemeral admits the ephemeral containers that a pod's JSON has for the
// pod that is there, which is not changed; what else the JSON says is left
// aside, as by an API server. The result's object is the pod with them, its
// status empty. Errors are those of Admit.
func (a *Admitter) AdmitEphemeral(raw []byte, old *corev1.Pod) (Result, error) {
	said := &corev1.Pod{}
	if err := decode("Pod", raw, said); err != nil {
		return Result{}, err
	}
	refused, warnings := a.table.check(&corev1.PodSpec{EphemeralContainers: said.Spec.EphemeralContainers})
	p := old.DeepCopy()
	p.Status = corev1.PodStatus{}
	p.Spec.EphemeralContainers = said.Spec.EphemeralContainers
	k8sv1.SetObjectDefaults_Pod(p)
	after, err := internal(p, k8sv1.Convert_v1_Pod_To_core_Pod)
	if err != nil {
		return Result{}, err
	}
	before, err := internal(old, k8sv1.Convert_v1_Pod_To_core_Pod)
	if err != nil {
		return Result{}, err
	}
	align(after, before)
	opts := podutil.GetValidationOptionsFromPodSpecAndMeta(&after.Spec, &before.Spec, &after.ObjectMeta, &before.ObjectMeta)
	opts.ResourceIsPod = true
	errs := corevalidation.ValidatePodEphemeralContainersUpdate(after, before, opts)
	out := Result{Object: p, Warnings: warnings, Change: difference(equality.Semantic.DeepEqual(p.Spec, old.Spec), p, old)}
	return out, invalid("Pod", p.Name, slices.Concat(refused, besides(refused, errs)))
}
