package admit

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/node"
	k8snodev1 "k8s.io/kubernetes/pkg/apis/node/v1"
	nodevalidation "k8s.io/kubernetes/pkg/apis/node/validation"
	"k8s.io/kubernetes/pkg/apis/scheduling"
	k8sschedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	schedulingvalidation "k8s.io/kubernetes/pkg/apis/scheduling/validation"
)

// rules are Kubernetes' own about a kind that podd stores as it is: V is its
// form in manifests, I the one that is validated.
type rules[V interface {
	Object
	DeepCopy() V
}, I any] struct {
	kind     string
	defaults func(V)
	// same compares everything but metadata and status.
	same    func(a, b V) bool
	convert func(V, *I, conversion.Scope) error
	create  func(*I) field.ErrorList
	update  func(now, was *I) field.ErrorList
}

// admit decodes into obj, defaults and validates it.
func (r rules[V, I]) admit(obj V, raw []byte, old runtime.Object) (Result, error) {
	if err := decode(r.kind, raw, obj); err != nil {
		return Result{}, err
	}
	defer validName(obj)()
	r.defaults(obj)
	out := Result{Object: obj, Warnings: metaWarnings(obj), Change: Spec}
	before, update := old.(V)
	if update {
		inherit(obj, before)
		out.Change = difference(r.same(obj, before), obj, before)
	}
	now, err := internal(obj, r.convert)
	if err != nil {
		return Result{}, err
	}
	if !update {
		return out, invalid(r.kind, obj.GetName(), append(checkUID(obj), r.create(now)...))
	}
	was, err := internal(before, r.convert)
	if err != nil {
		return Result{}, err
	}
	align(any(now).(Object), any(was).(Object))
	return out, invalid(r.kind, obj.GetName(), append(checkUID(obj), r.update(now, was)...))
}

// admitClaim: what a claim asks for is stored; nothing provides it yet, so that
// it is pending.
func admitClaim(raw []byte, old runtime.Object) (Result, error) {
	return rules[*corev1.PersistentVolumeClaim, core.PersistentVolumeClaim]{
		kind: "PersistentVolumeClaim",
		defaults: func(c *corev1.PersistentVolumeClaim) {
			c.Status = corev1.PersistentVolumeClaimStatus{}
			k8sv1.SetObjectDefaults_PersistentVolumeClaim(c)
			c.Status.Phase = corev1.ClaimPending
		},
		same: func(a, b *corev1.PersistentVolumeClaim) bool {
			return equality.Semantic.DeepEqual(a.Spec, b.Spec)
		},
		convert: k8sv1.Convert_v1_PersistentVolumeClaim_To_core_PersistentVolumeClaim,
		create: func(c *core.PersistentVolumeClaim) field.ErrorList {
			return corevalidation.ValidatePersistentVolumeClaim(c, corevalidation.ValidationOptionsForPersistentVolumeClaimCreate())
		},
		update: func(now, was *core.PersistentVolumeClaim) field.ErrorList {
			return corevalidation.ValidatePersistentVolumeClaimUpdate(now, was, corevalidation.ValidationOptionsForPersistentVolumeClaim(now, was))
		},
	}.admit(&corev1.PersistentVolumeClaim{}, raw, old)
}

func admitRuntimeClass(raw []byte, old runtime.Object) (Result, error) {
	return rules[*nodev1.RuntimeClass, node.RuntimeClass]{
		kind:     "RuntimeClass",
		defaults: func(*nodev1.RuntimeClass) {}, // it has none
		same: func(a, b *nodev1.RuntimeClass) bool {
			return a.Handler == b.Handler && equality.Semantic.DeepEqual(a.Overhead, b.Overhead) && equality.Semantic.DeepEqual(a.Scheduling, b.Scheduling)
		},
		convert: k8snodev1.Convert_v1_RuntimeClass_To_node_RuntimeClass,
		create:  nodevalidation.ValidateRuntimeClass,
		update:  nodevalidation.ValidateRuntimeClassUpdate,
	}.admit(&nodev1.RuntimeClass{}, raw, old)
}

func admitPriorityClass(raw []byte, old runtime.Object) (Result, error) {
	return rules[*schedulingv1.PriorityClass, scheduling.PriorityClass]{
		kind:     "PriorityClass",
		defaults: k8sschedulingv1.SetObjectDefaults_PriorityClass,
		same: func(a, b *schedulingv1.PriorityClass) bool {
			return a.Value == b.Value && a.GlobalDefault == b.GlobalDefault && a.Description == b.Description &&
				equality.Semantic.DeepEqual(a.PreemptionPolicy, b.PreemptionPolicy)
		},
		convert: k8sschedulingv1.Convert_v1_PriorityClass_To_scheduling_PriorityClass,
		create:  schedulingvalidation.ValidatePriorityClass,
		update:  schedulingvalidation.ValidatePriorityClassUpdate,
	}.admit(&schedulingv1.PriorityClass{}, raw, old)
}

func admitNamespace(raw []byte, old runtime.Object) (Result, error) {
	return rules[*corev1.Namespace, core.Namespace]{
		kind: "Namespace",
		defaults: func(n *corev1.Namespace) {
			n.Spec.Finalizers = nil // they are an API server's: nothing here waits for them
			n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			k8sv1.SetObjectDefaults_Namespace(n)
		},
		same:    func(_, _ *corev1.Namespace) bool { return true },
		convert: k8sv1.Convert_v1_Namespace_To_core_Namespace,
		create:  corevalidation.ValidateNamespace,
		update:  corevalidation.ValidateNamespaceUpdate,
	}.admit(&corev1.Namespace{}, raw, old)
}
