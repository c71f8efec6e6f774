package admit

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/capabilities"
)

// Object is a Kubernetes object of any kind.
type Object interface {
	metav1.Object
	runtime.Object
}

// Change is how far an update goes.
type Change int

// The kinds of change.
const (
	// None: nothing that podd keeps differs.
	None Change = iota
	// Metadata: labels, annotations and the like; nothing restarts.
	Metadata
	// Spec: what runs, or what it reads.
	Spec
)

// Result is an admitted object.
type Result struct {
	// Object is defaulted and valid, and the caller's own.
	Object Object
	// Warnings are for people: what was accepted although it has no meaning
	// here, and Kubernetes' own.
	Warnings []string
	// Change compares it with the old one; it is Spec without one.
	Change Change
}

// Admitter decides what may enter. It keeps nothing, and may be used by many
// goroutines.
type Admitter struct{}

// setup tells Kubernetes' validation, which asks a global, that privileged
// containers are allowed; without it they would be refused.
var setup = sync.OnceFunc(func() { capabilities.Setup(true, 0) })

// New makes an admitter.
func New() *Admitter {
	setup()
	return &Admitter{}
}

// Admit decodes an object strictly, defaults and validates it. old is what it
// is to replace, nil for a new one; what the server gave that one need not be
// repeated. Errors are *apierrors.StatusError and name the fields.
func (a *Admitter) Admit(kind string, raw []byte, old runtime.Object) (Result, error) {
	switch kind {
	case "Pod":
		return admitPod(raw, old)
	case "ConfigMap":
		return admitConfigMap(raw, old)
	case "Secret":
		return admitSecret(raw, old)
	}
	return Result{}, apierrors.NewBadRequest(fmt.Sprintf("kind %q is not served", kind))
}

func invalid(kind, name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind(kind).GroupKind(), name, errs)
}

// inherit gives a replacement what only the server says.
func inherit(obj, old metav1.Object) {
	obj.SetUID(old.GetUID())
	obj.SetResourceVersion(old.GetResourceVersion())
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	obj.SetGeneration(old.GetGeneration())
	obj.SetManagedFields(nil)
	if obj.GetDeletionTimestamp() == nil {
		obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
		obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

// difference compares an object with the one it replaces.
func difference(sameSpec bool, obj, old metav1.Object) Change {
	switch {
	case !sameSpec:
		return Spec
	case !equality.Semantic.DeepEqual(obj.GetLabels(), old.GetLabels()),
		!equality.Semantic.DeepEqual(obj.GetAnnotations(), old.GetAnnotations()),
		!equality.Semantic.DeepEqual(obj.GetOwnerReferences(), old.GetOwnerReferences()),
		!equality.Semantic.DeepEqual(obj.GetFinalizers(), old.GetFinalizers()):
		return Metadata
	}
	return None
}

// noContext is for upstream functions that ask for a context and use it for
// nothing that podd has.
func noContext() context.Context { return context.TODO() }
