package admit

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// leaves are the paths of all fields of a type that hold a value themselves.
func leaves(t reflect.Type, path string, out map[string]bool) {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time]():
		out[path] = true
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		leaves(t.Elem(), path, out)
	case reflect.Slice:
		leaves(t.Elem(), path+"[]", out)
	case reflect.Map:
		leaves(t.Elem(), path+"{}", out)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			below := path
			if name != "" {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			leaves(t.Field(i).Type, below, out)
		}
	default:
		out[path] = true
	}
}

// covers tells which entry speaks for a leaf: an honoured one by its own path,
// any other for all below it.
func covers(leaf string) (Field, bool) {
	leaf = normal(leaf)
	if f, ok := byPath[leaf]; ok {
		return f, true
	}
	for _, f := range Table {
		if f.Support == Honoured {
			continue
		}
		rest, ok := strings.CutPrefix(leaf, f.Path)
		if ok && (rest[0] == '.' || rest[0] == '[' || rest[0] == '{') {
			return f, true
		}
	}
	return Field{}, false
}

func TestEveryFieldOfAPodHasAnEntry(t *testing.T) {
	all := map[string]bool{}
	leaves(reflect.TypeFor[corev1.PodSpec](), "", all)
	used := map[string]bool{}
	for leaf := range all {
		f, ok := covers(leaf)
		if !ok {
			t.Errorf("spec.%s is not in the table: say whether it is honoured, refused or meaningless", leaf)
		}
		used[f.Path] = true
	}
	for _, f := range Table {
		key := strings.HasPrefix(f.Path, "containers[].resources.") // keys of a map
		if !used[f.Path] && !key {
			t.Errorf("the table has spec.%s, which is no field of a pod", f.Path)
		}
		if f.Support == Meaningless && f.Why == "" {
			t.Errorf("spec.%s: why has it no meaning?", f.Path)
		}
	}
}

func TestNoFieldHasTwoEntries(t *testing.T) {
	if len(byPath) != len(Table) {
		t.Errorf("%d entries for %d paths", len(Table), len(byPath))
	}
}
