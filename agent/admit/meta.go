package admit

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validName gives an object whose name is to be generated a stand-in for it,
// until restore. The agent appends the real ending afterwards.
func validName(obj metav1.Object) (restore func()) {
	if obj.GetName() != "" || obj.GetGenerateName() == "" {
		return func() {}
	}
	obj.SetName(obj.GetGenerateName() + "xxxxx")
	return func() { obj.SetName("") }
}

// inherit gives a replacement what only the server says.
func inherit(obj, old metav1.Object) {
	obj.SetUID(old.GetUID())
	obj.SetResourceVersion(old.GetResourceVersion())
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	obj.SetGeneration(old.GetGeneration())
	if obj.GetDeletionTimestamp() == nil {
		obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
		obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

// align makes two forms of an object fit for the validation of updates: it
// insists on a resourceVersion, and on a deletion that stays as it is, whereas
// podd's clients begin one by applying it.
func align(after, before metav1.Object) {
	after.SetResourceVersion("1")
	before.SetResourceVersion("1")
	before.SetDeletionTimestamp(after.GetDeletionTimestamp())
	before.SetDeletionGracePeriodSeconds(after.GetDeletionGracePeriodSeconds())
}

// checkUID: a bridge's uid becomes part of paths, cgroups and labels.
func checkUID(obj metav1.Object) field.ErrorList {
	uid := string(obj.GetUID())
	if msgs := validation.IsValidLabelValue(uid); len(msgs) > 0 {
		return field.ErrorList{field.Invalid(field.NewPath("metadata", "uid"), uid, strings.Join(msgs, "; "))}
	}
	return nil
}

// metaWarnings tells what podd does not do about metadata.
func metaWarnings(obj metav1.Object) []string {
	at := field.NewPath("metadata")
	var out []string
	for key := range obj.GetAnnotations() {
		if strings.HasPrefix(key, annotationPrefix) && !known(key) {
			out = append(out, fmt.Sprintf("%s: this podd does not know the annotation", at.Child("annotations").Key(key)))
		}
	}
	slices.Sort(out)
	if len(obj.GetFinalizers()) > 0 {
		out = append(out, fmt.Sprintf("%s: it has no meaning here: podd waits for no finalizer", at.Child("finalizers")))
	}
	if len(obj.GetOwnerReferences()) > 0 {
		out = append(out, fmt.Sprintf("%s: it has no meaning here: podd removes nothing because its owner is gone", at.Child("ownerReferences")))
	}
	return out
}
