package admit

import (
	"fmt"
	"strings"

	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"sigs.k8s.io/json"
)

// decode reads an object strictly: unknown and repeated keys are errors that
// name their path. All of them are told, not the first.
func decode(kind string, raw []byte, into Object) error {
	strict, err := json.UnmarshalStrict(raw, into)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("%s: %v", kind, err))
	}
	gvk := into.GetObjectKind().GroupVersionKind()
	if version := versionOf(kind); gvk.Kind != kind || gvk.GroupVersion().String() != version {
		return apierrors.NewBadRequest(fmt.Sprintf("apiVersion and kind are %q and %q; they have to be %q and %q",
			gvk.GroupVersion(), gvk.Kind, version, kind))
	}
	if len(strict) > 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("%s %s: strict decoding error: %s", kind, nameOf(into), list(strict)))
	}
	if into.GetNamespace() == "" && !clusterWide(kind) {
		into.SetNamespace(metav1.NamespaceDefault)
	}
	into.SetManagedFields(nil) // nobody here keeps them up to date
	return nil
}

// versionOf is the apiVersion of a kind.
func versionOf(kind string) string {
	switch kind {
	case "RuntimeClass":
		return nodev1.SchemeGroupVersion.String()
	case "PriorityClass":
		return schedulingv1.SchemeGroupVersion.String()
	}
	return "v1"
}

// clusterWide kinds have no namespace.
func clusterWide(kind string) bool {
	return kind == "RuntimeClass" || kind == "PriorityClass" || kind == "Namespace"
}

func nameOf(obj metav1.Object) string {
	if obj.GetName() != "" {
		return fmt.Sprintf("%q", obj.GetName())
	}
	return fmt.Sprintf("%q", obj.GetGenerateName()+"…")
}

func list(errs []error) string {
	texts := make([]string, 0, len(errs))
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, ", ")
}

// internal makes Kubernetes' own form of an object, which its rules are for.
// The two share nothing.
func internal[V interface {
	Object
	DeepCopy() V
}, I any](v V, convert func(V, *I, conversion.Scope) error) (*I, error) {
	var i I
	if err := convert(v.DeepCopy(), &i, nil); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %s: %v", v.GetObjectKind().GroupVersionKind().Kind, nameOf(v), err))
	}
	return &i, nil
}
