package admit

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	// Object is defaulted and valid, and the caller's own. Of its metadata, what
	// a server gives (uid, resourceVersion, generation, creationTimestamp) is
	// as the manifest says for a new object and the old one's for an update; a
	// deletion is the manifest's if it has one, else the old one's. A pod's
	// status is empty, and a name that is to be generated still is.
	Object Object
	// Warnings are for people: what was accepted although it has no meaning
	// here, and Kubernetes' own.
	Warnings []string
	// Change compares it with the old one; it is Spec without one.
	Change Change
}

// Admitter decides what may enter. It keeps nothing of what it sees, and may be
// used by many goroutines.
type Admitter struct{ table table }

// New makes an admitter. It tells Kubernetes' validation, which asks a global,
// that privileged containers are allowed.
func New() *Admitter {
	capabilities.Setup(true, 0) // the first call counts, and without one they are refused
	return &Admitter{table: newTable()}
}

// Admit decodes an object strictly, defaults and validates it. old is what it
// is to replace, of the same kind, name and namespace, and is not changed; it
// is nil for a new object. What the server gave the old one need not be
// repeated. Errors are *apierrors.StatusError: BadRequest for what can't be
// read, Invalid for the rest, with a cause for every field that is wrong or not
// supported yet.
func (a *Admitter) Admit(kind string, raw []byte, old runtime.Object) (Result, error) {
	switch kind {
	case "Pod":
		return a.admitPod(raw, old)
	case "ConfigMap":
		return admitConfigMap(raw, old)
	case "Secret":
		return admitSecret(raw, old)
	case "PersistentVolumeClaim":
		return admitClaim(raw, old)
	case "RuntimeClass":
		return admitRuntimeClass(raw, old)
	case "PriorityClass":
		return admitPriorityClass(raw, old)
	case "Namespace":
		return admitNamespace(raw, old)
	}
	return Result{}, apierrors.NewBadRequest(fmt.Sprintf("kind %q is not served", kind))
}

// invalid is the error for all that is wrong with an object, nil for nothing.
func invalid(kind, name string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.FromAPIVersionAndKind(versionOf(kind), kind).GroupKind(), name, errs)
}

// noContext is for upstream functions that ask for a context and use it for
// nothing that podd has.
func noContext() context.Context { return context.TODO() }

// difference compares an object with the one it replaces.
func difference(sameSpec bool, obj, old metav1.Object) Change {
	same := equality.Semantic.DeepEqual
	switch {
	case !sameSpec:
		return Spec
	case !same(obj.GetLabels(), old.GetLabels()),
		!same(obj.GetAnnotations(), old.GetAnnotations()),
		!same(obj.GetOwnerReferences(), old.GetOwnerReferences()),
		!same(obj.GetFinalizers(), old.GetFinalizers()):
		return Metadata
	}
	return None
}
